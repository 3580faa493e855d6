// What an estimate of a model's memory says, in a word and a lamp.
import type { MemoryEstimate } from '../../lib/api/types'
import { bytes } from '../../lib/format'
import { t } from '../../lib/i18n.svelte'
import type { LampState } from '../../ui/Lamp.svelte'

export const lamps: Record<MemoryEstimate['verdict'], LampState> = { fits: 'ok', tight: 'warn', too_big: 'bad' }

/** Whether it fits; for one that is too big, by what it is held to. */
export function verdict(estimate: MemoryEstimate): string {
  if (estimate.cause === 'limit') return t('operate.over_limit', { limit: bytes(estimate.limit_bytes), over: bytes(estimate.over_bytes) })
  return t(`operate.${estimate.verdict}`)
}
