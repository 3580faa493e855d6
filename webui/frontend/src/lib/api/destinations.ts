// Other machines that an operator has named, as `/api/v1/destinations` tells them.

export type NamedMachine = {
  name: string
  kind: 'models' | 'alerts'
  url: string
  address: string
  fingerprint: string
  own_ca: boolean
  has_key: boolean
  /** of one for alerts: how the last one went */
  alerts: AlertsState | null
}
export type AlertsState = {
  /** ok, or a code; empty before the first alert */
  result: string
  failing_since: string | null
  next_at: string | null
  taken: { at: string; count: number; changes: Change[] } | null
  failed: { at: string; code: string; title: string } | null
}
/** what an alert tells; without names */
export type Change = { change: 'new' | 'worse' | 'gone'; check: string; name: string; state: string; code: string }
