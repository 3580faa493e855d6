// Measuring a model on this box: one request that tells its stages as they begin; who leaves stops it.
import { open, path, problem } from '../../lib/api/client'
import { events } from '../../lib/api/sse'
import type { Measured, Model } from '../../lib/api/types'

export type MeasuringStage = 'loading' | 'alone' | 'together' | 'embedding'

export const STAGES: Record<'chat' | 'embedding', MeasuringStage[]> = {
  chat: ['loading', 'alone', 'together'],
  embedding: ['loading', 'embedding'],
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
