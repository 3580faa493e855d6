// Sentences and figures in the reader's language. Keys are typed: a missing one doesn't compile.
import type en from '../../../locales/en.json'
import type ja from '../../../locales/ja.json'
import type { Language } from './api/types'
import type { AppKey, Room } from './locale-keys'
import { fill } from './sentence'

export type Key = AppKey<keyof typeof en & keyof typeof ja>
type Values = Record<string, string | number>

type Load = Record<Language, () => Promise<{ default: Record<string, string> }>>
const load: Load = {
  ja: () => import('../../../locales/ja.json'),
  en: () => import('../../../locales/en.json'),
}
const rooms: Record<Room, Load> = {
  play: { ja: () => import('../../../locales/ja.json?room=play'), en: () => import('../../../locales/en.json?room=play') },
  me: { ja: () => import('../../../locales/ja.json?room=me'), en: () => import('../../../locales/en.json?room=me') },
  operate: { ja: () => import('../../../locales/ja.json?room=operate'), en: () => import('../../../locales/en.json?room=operate') },
  machine: { ja: () => import('../../../locales/ja.json?room=machine'), en: () => import('../../../locales/en.json?room=machine') },
  audit: { ja: () => import('../../../locales/ja.json?room=audit'), en: () => import('../../../locales/en.json?room=audit') },
  web: { ja: () => import('../../../locales/ja.json?room=web'), en: () => import('../../../locales/en.json?room=web') },
  status: { ja: () => import('../../../locales/ja.json?room=status'), en: () => import('../../../locales/en.json?room=status') },
}
const learned = new Set<Room>()

const current = $state<{ language: Language; sentences: Record<string, string> }>({ language: 'ja', sentences: {} })

export const language = (): Language => current.language

let spoken: Language = 'ja'
let renewing: Promise<void> = Promise.resolve()

/** Load a language and switch to it at once, everywhere. */
export function speak(wanted: Language): Promise<void> {
  spoken = wanted
  return renew()
}

/** The sentences of a room that aren't there from the start; before its page is shown. */
export function learn(room: Room): Promise<void> {
  learned.add(room)
  return renew()
}

/** One after the other: a room that is learned while the language changes must not bring the old one back. */
function renew(): Promise<void> {
  const next = async () => {
    const wanted = spoken
    current.sentences = await catalogue(wanted)
    current.language = wanted
    document.documentElement.lang = wanted
  }
  renewing = renewing.then(next, next)
  return renewing
}

async function catalogue(wanted: Language): Promise<Record<string, string>> {
  const parts = await Promise.all([load[wanted](), ...[...learned].map((room) => rooms[room][wanted]())])
  return Object.assign({}, ...parts.map(({ default: sentences }) => sentences)) as Record<string, string>
}

/** The sentence of a key; `{name}` is filled from `values`, numbers in the reader's way of writing. */
export function t(key: Key, values: Values = {}): string {
  return fill(current.sentences[key] ?? key, values, current.language)
}

/** For keys made from data, e.g. a state's name: the sentence, or `otherwise`. */
export function tMaybe(key: string, otherwise: string, values: Values = {}): string {
  const sentence = current.sentences[key]
  return sentence === undefined ? otherwise : fill(sentence, values, current.language)
}
