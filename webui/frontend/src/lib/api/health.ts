// How the box is, as `/api/v1/health` and `/api/v1/wall` tell it.
import type { Params } from './types'

export type HealthState = 'ok' | 'unknown' | 'warning' | 'error'
export type HealthWords = { word: string; params: Params }
export type HealthCheck = {
  name: string
  group: 'machine' | 'box' | 'trust'
  state: HealthState
  value: HealthWords | null
  note: HealthWords | null
  checked_at: string
}
export type HealthFinding = {
  key: string
  check: string
  name: string
  state: 'warning' | 'error'
  code: string
  params: Params
  since: string
  snoozed_until: string | null
  /** do: a button, by the name of a fix; go: a link to a page of the app */
  fix: { kind: 'do' | 'go'; name: string } | null
}
export type HealthFindings = { state: HealthState; findings: HealthFinding[] }
export type Health = HealthFindings & { checked_at: string | null; up_since: string; checks: HealthCheck[] }

export type Span = '24h' | '7d' | '90d'
/** seconds since the epoch, and the value */
export type Point = [number, number]
export type History = { items: { name: string; points: Point[] }[] }
export type Now = {
  at: string
  /** 0 to 1 */
  cpu: number
  memory: { used: number; total: number }
  tokens_per_s: number
  waiting: number
  running: number
}

export type WallLink = { id: string; name: string; created_at: string; seen_at: string | null }
export type NewWallLink = { path: string; item: WallLink }

/** what a support kit holds */
export type Kit = { files: { name: string; bytes: number; about: string }[] }
