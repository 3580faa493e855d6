// Builds the web app into webui/static/dist; the Flask shell finds the hashed names in .vite/manifest.json.
import { svelte } from '@sveltejs/vite-plugin-svelte'
import { defineConfig } from 'vitest/config'

// The oldest browsers that closed networks keep (UI.md 10).
const floor = ['chrome114', 'firefox128', 'safari17']

export default defineConfig({
  base: '/static/dist/',
  plugins: [svelte()],
  build: {
    outDir: '../static/dist',
    emptyOutDir: true,
    manifest: true,
    target: floor,
    cssTarget: floor,
    // data: URLs for fonts would break the content security policy
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    rollupOptions: { input: ['src/main.ts', 'src/pages/server.ts'] },
  },
  test: { include: ['src/**/*.test.ts'], environment: 'node' },
})
