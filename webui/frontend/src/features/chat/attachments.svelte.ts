// Files given to a chat: sent, read by the box, and then searched by its questions.
import { api, ApiError, asApiError, path, upload } from '../../lib/api/client'
import type { Document } from '../../lib/api/types'
import { bytes, left } from '../../lib/format'
import { t, tMaybe } from '../../lib/i18n.svelte'
import { dotted } from './words'

export type Attachment = {
  id: number
  name: string
  size: number
  state: 'sending' | 'reading' | 'ready' | 'failed' | 'cancelled'
  /** of the sending, 0 to 1 */
  share: number
  document: Document | null
  error: ApiError | null
  stop: AbortController
}

const LOOK_EVERY_MS = 700
const LOOK_AGAIN_MS = 4000

/** What a document's record says of how far it is. */
export function stateOf(document: Document): Attachment['state'] {
  if (document.state === 'ready' || document.state === 'failed' || document.state === 'cancelled') return document.state
  return 'reading'
}

/** How far an attachment is, in words. */
export function progressWords({ state, share, size, document }: Attachment): string {
  if (state === 'sending') return dotted(t('chat.attach_sending', { share: Math.round(share * 100) }), bytes(size))
  if (state === 'cancelled') return t('chat.attach_cancelled')
  if (state === 'ready') return t(document?.duplicate ? 'chat.attach_known' : 'chat.attach_ready')
  const progress = document?.progress
  if (!progress) return t('chat.attach_waiting')
  const words = tMaybe(`chat.attach_${progress.stage}`, t('chat.attach_waiting'), { done: progress.done, total: progress.total })
  return dotted(words, progress.eta_s !== null && left(progress.eta_s))
}

export class Attachments {
  list = $state<Attachment[]>([])
  readonly busy = $derived(this.list.some(({ state }) => state === 'sending' || state === 'reading'))
  readonly #limitMb: () => number
  readonly #arrived: (document: Document) => void
  #next = 1

  /** `arrived` is called with each document that the box has taken in. */
  constructor(limitMb: () => number, arrived: (document: Document) => void) {
    this.#limitMb = limitMb
    this.#arrived = arrived
  }

  add(files: Iterable<File>): void {
    for (const file of files) {
      const limit = this.#limitMb()
      const large = file.size > limit * 1024 * 1024
      const error = large ? new ApiError(413, 'HK-BOX-005', t('error.HK-BOX-005', { limit_mb: limit })) : null
      const { name, size } = file
      this.list.push({ id: this.#next++, name, size, state: error ? 'failed' : 'sending', share: 0, document: null, error, stop: new AbortController() })
      const item = this.list.at(-1)
      if (item && !error) void this.#send(item, file)
    }
  }

  async #send(item: Attachment, file: File): Promise<void> {
    try {
      const document = await upload<Document>('/uploads', file, (share) => (item.share = share), item.stop.signal)
      if (!this.list.some(({ id }) => id === item.id)) return
      this.#take(item, document)
      this.#arrived(document)
      await this.#watch(item)
    } catch (error) {
      if (item.stop.signal.aborted) return
      item.state = 'failed'
      item.error = asApiError(error)
    }
  }

  #take(item: Attachment, document: Document): void {
    item.document = { ...document, duplicate: document.duplicate ?? item.document?.duplicate ?? false }
    item.state = stateOf(document)
    const problem = document.error
    if (item.state === 'failed') item.error = new ApiError(422, problem?.code ?? 'HK-DOC-001', problem?.title ?? t('error.HK-DOC-001'))
  }

  async #watch(item: Attachment): Promise<void> {
    let wait = LOOK_EVERY_MS
    while (item.state === 'reading' && item.document) {
      await new Promise((resolve) => setTimeout(resolve, wait))
      if (item.stop.signal.aborted) return
      try {
        this.#take(item, await api.get<Document>(path`/documents/${item.document.id}`, item.stop.signal))
        wait = LOOK_EVERY_MS
      } catch (error) {
        if (item.stop.signal.aborted) return
        const lasting = error instanceof ApiError && !error.offline && error.status < 500
        if (lasting) throw error
        wait = LOOK_AGAIN_MS
      }
    }
  }

  /** Stop what is on its way, and take it off the list; a document that was read stays in its base. */
  remove(id: number): void {
    const item = this.list.find((other) => other.id === id)
    if (!item) return
    const reading = item.state === 'reading' ? item.document : null
    item.stop.abort()
    this.list = this.list.filter((other) => other.id !== id)
    if (reading) void api.post(path`/documents/${reading.id}/cancel`).catch(() => undefined)
  }

  /** The question is on its way: what was read has done its part. */
  settle(): void {
    this.list = this.list.filter(({ state }) => state !== 'ready')
  }

  /** Another conversation: what is on its way arrives in its base all the same. */
  leave(): void {
    for (const { stop, state } of this.list) if (state === 'reading') stop.abort()
    this.list = []
  }
}
