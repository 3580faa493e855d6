// The record of actions, as `/api/v1/audit` tells it.

export const GROUPS = ['access', 'people', 'keys', 'use', 'documents', 'models', 'bundles', 'backups', 'outside', 'record', 'box'] as const
export type Group = (typeof GROUPS)[number]

/** a thing as it is called today; plain: it has no other name, unknown: gone or not for this reader */
export type Named = { kind: string; name: string; state: 'plain' | 'there' | 'gone' | 'unknown' }
export type Entry = {
  number: number
  at: string
  actor: string
  who: { kind: string; name: string; account: string | null }
  action: string
  /** null for an action of another release */
  group: Group | null
  outcome: 'done' | 'failed' | 'stopped'
  target: string
  what: Named | null
  detail: Record<string, string | number>
  /** details that are ids, by what they are called today */
  named: Record<string, Named>
}
/** `newest` is the number of the newest entry of all */
export type Entries = { items: Entry[]; newest: number }

export type Checkpoint = { serial: number; number: number; at: string; name: string }
export type Finding = { key: string; kind: string; first: number; last: number; number: number; accepted: boolean; title: string }
export type Report = {
  sound: boolean
  /** whether every entry was looked at */
  whole: boolean
  at: string
  entries: number
  checkpoints: number
  newest: Checkpoint | null
  findings: Finding[]
}
/** `box` is the SHA-256 of the public key, both in hex */
export type AuditKey = { public_key: string; box: string; newest: Checkpoint | null }
