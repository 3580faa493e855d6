// The knowledge bases one may read, shared by the side bar, the composer and the documents room.
import { api } from './api/client'
import type { Base, List } from './api/types'

let items = $state.raw<Base[]>([])
let loaded = $state(false)

export const bases = {
  get items() {
    return items
  },
  get loaded() {
    return loaded
  },
  find: (id: string) => items.find((base) => base.id === id),
  async load(): Promise<void> {
    items = (await api.get<List<Base>>('/bases')).items
    loaded = true
  },
}
