// What a person says of a model that is to be imported, and which of it the box is asked with.
import type { ModelPlan, Pooling } from '../../lib/api/types'

export type Words = {
  name: string
  licence: string
  source: string
  languages: string[]
  /** empty for what the box finds out */
  kind: '' | 'embedding' | 'reranker'
  pooling: '' | Pooling
  /** null until the box has said what it would take */
  query_prefix: string | null
  passage_prefix: string | null
  /** empty for the usual one */
  engine: string
  /** what a smaller copy is stored as; empty for none */
  requantise: string
}

export const NO_WORDS: Readonly<Words> = { name: '', licence: '', source: '', languages: [], kind: '', pooling: '', query_prefix: null, passage_prefix: null, engine: '', requantise: '' }

/** What of it changes what the box finds. */
export function looked({ kind, engine }: Words): object {
  return { ...(kind && { kind }), ...(engine && { engine }) }
}

/** All that was said, as far as it has a meaning for what was found; an empty prefix has one. */
export function asked(words: Words, plan: Pick<ModelPlan, 'kind' | 'pooling' | 'smaller'>): object {
  const { name, licence, source, languages, pooling, query_prefix, passage_prefix, requantise } = words
  const plain = Object.fromEntries(Object.entries({ name, licence, source, languages }).filter(([, value]) => value.length > 0))
  const vectors = plan.kind === 'embedding' ? { ...(plan.pooling && pooling && { pooling }), query_prefix: query_prefix ?? '', passage_prefix: passage_prefix ?? '' } : {}
  const copy = plan.smaller.includes(requantise) ? { requantise } : {}
  return { ...plain, ...looked(words), ...vectors, ...copy }
}
