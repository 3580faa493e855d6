// All addresses of the app. Chat comes with the first load; the other rooms when somebody goes there.
import ChatPage from './features/chat/ChatPage.svelte'
import type { Page, Route } from './lib/router.svelte'

const rooms = import.meta.glob<Page>('./features/{docs,me,operate,help}/*Page.svelte', { import: 'default' })

function lazy(name: string): () => Promise<Page> {
  return rooms[`./features/${name}.svelte`] ?? (() => Promise.reject(new Error(`no page ${name}`)))
}

export const routes: Route[] = [
  { pattern: '/', page: () => ChatPage },
  { pattern: '/chat', page: () => ChatPage },
  { pattern: '/chat/{id}', page: () => ChatPage },
  { pattern: '/docs', page: lazy('docs/BasesPage') },
  { pattern: '/docs/{base}', page: lazy('docs/BasePage') },
  { pattern: '/docs/{base}/test', page: lazy('docs/BasePage') },
  { pattern: '/docs/{base}/settings', page: lazy('docs/BasePage') },
  { pattern: '/docs/{base}/{doc}', page: lazy('docs/DocumentPage') },
  { pattern: '/me', page: lazy('me/MePage') },
  { pattern: '/operate', page: lazy('operate/ModelsPage') },
  { pattern: '/operate/models', page: lazy('operate/ModelsPage') },
  { pattern: '/operate/users', page: lazy('operate/UsersPage') },
  { pattern: '/help', page: lazy('help/HelpPage') },
  { pattern: '/help/{page}', page: lazy('help/HelpPage') },
]
