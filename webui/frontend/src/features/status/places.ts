// What a link to another page of the app is called.
import { t, type Key } from '../../lib/i18n.svelte'

const PAGES: Record<string, Key> = {
  '/operate/backup': 'nav.backup',
  '/operate/models': 'nav.models',
  '/operate/update': 'nav.update',
  '/operate/users': 'nav.users',
  '/operate/capacity': 'nav.capacity',
  '/audit/log': 'nav.record',
  '/audit/airgap': 'nav.airgap',
  '/docs': 'nav.docs',
}

/** “Open Backup”; the longest address that fits counts. */
export function place(path: string): string {
  const known = Object.keys(PAGES).filter((one) => path === one || path.startsWith(`${one}/`)).sort((a, b) => b.length - a.length)[0]
  const key = known && PAGES[known]
  return key ? t('status.go', { page: t(key) }) : t('status.go_there')
}
