// What the JSON API says of backups; the server's side is webui/api/backups.py.
import type { Problem } from './types'

export type BackupAction = 'create' | 'verify' | 'rehearse'
export type BackupState = 'off' | 'waiting' | 'ok' | 'late' | 'failed'
type Marks = { verified_at: string | null; rehearsed_at: string | null }
export type BackupCounts = { users: number; bases: number; documents: number; chats: number; audit: number }

type Ended = { folder: string; ended_at: string; error: Problem | null }
export type Backups = {
  state: BackupState
  folder: string | null
  hours: number
  at: string | null
  keep: number
  /** null: the settings file */
  set_by: string | null
  due_at: string | null
  newest: ({ id: string; made_at: string; folder: string } & Marks) | null
  last: {
    create?: Ended & { size?: number; new_bytes?: number; missing?: number }
    verify?: Ended & { snapshots?: number; size?: number }
    rehearse?: Ended & { made_at: string | null; seconds?: number; counts?: BackupCounts; audit?: number; blobs?: number; opened?: number }
  }
}

export type BackupTarget = {
  folder: string
  name: string
  there: boolean
  writable: boolean
  has_backups: boolean
  own_disk: boolean
  free_bytes: number
  total_bytes: number
}
export type BackupTargets = { items: BackupTarget[]; media: string[] }

export type Snapshot = Marks & {
  id: string
  error: null
  made_at: string
  release: string
  size_bytes: number
  new_bytes: number
  missing: number
  models: { id: string; copied: boolean }[]
  counts: BackupCounts
}
export type BrokenSnapshot = { id: string; error: Problem }
export type ListedSnapshot = Snapshot | BrokenSnapshot

export type BackupJob = {
  id: string
  action: BackupAction
  folder: string
  state: 'waiting' | 'running' | 'done' | 'failed' | 'cancelled'
  cancelling: boolean
  stage: string
  done: number
  total: number
  error: Problem | null
}
