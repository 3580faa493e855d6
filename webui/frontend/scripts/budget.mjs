// After the build: keeps the size budget, packs files for servers that send them as they are, collects licences.
import { readFile, readdir, stat, writeFile } from 'node:fs/promises'
import { brotliCompressSync, constants, gzipSync } from 'node:zlib'

const dist = new URL('../../static/dist/', import.meta.url)
const modules = new URL('../node_modules/', import.meta.url)
const INITIAL_KB = 90
const CHUNK_KB = 120
const SHIPPED = ['@fontsource-variable/ibm-plex-sans', '@fontsource/ibm-plex-mono', '@lucide/svelte', 'dompurify', 'marked', 'svelte', 'uplot']

const manifest = JSON.parse(await readFile(new URL('.vite/manifest.json', dist), 'utf8'))
const packed = new Map()

for (const file of await readdir(dist, { recursive: true })) {
  const url = new URL(file, dist)
  if (!/\.(js|css|svg|txt)$/.test(file) || !(await stat(url)).isFile()) continue
  const content = await readFile(url)
  const gz = gzipSync(content, { level: 9 })
  packed.set(file, gz.length)
  await writeFile(`${url.pathname}.gz`, gz)
  await writeFile(`${url.pathname}.br`, brotliCompressSync(content, { params: { [constants.BROTLI_PARAM_QUALITY]: 11 } }))
}

const initial = new Set()
const visit = (name) => {
  const chunk = manifest[name]
  if (!chunk || initial.has(chunk.file)) return
  for (const file of [chunk.file, ...(chunk.css ?? [])]) initial.add(file)
  chunk.imports?.forEach(visit)
}
visit('src/main.ts')
visit('../locales/ja.json')
const font = Object.values(manifest).flatMap((chunk) => chunk.assets ?? []).find((file) => file.includes('hako-latin-') && !file.includes('-ext'))
if (font) initial.add(font)

let total = 0
for (const file of initial) total += packed.get(file) ?? (await stat(new URL(file, dist))).size
const kb = (bytes) => (bytes / 1024).toFixed(1)
console.log(`initial load: ${kb(total)} KB of ${INITIAL_KB} (scripts, styles, one language, one font)`)

const faults = [...packed].filter(([file, size]) => /\.(js|css)$/.test(file) && size > CHUNK_KB * 1024).map(([file, size]) => `${file}: ${kb(size)} KB, over ${CHUNK_KB}`)
if (total > INITIAL_KB * 1024) faults.push(`initial load ${kb(total)} KB, over ${INITIAL_KB}`)

const licences = []
for (const name of SHIPPED) {
  const folder = new URL(`${name}/`, modules)
  const { version, license } = JSON.parse(await readFile(new URL('package.json', folder), 'utf8'))
  const file = (await readdir(folder)).find((entry) => /^licen[cs]e/i.test(entry))
  if (!file) faults.push(`${name}: no licence file`)
  else licences.push(`${name} ${version} (${license})\n\n${await readFile(new URL(file, folder), 'utf8')}`)
}
await writeFile(new URL('LICENCES.txt', dist), licences.join(`\n${'-'.repeat(72)}\n\n`))

for (const fault of faults) console.error(fault)
if (faults.length) process.exit(1)
