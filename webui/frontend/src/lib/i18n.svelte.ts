// Sentences and figures in the reader's language. Keys are typed: a missing one doesn't compile.
import type en from '../../../locales/en.json'
import type ja from '../../../locales/ja.json'
import type { Language } from './api/types'
import type { ServerKey } from './locale-keys'
import { fill } from './sentence'

export type Key = Exclude<keyof typeof en & keyof typeof ja, ServerKey>
type Values = Record<string, string | number>

const load: Record<Language, () => Promise<{ default: Record<string, string> }>> = {
  ja: () => import('../../../locales/ja.json'),
  en: () => import('../../../locales/en.json'),
}

const current = $state<{ language: Language; sentences: Record<string, string> }>({ language: 'ja', sentences: {} })

export const language = (): Language => current.language

/** Load a language and switch to it at once, everywhere. */
export async function speak(wanted: Language): Promise<void> {
  const { default: sentences } = await load[wanted]()
  current.language = wanted
  current.sentences = sentences
  document.documentElement.lang = wanted
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
