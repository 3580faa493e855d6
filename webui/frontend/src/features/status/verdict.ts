// How the box is, in one sentence: from its findings, and only as long as somebody has looked lately.
import type { Health, HealthFinding, HealthState } from '../../lib/api/health'
import type { Key } from '../../lib/i18n.svelte'
import type { LampState } from '../../ui/Lamp.svelte'

export const LAMPS: Record<HealthState, LampState> = { ok: 'ok', unknown: 'unknown', warning: 'warn', error: 'bad' }

/** Looks that are older say nothing about now. */
export const STALE_S = 15 * 60

type Verdict = { state: HealthState; word: Key; count: number }

/** Those that somebody is to see now. */
export const open = (findings: HealthFinding[]): HealthFinding[] => findings.filter(({ snoozed_until }) => snoozed_until === null)

export function verdict(health: Pick<Health, 'findings' | 'checked_at'>, now: number): Verdict {
  if (health.checked_at === null) return { state: 'unknown', word: 'status.verdict_new', count: 0 }
  if (now - Date.parse(health.checked_at) > STALE_S * 1000) return { state: 'unknown', word: 'status.verdict_old', count: 0 }
  const shown = open(health.findings)
  const count = shown.length
  if (shown.some(({ state }) => state === 'error')) return { state: 'error', word: count === 1 ? 'status.verdict_error_one' : 'status.verdict_error', count }
  if (count > 0) return { state: 'warning', word: count === 1 ? 'status.verdict_warning_one' : 'status.verdict_warning', count }
  return { state: 'ok', word: 'status.verdict_ok', count }
}
