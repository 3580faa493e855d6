// The AI models of the box by name, for the API keys' list and forms.
import { api } from '../../lib/api/client'
import type { List, Model } from '../../lib/api/types'

let items = $state.raw<Model[]>([])

export const models = {
  get items() {
    return items
  },
  async load(): Promise<void> {
    items = (await api.get<List<Model>>('/models')).items
  },
}
