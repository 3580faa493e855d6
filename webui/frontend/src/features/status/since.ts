// How long ago something was, in seconds, minutes, hours or days.
import { t } from '../../lib/i18n.svelte'

export function since(iso: string, now: number): string {
  const s = Math.max(0, Math.round((now - Date.parse(iso)) / 1000))
  if (s < 90) return t('status.ago_seconds', { n: s })
  if (s < 5400) return t('status.ago_minutes', { n: Math.round(s / 60) })
  if (s < 48 * 3600) return t('status.ago_hours', { n: Math.round(s / 3600) })
  return t('status.ago_days', { n: Math.floor(s / 86400) })
}

/** Up for so long: minutes, hours or days. */
export function up(iso: string, now: number): string {
  const s = Math.max(0, (now - Date.parse(iso)) / 1000)
  if (s < 2 * 3600) return t('status.up_minutes', { n: Math.floor(s / 60) })
  if (s < 48 * 3600) return t('status.up_hours', { n: Math.floor(s / 3600) })
  return t('status.up_days', { n: Math.floor(s / 86400) })
}
