// Small facts in a row, as each language writes them: 英語だけ・使えます / English only · ready.
import type { Citation, Stage } from '../../lib/api/types'
import { left } from '../../lib/format'
import { language, t } from '../../lib/i18n.svelte'

export function dotted(...words: (string | false | null | undefined)[]): string {
  return words.filter(Boolean).join(language() === 'ja' ? '・' : ' · ')
}

export const documentName = (source: { title: string; document: string }) => source.title || source.document

/** 就業規則、11ページ */
export function sourceLine(citation: Pick<Citation, 'title' | 'document' | 'page'>): string {
  return `${documentName(citation)}${language() === 'ja' ? '、' : ', '}${t('chat.page', { n: citation.page })}`
}

/** What the box is doing now. */
export function stageWords({ stage, position, wait_s, documents, passages }: Stage): string {
  switch (stage) {
    case 'queued':
      return dotted(position ? t('chat.stage_place', { n: position }) : t('chat.stage_queued'), wait_s ? left(wait_s) : null)
    case 'searching':
      return t('chat.stage_searching')
    case 'reading':
      return documents && passages ? t('chat.stage_reading', { documents, passages }) : t('chat.stage_reading_plain')
    case 'loading':
      return t('chat.stage_loading')
    case 'thinking':
      return t('chat.stage_thinking')
    case 'writing':
      return t('chat.stage_writing')
  }
}
