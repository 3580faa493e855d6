// `/machine`: the computer that the box runs on; the server's side is webui/api/machine.py.

export type Card = {
  name: string
  hardware: string
  /** whether a cable is in */
  cable: boolean
  /** as 10.0.0.7/24 */
  addresses: string[]
  gateway: string
  dns: string[]
  dhcp: boolean
  /** found as NAME.local */
  mdns: boolean
}
export type Trial = { interface: string; address: string; left_s: number }
export type Certificate = { subject: string; issuer: string; names: string[]; since: string; until: string; fingerprint: string }
export type Machine = {
  /** whether the box may change it */
  is_ours: boolean
  name: string
  cards: Card[]
  trial: Trial | null
  zone: string
  ntp: boolean
  synchronised: boolean
  brought_certificate: boolean
  now: string
  certificate: Certificate | null
  own_authority: boolean
}
/** `seen`: the browser's clock when the answer came, in milliseconds. */
export type SeenMachine = Machine & { seen: number }
/** `address`: the new one, empty where the network gives it; `word`: keeps it without signing in. */
export type Tried = { trial_s: number; address: string; word: string }

export type SystemPhase = 'idle' | 'staged' | 'writing' | 'waiting' | 'trial' | 'given-up'
export type OneSystem = { number: number; version: string }
/** The system below the box, on a machine with two slots; the server's side is webui/api/system.py. */
export type System = {
  slot: string
  running: OneSystem
  profile: string
  /** what the other slot would start */
  other: OneSystem | null
  /** the other slot can't be started, nor be repaired from this one */
  alone: boolean
  phase: SystemPhase
  wanted: OneSystem | null
  reason: string
  /** bytes of what is being written */
  done: number
  total: number
  can_go_back: boolean
  last: (OneSystem & { kept: boolean; reason: string; at: string }) | null
}
