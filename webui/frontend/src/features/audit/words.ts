// An entry of the record in words: who did what as a sentence, and its details one by one.
import type { Entry, Named } from '../../lib/api/audit'
import { bytes, dateTime, number } from '../../lib/format'
import { t, tMaybe } from '../../lib/i18n.svelte'

export type Piece = { text: string; strong: boolean }
export type Detail = { name: string; word: string; value: string; mono: boolean }

const SHORT = 12
const FIRST_MARK = 0xe000
const MARKS = /([\ue000-\ue0ff])/
const SIZES = new Set(['size', 'sent_bytes', 'bytes'])
/** of these nothing is shown among the details: they have lines of their own */
const APART = new Set(['via', 'from'])
const MONO = new Set(['code', 'findings', 'sha256', 'replaces', 'address', 'version'])

/** Long digests and ids by their beginning. */
export const short = (id: string) => (id.length > SHORT + 4 && /^([a-z]+_)?[0-9a-z]+$/.test(id) ? `${id.slice(0, SHORT)}…` : id)

export const whoWords = ({ who }: Entry): string => tMaybe(`audit.actor.${who.kind}`, who.name, { name: who.name })

/** What something is called, and whether it is still there. */
export function thing({ kind, name, state }: Named, id: string): string {
  const called = name || short(id)
  const words = tMaybe(`audit.target.${kind}`, called, { name: called })
  return tMaybe(`audit.state.${state}`, words, { name: words })
}

export const whatWords = (entry: Entry): string => (entry.what ? thing(entry.what, entry.target) : '–')

/** The sentence in pieces, who and what set off; an action that this release doesn't know keeps its name. */
export function said(entry: Entry): Piece[] {
  const named = Object.entries(entry.named).map(([name, each]) => [name, thing(each, String(entry.detail[name]))])
  const values: Record<string, string> = {
    ...Object.fromEntries(Object.entries(entry.detail).map(([name, value]) => [name, String(value)])),
    ...Object.fromEntries(named),
    who: whoWords(entry),
    what: whatWords(entry),
    action: tMaybe(`audit.action.${entry.action}`, entry.action),
  }
  const names = Object.keys(values)
  const marks = Object.fromEntries(names.map((name, i) => [name, String.fromCharCode(FIRST_MARK + i)]))
  const sentence = tMaybe(`audit.said.${entry.action}`, t('audit.said_other', marks), marks)
  return sentence
    .split(MARKS)
    .filter(Boolean)
    .map((part) => {
      const name = names[part.charCodeAt(0) - FIRST_MARK]
      return { text: name === undefined ? part.replace(/\{\w+\}/g, '–') : (values[name] ?? ''), strong: name === 'who' || name === 'what' }
    })
}

export const sentence = (entry: Entry): string => said(entry).map(({ text }) => text).join('')

export const via = (entry: Entry): string => (entry.detail.via === undefined ? '–' : tMaybe(`audit.value.via.${entry.detail.via}`, String(entry.detail.via)))

/** Everything else that was recorded, with labels and in the reader's way of writing. */
export function details(entry: Entry): Detail[] {
  return Object.entries(entry.detail)
    .filter(([name, value]) => !APART.has(name) && value !== '')
    .map(([name, value]) => ({ name, word: tMaybe(`audit.detail.${name}`, name), value: valueWords(entry, name, value), mono: MONO.has(name) }))
}

function valueWords(entry: Entry, name: string, value: string | number): string {
  const named = entry.named[name]
  if (named) return thing(named, String(value))
  if (name === 'fields') return String(value).split(',').map((one) => tMaybe(`audit.value.fields.${one}`, one)).join(t('docs.comma'))
  if (SIZES.has(name)) return bytes(Number(value))
  if (name === 'made_at' || name === 'issued') return dateTime(new Date(Number(value) * 1000).toISOString())
  if (name === 'entries') return number(Number(value))
  return tMaybe(`audit.value.${name}.${value}`, String(value))
}
