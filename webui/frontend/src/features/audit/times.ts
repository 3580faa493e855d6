// Moments of the record to the second, where the reader is.
import { language } from '../../lib/i18n.svelte'

const locale = () => (language() === 'ja' ? 'ja-JP' : 'en-GB')

/** 14:02:09 */
export const timeExact = (iso: string): string => new Intl.DateTimeFormat(locale(), { hour: '2-digit', minute: '2-digit', second: '2-digit', hour12: false }).format(new Date(iso))

/** 2026年11月23日 14:02:09 JST: with the zone that it is told in */
export function exactly(iso: string): string {
  const format = new Intl.DateTimeFormat(locale(), {
    year: 'numeric', month: 'long', day: 'numeric', hour: '2-digit', minute: '2-digit', second: '2-digit', hour12: false, timeZoneName: 'short',
  })
  return format.format(new Date(iso))
}
