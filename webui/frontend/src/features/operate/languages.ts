// What languages a model is good at, short enough for a badge.
import { language, t, tMaybe } from '../../lib/i18n.svelte'

const MANY = 6

function named(code: string): string {
  if (code === 'und') return t('operate.unknown') // nobody said
  try {
    return new Intl.DisplayNames([language()], { type: 'language' }).of(code) ?? code
  } catch {
    return code
  }
}

/** Japanese, English; or the number where a list would be long. */
export function spokenLanguages(codes: string[]): string {
  if (codes.length === 0) return tMaybe('operate.unknown', '–')
  if (codes.length > MANY) return t('operate.languages', { n: codes.length })
  return codes.map(named).join(t('docs.comma'))
}

export const languageNames = (codes: string[]) => codes.map(named).join(t('docs.comma'))
