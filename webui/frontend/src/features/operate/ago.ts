// How long ago something was, in the words that people use of backups.
import { t } from '../../lib/i18n.svelte'

const MINUTE = 60
const HOUR = 3600
const DAY = 24 * HOUR

export function ago(iso: string, now = Date.now()): string {
  const s = (now - new Date(iso).getTime()) / 1000
  if (s < 2 * MINUTE) return t('backup.ago_now')
  if (s < 2 * HOUR) return t('backup.ago_minutes', { n: Math.floor(s / MINUTE) })
  if (s < 2 * DAY) return t('backup.ago_hours', { n: Math.floor(s / HOUR) })
  return t('backup.ago_days', { n: Math.floor(s / DAY) })
}
