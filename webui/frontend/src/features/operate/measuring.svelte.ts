// Measuring a model on this box: one request that tells its stages as they begin; who leaves stops it.
import { open, path, problem } from '../../lib/api/client'
import { events } from '../../lib/api/sse'
import type { Capacity, Measured, Model } from '../../lib/api/types'
import { t } from '../../lib/i18n.svelte'

export type MeasuringStage = 'loading' | 'quoting' | 'alone' | 'long' | 'together' | 'embedding'

/** Of a model; only one engine can guess words. */
export function stagesOf({ kind, engine }: Pick<Model, 'kind' | 'engine'>): MeasuringStage[] {
  if (kind === 'embedding') return ['loading', 'embedding']
  return engine === 'llama' ? ['loading', 'quoting', 'alone', 'long', 'together'] : ['loading', 'alone', 'long', 'together']
}

/** What a model's figures mean for people, in one sentence or two. */
export function served(means: Capacity): string {
  const { people, each_per_s: each, long_tokens: tokens, long_wait_s: wait } = means
  return wait === null ? t('model.serves_short', { people, each, tokens }) : t('model.serves', { people, each, tokens, wait })
}

/** The figures at its end; throws ApiError. */
export async function measure(model: Model, signal: AbortSignal, onstage: (stage: MeasuringStage) => void): Promise<Measured> {
  const response = await open(path`/models/${model.id}/bench`, {
    method: 'POST',
    signal,
    headers: { Accept: 'text/event-stream', 'Content-Type': 'application/json' },
    body: '{}',
  })
  for await (const { event, data } of events(response)) {
    const told: unknown = JSON.parse(data)
    if (event === 'stage') onstage((told as { stage: MeasuringStage }).stage)
    else if (event === 'done') return told as Measured
    else if (event === 'error') throw problem(500, told)
  }
  throw problem(500, null)
}
