// The documents of a base: the list, files on their way up, and looking again while something is taken in.
// Kept per base for as long as the app is open, so that uploads go on while one is in another room.
import { api, ApiError, asApiError, path, upload } from '../../lib/api/client'
import type { Document, List } from '../../lib/api/types'
import { bases } from '../../lib/bases.svelte'
import { t } from '../../lib/i18n.svelte'
import { session } from '../../lib/session.svelte'
import { toasts } from '../../ui/toasts.svelte'
import { readable } from './files'

const AT_ONCE = 2
const TICK_MS = 1000
const QUIET_TICKS = 15

export const pending = (document: Document) => document.state === 'waiting' || document.state === 'working'

/** One file on its way up, or what became of it if it did not become a document. */
export class Upload {
  readonly file: File
  readonly stop = new AbortController()
  share = $state(0)
  state = $state<'queued' | 'sending' | 'failed' | 'duplicate'>('queued')
  error = $state.raw<ApiError | null>(null)
  /** the document that is the same, if this one is a duplicate */
  twin = $state.raw<Document | null>(null)

  constructor(file: File) {
    this.file = file
  }
}

export class DocumentList {
  readonly base: string
  items = $state.raw<Document[]>([])
  loaded = $state(false)
  error: unknown = $state.raw(null)
  uploads = $state.raw<Upload[]>([])
  /** ids of what was taken in since all was quiet last */
  #batch = $state.raw<ReadonlySet<string>>(new Set())
  #looking = false

  constructor(base: string) {
    this.base = base
  }

  get pending(): Document[] {
    return this.items.filter(pending)
  }
  get underWay(): Upload[] {
    return this.uploads.filter(({ state }) => state === 'queued' || state === 'sending')
  }
  get busy(): boolean {
    return this.pending.length > 0 || this.underWay.length > 0
  }
  get batch(): { done: number; total: number } {
    const open = new Set(this.pending.map(({ id }) => id))
    const done = [...this.#batch].filter((id) => !open.has(id)).length
    return { done, total: this.#batch.size + this.underWay.length }
  }

  async load(): Promise<void> {
    if (this.#looking) return
    this.#looking = true
    try {
      this.#take((await api.get<List<Document>>(path`/bases/${this.base}/documents`)).items)
      this.error = null
    } catch (error) {
      this.error = error
    } finally {
      this.#looking = false
      this.loaded = true
    }
  }

  /** Keep looking until the returned function is called: each second while something is going on. */
  watch(): () => void {
    let ticks = 0
    void this.load()
    const timer = setInterval(() => {
      ticks += 1
      if (!document.hidden && (this.busy || ticks % QUIET_TICKS === 0)) void this.load()
    }, TICK_MS)
    return () => clearInterval(timer)
  }

  #take(items: Document[]): void {
    const wasBusy = this.busy
    const ready = this.items.filter(({ state }) => state === 'ready').length
    this.items = items
    this.#batch = new Set([...(wasBusy ? this.#batch : []), ...this.pending.map(({ id }) => id)])
    if (this.loaded && ready !== items.filter(({ state }) => state === 'ready').length) void bases.load().catch(() => undefined)
    if (wasBusy && !this.busy) this.#allDone()
  }

  #allDone(): void {
    const taken = this.items.filter(({ id, state }) => this.#batch.has(id) && state === 'ready').length
    if (taken > 0) toasts.done(t('docs.taken_in', { n: taken }))
  }

  add(files: File[]): void {
    const fresh = files.map((file) => {
      const one = new Upload(file)
      one.error = refusal(file)
      if (one.error) one.state = 'failed'
      return one
    })
    if (!this.busy) this.#batch = new Set()
    this.uploads = [...this.uploads, ...fresh]
    this.#pump()
  }

  again(one: Upload): void {
    this.drop(one)
    this.add([one.file])
  }

  /** Stop sending a file, or take its notice away. */
  drop(one: Upload): void {
    one.stop.abort()
    this.uploads = this.uploads.filter((other) => other !== one)
  }

  #pump(): void {
    const sending = this.uploads.filter(({ state }) => state === 'sending').length
    for (const one of this.uploads.filter(({ state }) => state === 'queued').slice(0, AT_ONCE - sending)) void this.#send(one)
  }

  async #send(one: Upload): Promise<void> {
    one.state = 'sending'
    try {
      const added = await upload<Document>(path`/bases/${this.base}/documents`, one.file, (share) => (one.share = share), one.stop.signal)
      if (added.duplicate) {
        one.twin = added
        one.state = 'duplicate'
      } else {
        this.put(added)
        this.#batch = new Set([...this.#batch, added.id])
        this.uploads = this.uploads.filter((other) => other !== one)
      }
    } catch (error) {
      if (one.stop.signal.aborted) return
      one.error = asApiError(error)
      one.state = 'failed'
    } finally {
      this.#pump()
    }
  }

  /** Show a document as the box just said it is. */
  put(document: Document): void {
    const known = this.items.some(({ id }) => id === document.id)
    this.items = known ? this.items.map((other) => (other.id === document.id ? document : other)) : [document, ...this.items]
  }

  async retry(id: string): Promise<void> {
    if (!this.busy) this.#batch = new Set()
    this.put(await api.post<Document>(path`/documents/${id}/retry`))
  }

  async cancel(id: string): Promise<void> {
    this.put(await api.post<Document>(path`/documents/${id}/cancel`))
  }

  /** Erase documents one by one; what is gone is gone from the list even if a later one fails. */
  async erase(ids: string[]): Promise<void> {
    try {
      for (const id of ids) {
        await api.delete(path`/documents/${id}`)
        this.items = this.items.filter((other) => other.id !== id)
      }
    } finally {
      void bases.load().catch(() => undefined)
    }
  }
}

/** What is known before sending: too large, or a kind that no reader reads. */
function refusal(file: File): ApiError | null {
  const { upload_mb: limit, formats } = session.me.limits
  if (file.size > limit * 1024 * 1024) return new ApiError(413, 'HK-BOX-005', t('error.HK-BOX-005', { limit_mb: limit }))
  if (!readable(file.name, formats)) return new ApiError(415, 'HK-DOC-010', t('error.HK-DOC-010', { name: file.name }))
  return null
}

const lists = new Map<string, DocumentList>()

export function documentsOf(base: string): DocumentList {
  let list = lists.get(base)
  if (!list) lists.set(base, (list = new DocumentList(base)))
  return list
}

// leaving the app would cut what is on its way up
window.addEventListener('beforeunload', (event) => {
  if ([...lists.values()].some((list) => list.underWay.length > 0)) event.preventDefault()
})
