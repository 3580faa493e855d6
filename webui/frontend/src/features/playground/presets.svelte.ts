// Presets one may use: one's own and shared ones, kept by the box.
import { ApiError, api, path } from '../../lib/api/client'
import type { List } from '../../lib/api/types'
import { t } from '../../lib/i18n.svelte'
import type { Sampling } from './sampling'

export type Preset = {
  id: string
  name: string
  system: string
  sampling: Sampling
  shared: boolean
  changeable: boolean
  updated_at: string
}
export type Content = { name?: string; system?: string; sampling?: Sampling; shared?: boolean }
const LARGEST_FILE = 512 * 1024

let items = $state.raw<Preset[]>([])
const order = (list: Preset[]) => list.toSorted((a, b) => Number(a.shared) - Number(b.shared) || a.name.localeCompare(b.name))

function put(preset: Preset): Preset {
  items = order([...items.filter(({ id }) => id !== preset.id), preset])
  return preset
}

export const presets = {
  get items() {
    return items
  },
  find: (id: string) => items.find((preset) => preset.id === id),
  async load(): Promise<void> {
    items = (await api.get<List<Preset>>('/presets')).items
  },
  create: async (content: Content) => put(await api.post<Preset>('/presets', content)),
  change: async (id: string, content: Content) => put(await api.patch<Preset>(path`/presets/${id}`, content)),
  async remove(id: string): Promise<void> {
    await api.delete(path`/presets/${id}`)
    items = items.filter((preset) => preset.id !== id)
  },
  exportOf: (id: string) => `/api/v1${path`/presets/${id}/export`}`,
  /** Take in an exported file; what is no such file is refused here or by the box. */
  async take(file: File): Promise<Preset> {
    const unreadable = new ApiError(400, 'HK-BOX-003', t('play.file_fault'))
    let content: unknown
    try {
      content = file.size <= LARGEST_FILE ? JSON.parse(await file.text()) : null
    } catch {
      throw unreadable
    }
    if (typeof content !== 'object' || content === null) throw unreadable
    try {
      return put(await api.post<Preset>('/presets/import', content))
    } catch (caught) {
      throw caught instanceof ApiError && caught.code === 'HK-BOX-003' ? unreadable : caught
    }
  },
}
