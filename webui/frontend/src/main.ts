// Entry of the app: styles, session, routes, first paint.
import { mount } from 'svelte'
import './styles/fonts.css'
import './styles/tokens.css'
import './styles/kit.css'
import './styles/layout.css'
import './styles/overlay.css'
import App from './App.svelte'

const target = document.getElementById('app')
if (target) mount(App, { target })
