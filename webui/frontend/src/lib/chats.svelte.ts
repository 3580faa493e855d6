// The list of one's own chats, shared by the side bar, the palette and the chat page.
import { api, path } from './api/client'
import type { ChatItem, List } from './api/types'
import { month } from './format'
import { t } from './i18n.svelte'

let items = $state.raw<ChatItem[]>([])
let loaded = $state(false)

export const chats = {
  get items() {
    return items
  },
  get loaded() {
    return loaded
  },
  async load(): Promise<void> {
    items = (await api.get<List<ChatItem>>('/chats')).items
    loaded = true
  },
  /** Put a chat on top, or change its title in place. */
  touch(id: string, title: string, moved = true): void {
    const old = items.find((item) => item.id === id)
    const item = { id, title: title || old?.title || '', updated_at: moved || !old ? new Date().toISOString() : old.updated_at }
    items = moved || !old ? [item, ...items.filter((other) => other.id !== id)] : items.map((other) => (other.id === id ? item : other))
  },
  async rename(id: string, title: string): Promise<void> {
    await api.patch(path`/chats/${id}`, { title })
    chats.touch(id, title, false)
  },
  async remove(id: string): Promise<void> {
    await api.delete(path`/chats/${id}`)
    items = items.filter((item) => item.id !== id)
  },
  search: (query: string, signal?: AbortSignal) =>
    api.get<List<ChatItem>>(`/chats?query=${encodeURIComponent(query)}`, signal).then(({ items: found }) => found),
}

export type DayGroup = { name: string; items: ChatItem[] }

const DAY_MS = 86_400_000

/** Chats under 今日, 昨日, この1週間, then months. */
export function byDay(list: ChatItem[], today = new Date()): DayGroup[] {
  const midnight = new Date(today.getFullYear(), today.getMonth(), today.getDate()).getTime()
  const groups: DayGroup[] = []
  for (const item of list) {
    const at = new Date(item.updated_at).getTime()
    const name =
      at >= midnight ? t('nav.today')
      : at >= midnight - DAY_MS ? t('nav.yesterday')
      : at >= midnight - 6 * DAY_MS ? t('nav.this_week')
      : month(item.updated_at)
    const last = groups.at(-1)
    if (last?.name === name) last.items.push(item)
    else groups.push({ name, items: [item] })
  }
  return groups
}
