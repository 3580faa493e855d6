// All addresses of the app. Chat comes with the first load; the other rooms when somebody goes there.
import ChatPage from './features/chat/ChatPage.svelte'
import { learn } from './lib/i18n.svelte'
import type { Room } from './lib/locale-keys'
import type { Page, Route } from './lib/router.svelte'

const rooms = import.meta.glob<Page>('./features/{docs,web,playground,me,operate,machine,status,audit,help}/*Page.svelte', { import: 'default' })

function lazy(name: string): () => Promise<Page> {
  return rooms[`./features/${name}.svelte`] ?? (() => Promise.reject(new Error(`no page ${name}`)))
}

/** A page whose room's sentences come with it. */
function late(room: Room, name: string): () => Promise<Page> {
  const page = lazy(name)
  return async () => (await Promise.all([page(), learn(room)]))[0]
}

export const routes: Route[] = [
  { pattern: '/', page: () => ChatPage },
  { pattern: '/chat', page: () => ChatPage },
  { pattern: '/chat/{id}', page: () => ChatPage },
  { pattern: '/docs', page: lazy('docs/BasesPage') },
  { pattern: '/docs/web', page: late('web', 'web/WebPage') },
  { pattern: '/docs/web/{snapshot}', page: late('web', 'web/SnapshotPage') },
  { pattern: '/docs/{base}', page: lazy('docs/BasePage') },
  { pattern: '/docs/{base}/test', page: lazy('docs/BasePage') },
  { pattern: '/docs/{base}/settings', page: lazy('docs/BasePage') },
  { pattern: '/docs/{base}/{doc}', page: lazy('docs/DocumentPage') },
  { pattern: '/playground', page: late('play', 'playground/PlaygroundPage') },
  { pattern: '/me', page: late('me', 'me/MePage') },
  { pattern: '/operate', page: late('status', 'status/StatusPage') },
  { pattern: '/operate/models', page: late('operate', 'operate/ModelsPage') },
  { pattern: '/operate/models/import', page: late('operate', 'operate/ModelImportPage') },
  { pattern: '/operate/models/{id}', page: late('operate', 'operate/ModelPage') },
  { pattern: '/operate/capacity', page: late('operate', 'operate/CapacityPage') },
  { pattern: '/operate/update', page: late('operate', 'operate/UpdatePage') },
  { pattern: '/operate/update/release', page: late('operate', 'operate/ReleasePage') },
  { pattern: '/operate/backup', page: late('operate', 'operate/BackupPage') },
  { pattern: '/operate/machine', page: late('machine', 'machine/MachinePage') },
  { pattern: '/operate/users', page: late('operate', 'operate/UsersPage') },
  { pattern: '/audit', page: late('audit', 'audit/RecordPage') },
  { pattern: '/audit/log', page: late('audit', 'audit/RecordPage') },
  { pattern: '/audit/airgap', page: late('audit', 'audit/AirgapPage') },
  { pattern: '/help', page: lazy('help/HelpPage') },
  { pattern: '/help/{page}', page: lazy('help/HelpPage') },
]
