// A change of the release, watched across the restart: the box goes away and comes back, perhaps locked.
import { api, asApiError } from '../../lib/api/client'
import type { Progress, Standing } from '../../lib/api/release'
import { isGoing, type Contact } from './release'

const LOOK_MS = 1000
const ANSWER_MS = 8000

export class Following {
  standing = $state.raw<Standing | null>(null)
  contact = $state<Contact>('here')
  /** seconds since the change began, going on while the box is away */
  elapsed = $state(0)
  /** when it began, as the box says */
  began = ''
  #since = 0

  get progress(): Progress | null {
    return this.standing
  }

  /** From what the box answered to the order itself. */
  begin(progress: Progress): void {
    if (this.standing) this.standing = { ...this.standing, ...progress, seen: null }
    this.#heard(progress)
  }

  async look(signal?: AbortSignal): Promise<Standing> {
    const standing = await api.get<Standing>('/update', signal)
    this.standing = standing
    this.contact = 'here'
    this.#heard(standing)
    return standing
  }

  /** Look again and again until it has ended; whatever the box answers meanwhile is no failure. */
  async follow(signal: AbortSignal): Promise<void> {
    while (!signal.aborted && (!this.standing || isGoing(this.standing) || this.contact !== 'here')) {
      await new Promise((resolve) => setTimeout(resolve, LOOK_MS))
      if (signal.aborted) return
      if (this.#since) this.elapsed = (performance.now() - this.#since) / 1000
      await this.#ask(signal)
    }
  }

  /** A box that is being stopped may take a question and never answer it. */
  async #ask(signal: AbortSignal): Promise<void> {
    const patience = new AbortController()
    const give = () => patience.abort()
    const timer = setTimeout(give, ANSWER_MS)
    signal.addEventListener('abort', give)
    try {
      await this.look(patience.signal)
    } catch (caught) {
      const { status } = asApiError(caught)
      this.contact = status === 423 ? 'sealed' : status === 401 || status === 403 ? 'out' : 'away'
    } finally {
      clearTimeout(timer)
      signal.removeEventListener('abort', give)
    }
  }

  #heard({ began_at, lasted_s }: Progress): void {
    if (lasted_s === null) return
    this.began = began_at ?? ''
    this.#since = performance.now() - lasted_s * 1000
    this.elapsed = lasted_s
  }
}
