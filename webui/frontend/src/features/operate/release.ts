// What a change of the box's release looks like from outside: its stages, how far it is, how it ended.
import type { Change, Phase, Plan, Progress, Release, Seen, Standing } from '../../lib/api/release'

/** Whether the box can be heard, and if not, what keeps us from it. */
export type Contact = 'here' | 'away' | 'sealed' | 'out'
export type StageState = 'past' | 'now' | 'wait'
export type Stage = { name: 'stop' | 'halt' | 'start' | 'check'; state: StageState }

const RESTING: Phase[] = ['idle', 'staged', 'installed', 'committed', 'rolled-back']
const AT: Partial<Record<Phase, number>> = { wanted: 0, snapshot: 1, switched: 1, probing: 2 }

/** In the order in which the box looks at itself; see `hako update check`. */
export const PARTS = ['state', 'sign-in', 'answer', 'document', 'audit', 'egress'] as const

export const isGoing = ({ phase }: Pick<Progress, 'phase'>): boolean => !RESTING.includes(phase)
export const isTrial = ({ phase }: Pick<Progress, 'phase'>): boolean => phase === 'switched' || phase === 'probing'

/** What has been heard last decides: while the box is away nobody knows more. A locked one has started. */
export function stages(phase: Phase, contact: Contact = 'here'): Stage[] {
  const names: Stage['name'][] = phase === 'rolling-back' || phase === 'rolled-back' ? ['halt', 'start'] : ['stop', 'start', 'check']
  const heard = RESTING.includes(phase) ? names.length : (AT[phase] ?? 0)
  const at = contact === 'sealed' ? Math.max(1, heard) : heard
  return names.map((name, i) => ({ name, state: i < at ? 'past' : i === at ? 'now' : 'wait' }))
}

/** Each part of the present look, and the one that is being looked at. */
export function parts(seen: Seen | null): { name: string; state: StageState | 'bad' }[] {
  const passed = seen?.passed ?? []
  const rest = PARTS.filter((name) => !passed.includes(name) && name !== seen?.failed)
  const failed = seen?.failed ? [{ name: seen.failed, state: 'bad' as const }] : []
  return [
    ...passed.map((name) => ({ name, state: 'past' as const })), ...failed,
    ...rest.map((name, i) => ({ name, state: i === 0 && !failed.length && seen ? ('now' as const) : ('wait' as const) })),
  ]
}

/** Seconds that nobody can work, as the plan says. */
export const standstill = ({ time }: Pick<Plan, 'time'>): number => time.stop_s + time.start_s + time.check_s

/** Whole minutes, never none: nobody can use “0 minutes”. */
export const minutes = (seconds: number): number => Math.max(1, Math.ceil(seconds / 60))

export type End = { kind: 'kept' | 'taken-back' | 'gone-back' | 'no-room'; change: Change }

/** How the change that began at `began` has ended; what the box remembers may be of an earlier one. */
export function ended(standing: Standing, began: string): End | null {
  if (isGoing(standing)) return null
  const { last, phase, reason, target, running } = standing
  const known = last?.at && (!began || Date.parse(last.at) >= Date.parse(began)) ? last : null
  const change = known ?? {
    version: target?.version ?? '', before: running.version, kept: phase === 'committed', on_trial: true,
    reason, code: '', by: '', at: null, stood_still_s: null,
  }
  if (!known && phase === 'installed') return { kind: 'no-room', change }
  return { kind: change.kept ? 'kept' : change.on_trial ? 'taken-back' : 'gone-back', change }
}

/** Whether this release was tried on this box before and found wanting; not one that somebody took back. */
export const hasFailed = (last: Change | null, release: Release | null): boolean => !!last && !!release && !last.kept && last.on_trial && last.reason !== 'operator' && last.version === release.version

/** Jobs as one number: what kinds there are is the box's own affair. */
export const jobsOf = ({ now }: Pick<Plan, 'now'>): number => Object.values(now.jobs).reduce((sum, n) => sum + n, 0)
