// What the JSON API says of the box's own release; the server's side is webui/api/update.py.
import type { Language, Problem } from './types'

export type Release = { version: string; counter: number; floor: number; digest: string; irreversible: boolean }

export type Phase = 'idle' | 'staged' | 'installed' | 'wanted' | 'snapshot' | 'switched' | 'probing' | 'committed' | 'rolling-back' | 'rolled-back'

/** How far a change is. */
export type Progress = {
  phase: Phase
  target: Release | null
  boots_left: number
  reason: string
  /** when the change began, and for how many seconds it has been going on */
  began_at: string | null
  lasted_s: number | null
  /** a trial is decided then at the latest; null while it waits for a person */
  until: string | null
  left_s: number | null
}

/** The look that the box takes at itself on trial. */
export type Seen = { number: number; passed: string[]; failed: string; code: string }

/** A change that has ended. */
export type Change = {
  version: string
  before: string
  kept: boolean
  /** it ended on trial, or before; else an operator went back from one that was kept */
  on_trial: boolean
  reason: string
  code: string
  by: string
  at: string | null
  stood_still_s: number | null
}

export type Standing = Progress & {
  running: Release
  since: string | null
  floor: number
  ready: Release | null
  back: Release | null
  no_way_back: 'none' | 'irreversible' | 'schema' | 'floor' | null
  seen: Seen | null
  last: Change | null
}

export type Package = { name: string; before: string; after: string }

export type Plan = {
  before: Release
  after: Release
  title: Record<Language, string>
  notes: Record<Language, string>
  licence: string
  issued: string | null
  size_bytes: number
  packages: Package[]
  schema_steps: number
  snapshot_bytes: number
  free_bytes: number
  time: { stop_s: number; start_s: number; check_s: number; measured: boolean }
  /** the vault has to be unlocked by a person after the start */
  unlock: boolean
  blockers: Problem[]
  backup: { made_at: string | null; changed_at: string | null; is_older: boolean }
  now: { answers: number; people: number; jobs: Record<string, number> }
}
