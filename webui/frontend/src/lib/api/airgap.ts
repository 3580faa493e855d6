// The proof of the air gap, as `/api/v1/airgap` tells it: already in the reader's words.

export type PartState = 'ok' | 'warning' | 'error' | 'unknown'
export type Part = {
  name: string
  state: PartState
  title: string
  says: string[]
  facts: [string, string][]
  columns: string[]
  rows: string[][]
  text: string
}
/** `sha256` of what was signed; the record of actions has it, too */
export type Made = { sha256: string; at: string; verdict: Verdict; fingerprint: string }
export type Verdict = 'closed' | 'named' | 'unproven' | 'open'
export type Airgap = { verdict: Verdict; sentence: string; at: string; fingerprint: string; parts: Part[]; report: Made | null }
