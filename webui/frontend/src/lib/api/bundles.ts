// What the JSON API says of bundles; the server's side is webui/api/bundles.py.
import type { Language, Problem } from './types'

export type Publisher = {
  fingerprint: string
  version: number
  expires: string
  roles: Record<string, { keys: number; threshold: number }>
}
export type TrustedPublisher = Publisher & { set_by: string; set_at: string }

export type Medium = { id: string; name: string; folder: string }
export type BundleMedia = { items: Medium[]; folders: string[] }

export type BundleKind = 'release' | 'models' | 'knowledge' | 'apps' | 'web'
export type PackedModel = { id: string; name: string; size_bytes: number; state: 'new' | 'there' | 'other' }
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
  size_bytes: number
  issued: string
  plan: BundlePlan
}
export type BundleLook = {
  publisher: string
  issued: string
  clock_is_credible: boolean
  /** version of a newer root that can't be followed */
  broken_chain: number | null
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
