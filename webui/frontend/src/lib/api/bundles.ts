// What the JSON API says of bundles; the server's side is webui/api/bundles.py.
import type { Language, Problem } from './types'

export type Publisher = {
  fingerprint: string
  version: number
  expires: string
  roles: Record<string, { keys: number; threshold: number }>
}
export type TrustedPublisher = Publisher & { set_by: string; set_at: string }

export type Medium = { id: string; name: string; folder: string; /** made by a box */ pack: boolean }
export type BundleMedia = { items: Medium[]; folders: string[] }

export type BundleKind = 'release' | 'system' | 'models' | 'knowledge' | 'apps' | 'web'
export type PackedModel = { id: string; name: string; size_bytes: number; room_bytes: number; state: 'new' | 'there' | 'other' }
export type PackedSnapshot = {
  id: string
  title: Record<Language, string>
  starts: string[]
  captured_at: string
  pages: number
  licence: string
  size_bytes: number
  state: 'new' | 'there'
}
export type BundlePlan = {
  models: PackedModel[]
  snapshots: PackedSnapshot[]
  to_copy_bytes: number
  from_box_bytes: number
  free_bytes: number
  /** of a bundle of documents; `seconds` to read them, null while that can't be told */
  documents: { count: number; size_bytes: number; room_bytes: number; state: 'new' | 'newer' | 'there'; replaces: string; seconds: number | null } | null
  /** of a whole system: about how many seconds until it runs */
  system: { number: number; version: string; before: number; seconds: number } | null
  restarts: string[]
  refusals: Problem[]
}
export type Bundle = {
  digest: string
  kind: BundleKind
  name: string
  version: string
  title: Record<Language, string>
  notes: Record<Language, string>
  licence: string
  provenance: Record<string, string>
  size_bytes: number
  issued: string
  plan: BundlePlan
}
export type Sender = { fingerprint: string; name: string; trusted: boolean }
export type TrustedBox = { fingerprint: string; name: string; set_by: string; set_at: string }
export type Boxes = { own: { name: string; fingerprint: string; receiving_code: string }; items: TrustedBox[] }
export type PackPlan = { name: string; documents: number; size_bytes: number }
export type BundleLook = {
  publisher: string
  /** the box that made it; null for a publisher's */
  sender: Sender | null
  issued: string
  clock_is_credible: boolean
  /** version of a newer root that can't be followed */
  broken_chain: number | null
  /** past its date, which somebody has accepted for a day */
  stale: boolean
  items: Bundle[]
}

export type TakingJob = {
  state: 'waiting' | 'running' | 'done' | 'failed' | 'cancelled'
  cancelling: boolean
  stage: string
  done: number
  total: number
  digest: string
  kind: BundleKind
  name: string
  version: string
  /** something of it is on the box: it can go on */
  kept: boolean
  error: Problem | null
}
export type TakenBundle = {
  digest: string
  kind: BundleKind
  name: string
  version: string
  licence: string
  size_bytes: number
  taken_by: string
  taken_at: string
}

/** A version of a base that came in a bundle. */
export type Pack = {
  id: string
  /** the base that it will take the place of */
  replaces: string | null
  state: 'coming' | 'reading' | 'ready' | 'failed'
  maker: string
  maker_kind: 'publisher' | 'box'
  name: string
  version: string
  licence: string
  base_name: string
  documents: number
  ready: number
  failed: number
  size_bytes: number
  left_s: number | null
  /** the first ones */
  failures: { document_id: string; name: string; error: Problem }[]
}
