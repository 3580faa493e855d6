// How a change of the release ended, in the reader's words.
import type { Change } from '../../lib/api/release'
import { language, t, tMaybe } from '../../lib/i18n.svelte'

/** Sentences one after the other; Japanese has no blank between them. */
export const joined = (...sentences: string[]): string => sentences.filter(Boolean).join(language() === 'ja' ? '' : ' ')

/** What became of it. */
export function outcome({ kept, on_trial, version, before }: Change): string {
  if (kept) return t('release.end_kept', { version })
  const names = { version, before: before || '–' }
  return on_trial ? t('release.end_taken_back', names) : t('release.end_gone_back', names)
}

/** Why it came to nothing, to the point; empty where nothing was wrong. */
export function because({ kept, reason, code, by }: Change): string {
  if (kept || !reason) return ''
  const why = tMaybe(`release.reason_${reason}`, t('release.reason_other', { word: reason }), { name: by })
  return joined(why, code ? t('release.reason_code', { code }) : '')
}
