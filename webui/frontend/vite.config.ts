// Builds the web app into webui/static/dist; the Flask shell finds the hashed names in .vite/manifest.json.
import { svelte } from '@sveltejs/vite-plugin-svelte'
import type { Plugin } from 'vite'
import { defineConfig } from 'vitest/config'
import { ofApp, type Room } from './src/lib/locale-keys'

// The oldest browsers that closed networks keep (UI.md 10).
const floor = ['chrome114', 'firefox128', 'safari17']

// Half of the sentences are the server's own; no browser needs to load them. `ja.json?room=play` has one room's.
const sentencesOfApp: Plugin = {
  name: 'sentences-of-app',
  enforce: 'pre',
  transform(code, id) {
    const asked = /\/locales\/(?:ja|en)\.json(?:\?room=([a-z]+))?$/.exec(id)
    if (!asked) return null
    const sentences = JSON.stringify(ofApp(JSON.parse(code), asked[1] as Room | undefined))
    return asked[1] ? `export default ${sentences}` : sentences // with a query it counts as script, not as JSON
  },
}

export default defineConfig({
  base: '/static/dist/',
  plugins: [sentencesOfApp, svelte()],
  build: {
    outDir: '../static/dist',
    emptyOutDir: true,
    manifest: true,
    target: floor,
    cssTarget: floor,
    // data: URLs for fonts would break the content security policy
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    rollupOptions: { input: ['src/main.ts', 'src/pages/server.ts', 'src/pages/print.ts', 'src/pages/wall.ts'] },
  },
  test: { include: ['src/**/*.test.ts'], environment: 'node' },
})
