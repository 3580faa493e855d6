// The chat models of the box, and what there is to say honestly about each.
import { api } from '../../lib/api/client'
import type { List, Model } from '../../lib/api/types'
import { language, t } from '../../lib/i18n.svelte'
import { dotted } from './words'

let items = $state.raw<Model[]>([])
let loaded = $state(false)

export const models = {
  get items() {
    return items
  },
  get loaded() {
    return loaded
  },
  find: (id: string) => items.find((model) => model.id === id),
  /** The name of a model, or its id if it is gone. */
  name: (id: string) => models.find(id)?.name ?? id,
  /** The wanted model if it is here, else the box's own choice. */
  choose: (wanted: string) => (models.find(wanted) ?? items.find((model) => model.default) ?? items[0])?.id ?? '',
  async load(): Promise<void> {
    items = (await api.get<List<Model>>('/models')).items.filter((model) => model.kind === 'chat')
    loaded = true
  },
}

const states = {
  loaded: 'chat.model_loaded',
  loading: 'chat.model_loading',
  idle: 'chat.model_idle',
  failed: 'chat.model_failed',
  quarantined: 'chat.model_quarantined',
} as const

export function speaks(model: Model | undefined): boolean {
  return !model || model.languages.length === 0 || model.languages.some((code) => code === language() || code === 'und')
}

/** 英語だけ・試用向けの、とても小さいモデル・使えます */
export function modelNote(model: Model): string {
  const only = model.languages.length === 1 ? model.languages[0] : ''
  return dotted(
    only === 'en' && t('chat.model_only_en'),
    only === 'ja' && t('chat.model_only_ja'),
    model.size_class === 'tiny' && t('chat.model_tiny'),
    t(states[model.state]),
  )
}
