// Both languages must have the same keys with the same {values}, and every key used in the code must exist.
import { readdir, readFile } from 'node:fs/promises'

const locales = new URL('../../locales/', import.meta.url)
const source = new URL('../src/', import.meta.url)
const read = async (language) => JSON.parse(await readFile(new URL(`${language}.json`, locales), 'utf8'))
const values = (sentence) => [...new Set([...sentence.matchAll(/\{(\w+)/g)].map(([, name]) => name))].sort().join(' ')

const [ja, en] = [await read('ja'), await read('en')]
const faults = []
for (const key of new Set([...Object.keys(ja), ...Object.keys(en)])) {
  if (!(key in ja)) faults.push(`${key}: missing in ja`)
  else if (!(key in en)) faults.push(`${key}: missing in en`)
  else if (!ja[key].trim() || !en[key].trim()) faults.push(`${key}: empty`)
  else if (values(ja[key]) !== values(en[key])) {
    // English may need the number once more to choose a word, but never another value
    faults.push(`${key}: ja takes {${values(ja[key])}}, en {${values(en[key])}}`)
  }
}

for (const file of await readdir(source, { recursive: true })) {
  if (!/\.(svelte|ts)$/.test(file)) continue
  const text = await readFile(new URL(file, source), 'utf8')
  for (const [, key] of text.matchAll(/\bt\('([\w.-]+)'/g)) if (!(key in ja)) faults.push(`${file}: t('${key}') does not exist`)
}

for (const fault of faults) console.error(fault)
if (faults.length) process.exit(1)
console.log(`locales: ${Object.keys(ja).length} keys in both languages`)
