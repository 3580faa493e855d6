// Who is signed in and how the box is: loaded once, the state looked at again and again.
import { api, onLockedOut } from './api/client'
import type { BoxState, Destination, Language, Me, Theme } from './api/types'
import { speak } from './i18n.svelte'
import { clearDrafts } from './stored'

const LOOK_EVERY_MS = 20_000
/** Older readings than this say nothing about now (UI.md 2). */
const STALE_MS = 60_000

let me = $state.raw<Me | null>(null)
let state = $state.raw<BoxState | null>(null)
let lookedAt = $state(0)
let now = $state(Date.now())

export const session = {
  get me(): Me {
    if (!me) throw new Error('not signed in')
    return me
  },
  get user() {
    return this.me.user
  },
  /** What the plate shows: never older than a minute, never green without a look. */
  get gap(): { state: 'closed' | 'open' | 'unknown'; sent: number } {
    if (!state || now - lookedAt > STALE_MS) return { state: 'unknown', sent: 0 }
    return state.gap
  },
  /** Other machines that an operator lets the box use. */
  get destinations(): Destination[] {
    return state?.gap.destinations ?? []
  },
  get vault(): 'open' | 'sealed' | 'unknown' {
    return !state || now - lookedAt > STALE_MS ? 'unknown' : state.vault.state
  },
  /** How the box is, as operators are told. */
  get health() {
    return state?.health ?? null
  },
  /** Look now, after something was changed that the frame shows. */
  renew(): void {
    void look()
  },
  get checkedAt(): string | null {
    return state?.gap.checked_at ?? null
  },
  get recoveryConfirmed(): boolean {
    return state?.recovery_confirmed ?? true
  },
}

export function can(permission: string): boolean {
  return me?.permissions.includes(permission) ?? false
}

let holding = 0

/** While a page deals with it itself, nobody is sent to sign in or to unlock; returns how to end that. */
export function hold(): () => void {
  holding += 1
  return () => void (holding -= 1)
}

/** The box that was looked at is away: nothing is known of it until the next look. */
export function forget(): void {
  lookedAt = 0
}

export async function look(): Promise<void> {
  now = Date.now()
  try {
    state = await api.get<BoxState>('/state')
    lookedAt = now = Date.now()
    if (state.vault.state === 'sealed' && !holding) window.location.assign('/unlock')
  } catch {
    // stays as it was until it is stale, then reads "can't tell"
  }
}

function boot(): { me?: Me; state?: BoxState } {
  const element = document.getElementById('boot')
  return element?.textContent ? (JSON.parse(element.textContent) as { me?: Me; state?: BoxState }) : {}
}

/** Load what every page needs. Throws ApiError if the box doesn't answer. */
export async function startSession(): Promise<void> {
  onLockedOut((status) => {
    if (holding) return
    const next = window.location.pathname + window.location.search
    window.location.assign(status === 423 ? '/unlock' : `/sign-in?next=${encodeURIComponent(next)}`)
  })
  const given = boot()
  me = given.me ?? (await api.get<Me>('/me'))
  if (given.state) {
    state = given.state
    lookedAt = now = Date.now()
  }
  wear(me.user.theme)
  await speak(me.user.language)
  if (!given.state) void look()
  setInterval(() => void look(), LOOK_EVERY_MS)
  document.addEventListener('visibilitychange', () => document.visibilityState === 'visible' && void look())
}

function wear(theme: Theme): void {
  if (theme === 'system') delete document.documentElement.dataset.theme
  else document.documentElement.dataset.theme = theme
}

/** Change one's own name, language or theme; shown at once, kept by the box. */
export async function updateMe(changes: { display_name?: string; language?: Language; theme?: Theme }): Promise<void> {
  if (changes.theme) wear(changes.theme)
  if (changes.language) await speak(changes.language)
  await api.patch('/me', changes)
  if (me) me = { ...me, user: { ...me.user, ...changes } }
}

export async function signOut(): Promise<void> {
  clearDrafts()
  await fetch('/sign-out', { method: 'POST', credentials: 'same-origin' }).catch(() => undefined)
  window.location.assign('/sign-in')
}
