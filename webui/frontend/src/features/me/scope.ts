// What an API key may do: as a form holds it, as the box takes it, and in words.
import type { Dialect, KeyScope, ModelRights } from '../../lib/api/types'
import { dateTime } from '../../lib/format'
import { t } from '../../lib/i18n.svelte'

export const MOST_A_MINUTE = 100_000

/** null: all of them; an empty list: not chosen yet */
export type Choice = string[] | null
export type Draft = { models: Choice; base_ids: Choice; dialects: Choice; may_write: boolean; model_rights: ModelRights; only_metrics: boolean; rate: string; until: string }
export type Known = { id: string; name: string }

export const dialects = (): { id: Dialect; name: string }[] => [
  { id: 'openai', name: 'OpenAI' },
  { id: 'anthropic', name: 'Anthropic' },
  { id: 'ollama', name: 'Ollama' },
  { id: 'lmstudio', name: 'LM Studio' },
  { id: 'rerank', name: t('me.dialect_rerank') },
  { id: 'hako', name: t('me.dialect_hako') },
]

export const RIGHTS: readonly ModelRights[] = ['none', 'aliases', 'remove']

export const whole = (): Draft => ({ models: null, base_ids: null, dialects: null, may_write: true, model_rights: 'none', only_metrics: false, rate: '', until: '' })

const some = (ids: string[]): Choice => (ids.length > 0 ? [...ids] : null)

export function draftOf(scope: KeyScope): Draft {
  return {
    models: some(scope.models),
    base_ids: some(scope.base_ids),
    dialects: some(scope.dialects),
    may_write: scope.may_write,
    model_rights: scope.model_rights,
    only_metrics: scope.only_metrics,
    rate: scope.requests_per_minute === null ? '' : String(scope.requests_per_minute),
    until: scope.expires_at === null ? '' : day(new Date(scope.expires_at)),
  }
}

/** yyyy-mm-dd where the reader is, as date fields want it */
export function day(at: Date): string {
  const two = (value: number) => String(value).padStart(2, '0')
  return `${String(at.getFullYear()).padStart(4, '0')}-${two(at.getMonth() + 1)}-${two(at.getDate())}`
}

const isRate = (text: string) => /^\d{1,6}$/.test(text) && Number(text) >= 1 && Number(text) <= MOST_A_MINUTE

/** Sentences for what won't do, by field; a day that stays as it was may have passed. */
export function faults(draft: Draft, was: Draft = whole(), today = day(new Date())): Partial<Record<keyof Draft, string>> {
  const found: Partial<Record<keyof Draft, string>> = {}
  for (const name of ['models', 'base_ids', 'dialects'] as const) if (draft[name]?.length === 0) found[name] = t('me.key_some_missing')
  if (draft.rate.trim() && !isRate(draft.rate.trim())) found.rate = t('me.key_rate_wrong')
  if (draft.until && draft.until !== was.until && draft.until < today) found.until = t('me.key_until_past')
  return found
}

/** The whole scope for the box, but its end only if that was changed: the field knows the day, not the moment. */
export function asked(draft: Draft, was: Draft = whole()): Partial<KeyScope> {
  return {
    models: draft.models ?? [],
    base_ids: draft.base_ids ?? [],
    dialects: (draft.dialects ?? []) as Dialect[],
    may_write: draft.may_write,
    model_rights: draft.model_rights,
    only_metrics: draft.only_metrics,
    requests_per_minute: draft.rate.trim() ? Number(draft.rate.trim()) : null,
    ...(draft.until === was.until ? {} : { expires_at: draft.until ? new Date(`${draft.until}T23:59:59.999`).toISOString() : null }),
  }
}

export const expired = (scope: KeyScope, now = Date.now()): boolean => scope.expires_at !== null && Date.parse(scope.expires_at) <= now

/** Each limit in words; one sentence for none. */
export function words(scope: KeyScope, models: Known[], bases: Known[], now = Date.now()): string[] {
  const named = (ids: string[], known: Known[]) => ids.map((id) => known.find((one) => one.id === id)?.name ?? id).join(t('docs.dot'))
  const said: string[] = []
  if (scope.models.length > 0) said.push(t('me.scope_models', { list: named(scope.models, models) }))
  if (scope.base_ids.length > 0) said.push(t('me.scope_bases', { list: named(scope.base_ids, bases) }))
  if (scope.dialects.length > 0) said.push(t('me.scope_dialects', { list: named(scope.dialects, dialects()) }))
  if (!scope.may_write) said.push(t('me.scope_reads'))
  if (scope.requests_per_minute !== null) said.push(t('me.scope_rate', { n: scope.requests_per_minute }))
  if (scope.only_metrics) said.push(t('mine.scope_metrics'))
  if (said.length === 0) said.push(t('me.scope_whole'))
  if (scope.model_rights !== 'none') said.push(t(`me.scope_model_${scope.model_rights}`))
  if (scope.expires_at !== null) said.push(t(expired(scope, now) ? 'me.scope_expired' : 'me.scope_until', { at: dateTime(scope.expires_at) }))
  return said
}
