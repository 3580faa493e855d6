// One model file on its way into the box, piece by piece. What has come stays there when the line breaks, so that it
// goes on from there; kept for as long as the app is open, also while one is in another room.
import { api, ApiError, asApiError, open, path } from '../../lib/api/client'
import type { List, ModelUpload } from '../../lib/api/types'

const FIRST_BYTES = 1 << 18
const FAST_MS = 700
const SLOW_MS = 4000
const FIRST_WAIT_MS = 500
const LONGEST_WAIT_MS = 8000
const SURE_MS = 3000

/** Whether the box may have the first part of this very file already. */
export function isOf(upload: ModelUpload, file: File): boolean {
  return upload.name === file.name.normalize('NFC') && upload.size === file.size && upload.modified === file.lastModified
}

/** The next piece: larger while pieces go up quickly, smaller where the line is slow. */
export function nextBytes(bytes: number, tookMs: number, most: number): number {
  if (tookMs < FAST_MS) return Math.min(bytes * 2, most)
  return tookMs > SLOW_MS ? Math.max(bytes >> 1, FIRST_BYTES) : bytes
}

/** A refusal that may be over in a moment: no line, a box that restarts or is busy, a piece of before still under way. */
export function passes({ offline, status }: ApiError): boolean {
  return offline || status === 409 || status === 429 || (status >= 500 && status !== 507)
}

export class Sending {
  readonly file: File
  upload = $state.raw<ModelUpload | null>(null)
  state = $state<'sending' | 'paused' | 'lost' | 'failed' | 'unreadable' | 'whole'>('paused')
  error = $state.raw<ApiError | null>(null)
  /** seconds; null until it can be told */
  left = $state<number | null>(null)
  #stop: AbortController | null = null
  #bytes = FIRST_BYTES

  constructor(file: File) {
    this.file = file
  }

  get received(): number {
    return this.upload?.received ?? 0
  }

  /** Send, or go on where it ended; resolves when all is there, when it was paused, and when it can't go on. */
  async send(): Promise<void> {
    if (this.#stop) return
    const stop = (this.#stop = new AbortController())
    let wait = FIRST_WAIT_MS
    this.state = 'sending'
    this.error = null
    for (;;) {
      try {
        const known = this.upload
        this.upload = known ? await api.get<ModelUpload>(path`/models/uploads/${known.id}`, stop.signal) : await this.#begin()
        await this.#pieces(stop.signal, () => (wait = FIRST_WAIT_MS))
        break
      } catch (caught) {
        if (stop.signal.aborted) break
        const error = asApiError(caught)
        if (!(caught instanceof ApiError)) this.state = 'unreadable'
        else if (error.status === 404 && this.upload) this.upload = null // given up by the box: from the beginning
        else if (passes(error) && (this.upload || error.offline)) this.state = 'lost'
        else [this.state, this.error] = ['failed', error]
        if (this.state === 'failed' || this.state === 'unreadable') break
        await pause(wait, stop.signal)
        if (stop.signal.aborted) break
        wait = Math.min(wait * 2, LONGEST_WAIT_MS)
      }
    }
    if (this.#stop === stop) this.#stop = null
  }

  pause(): void {
    this.#stop?.abort()
    this.#stop = null
    if (this.state === 'sending' || this.state === 'lost') this.state = 'paused'
  }

  /** Stop, and erase what has come. */
  async drop(): Promise<void> {
    this.pause()
    if (this.upload) await api.delete(path`/models/uploads/${this.upload.id}`)
    this.upload = null
  }

  async #begin(): Promise<ModelUpload> {
    const { name, size, lastModified: modified } = this.file
    const known = (await api.get<List<ModelUpload>>('/models/uploads')).items.find((one) => isOf(one, this.file))
    return known ?? (await api.post<ModelUpload>('/models/uploads', { name, size, modified }))
  }

  async #pieces(signal: AbortSignal, went: () => void): Promise<void> {
    const [began, before] = [performance.now(), this.received]
    while (this.upload && this.received < this.upload.size) {
      const from = performance.now()
      const at = this.received
      const body = await this.file.slice(at, at + this.#bytes).arrayBuffer()
      const where = `${path`/models/uploads/${this.upload.id}`}?at=${at}`
      this.upload = (await (await open(where, { method: 'PUT', body, signal })).json()) as ModelUpload
      const now = performance.now()
      this.#bytes = nextBytes(this.#bytes, now - from, this.upload.piece_bytes)
      const rest = this.upload.size - this.received
      this.left = now - began < SURE_MS ? null : (rest * (now - began)) / 1000 / (this.received - before)
      if (!signal.aborted) this.state = 'sending'
      went()
    }
    if (!signal.aborted) this.state = 'whole'
  }
}

let now = $state.raw<Sending | null>(null)

/** The one file that is under way in this tab. */
export const sending = {
  get now() {
    return now
  },
  set now(one: Sending | null) {
    if (one !== now) now?.pause()
    now = one
  },
}

function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, ms)
    signal.addEventListener('abort', () => (clearTimeout(timer), resolve()), { once: true })
  })
}
