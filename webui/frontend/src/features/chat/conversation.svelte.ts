// One conversation as the page shows it: loading, asking, following a run, stopping, branching.
import { SvelteMap } from 'svelte/reactivity'
import { api, ApiError, asApiError, path } from '../../lib/api/client'
import { readRun } from '../../lib/api/sse'
import type { Chat, ChatPreset, Message, RunEvent, Stage, Started } from '../../lib/api/types'
import { chats } from '../../lib/chats.svelte'
import { t } from '../../lib/i18n.svelte'
import { line, parentKey } from './thread'

export type Run = {
  id: string
  messageId: string
  stage: Stage
  startedAt: number
  /** when the first text came; 0 before, and unknown (NaN) for a run that was joined later */
  firstAt: number
  pieces: number
  lost: boolean
  stopping: boolean
}

export class Conversation {
  id = $state('')
  title = $state('')
  model = $state('')
  baseIds = $state<string[]>([])
  preset = $state.raw<ChatPreset | null>(null)
  messages = $state<Message[]>([])
  loading = $state(false)
  error = $state.raw<ApiError | null>(null)
  /** a question that could not be sent; the words are still in the composer */
  sendError = $state.raw<ApiError | null>(null)
  sending = $state(false)
  run = $state<Run | null>(null)
  readonly chosen = new SvelteMap<string, string>()
  /** what models thought before their answers, by message; the box doesn't keep it */
  readonly thoughts = new SvelteMap<string, string>()

  readonly line = $derived(line(this.messages, this.chosen))
  #follow: AbortController | null = null
  #waiting: { message: Message; text: string } | null = null
  /** counts the conversations shown here: what was sent from another one must not appear in this one */
  #place = 0

  /** Show another conversation; '' is a new one. */
  async open(id: string, wish: { model: string; baseIds: string[] }): Promise<void> {
    if (id && id === this.id) return
    this.#leave()
    this.id = id
    this.title = ''
    this.sending = false
    this.messages = []
    this.chosen.clear()
    this.thoughts.clear()
    this.error = this.sendError = null
    this.model = wish.model
    this.baseIds = wish.baseIds
    this.preset = null
    if (id) await this.load()
  }

  async load(): Promise<void> {
    const id = this.id
    this.loading = this.messages.length === 0
    try {
      const chat = await api.get<Chat>(path`/chats/${id}`)
      if (id === this.id) this.#show(chat)
    } catch (error) {
      if (id === this.id) this.error = asApiError(error)
    } finally {
      if (id === this.id) this.loading = false
    }
  }

  /** Another browser may have gone on with it. */
  async refresh(): Promise<void> {
    if (!this.id || this.run || this.sending || this.loading) return
    const id = this.id
    const chat = await api.get<Chat>(path`/chats/${id}`).catch(() => null)
    if (chat && id === this.id && !this.run && !this.sending) this.#show(chat)
  }

  #show(chat: Chat): void {
    this.error = null
    this.title = chat.title
    this.model = chat.model
    this.baseIds = chat.base_ids
    this.preset = chat.preset
    this.messages = chat.messages
    const running = chat.messages.findLast((message) => message.state === 'running' && message.run_id)
    if (running?.run_id) this.#watch(running.run_id, running.id, true)
  }

  #leave(): void {
    this.#place += 1
    this.#follow?.abort()
    this.#follow = null
    this.run = null
    this.#waiting = null
  }

  close(): void {
    this.#leave()
    this.id = ''
  }

  /** Ask; false if it could not be sent. `parent` is the answer it follows, or null for a first question. */
  async ask(text: string, parent: string | null, made: (id: string) => void = () => undefined): Promise<boolean> {
    return this.#start(async () => {
      if (!this.id) {
        const place = this.#place
        const chat = await api.post<Chat>('/chats', { model: this.model || null, base_ids: this.baseIds, preset_id: this.preset?.id ?? null })
        if (place !== this.#place) throw new DOMException('left', 'AbortError')
        this.id = chat.id
        this.model = chat.model
        made(chat.id)
      }
      return api.post<Started>(path`/chats/${this.id}/messages`, { text, parent_id: parent })
    })
  }

  regenerate = (message: Message) => this.#start(() => api.post<Started>(path`/messages/${message.id}/regenerate`))
  continue = (message: Message) => this.#start(() => api.post<Started>(path`/messages/${message.id}/continue`))

  async #start(send: () => Promise<Started>): Promise<boolean> {
    if (this.sending || this.run) return false
    const place = this.#place
    this.sending = true
    this.sendError = null
    try {
      const started = await send()
      if (place !== this.#place) return true
      this.#put(started.question)
      this.#put(started.answer)
      chats.touch(this.id, this.title || started.question.text.split('\n', 1)[0]?.slice(0, 40) || '')
      this.#watch(started.run_id, started.answer.id, false)
      return true
    } catch (error) {
      if (place === this.#place) this.sendError = asApiError(error)
      return false
    } finally {
      if (place === this.#place) this.sending = false
    }
  }

  #put(message: Message): void {
    const at = this.messages.findIndex((other) => other.id === message.id)
    if (at >= 0) this.messages[at] = message
    else this.messages.push(message)
    this.chosen.set(parentKey(message), message.id)
  }

  choose(message: Message, id: string): void {
    this.chosen.set(parentKey(message), id)
  }

  async stop(): Promise<void> {
    const run = this.run
    if (!run || run.stopping) return
    run.stopping = true
    try {
      await api.post(path`/runs/${run.id}/stop`)
    } catch {
      run.stopping = false
    }
  }

  /** Change what the next question uses; kept by the box if the chat exists there. */
  async change(changes: { model?: string; base_ids?: string[] }): Promise<void> {
    if (changes.model !== undefined) this.model = changes.model
    if (changes.base_ids) this.baseIds = changes.base_ids
    if (this.id) await api.patch(path`/chats/${this.id}`, changes).catch((error: unknown) => (this.sendError = asApiError(error)))
  }

  /** Let the next answers follow a preset, as it is now, or none. */
  async give(preset: ChatPreset | null): Promise<void> {
    const place = this.#place
    if (!this.id) {
      this.preset = preset
      return
    }
    try {
      const chat = await api.patch<Chat>(path`/chats/${this.id}`, { preset_id: preset?.id ?? null })
      if (place === this.#place) this.preset = chat.preset
    } catch (error) {
      if (place === this.#place) this.sendError = asApiError(error)
    }
  }

  // -- following a run

  #watch(runId: string, messageId: string, joined: boolean): void {
    this.#follow?.abort()
    const follow = (this.#follow = new AbortController())
    const message = this.messages.find((other) => other.id === messageId)
    const startedAt = joined && message ? Math.min(Date.parse(message.created_at) || Date.now(), Date.now()) : Date.now()
    this.thoughts.delete(messageId)
    this.run = { id: runId, messageId, stage: { stage: 'queued' }, startedAt, firstAt: joined ? Number.NaN : 0, pieces: 0, lost: false, stopping: false }
    const mine = () => this.#follow === follow
    readRun(path`/runs/${runId}/events`, {
      signal: follow.signal,
      onEvent: (kind, data) => mine() && this.#take({ kind, data } as RunEvent, messageId),
      onLost: (lost) => mine() && this.run && (this.run.lost = lost),
      stillRunning: () => this.#stillRunning(messageId),
    }).then(
      () => mine() && this.#end(),
      (error: unknown) => mine() && this.#fail(messageId, asApiError(error)),
    )
  }

  /** A stream that ended without its last event: the box may have started anew meanwhile. */
  async #stillRunning(messageId: string): Promise<boolean> {
    const chat = await api.get<Chat>(path`/chats/${this.id}`)
    const message = chat.messages.find((other) => other.id === messageId)
    if (message?.state === 'running') return true
    this.#waiting = null
    if (message) this.#put(message)
    return false
  }

  #end(): void {
    this.#flush()
    this.#follow = null
    this.run = null
  }

  #fail(messageId: string, error: ApiError): void {
    const message = this.messages.find((other) => other.id === messageId)
    if (message) Object.assign(message, { state: 'failed', error: { code: error.code, title: error.message } })
    this.#end()
  }

  #take(event: RunEvent, messageId: string): void {
    const message = this.messages.find((other) => other.id === messageId)
    const run = this.run
    if (!message || !run) return
    switch (event.kind) {
      case 'stage':
        run.stage = event.data
        break
      case 'sources':
        message.sources = event.data.items
        break
      case 'verdict':
        message.verdict = event.data.verdict
        message.mode = event.data.mode
        break
      case 'citation':
        message.citations = [...(message.citations ?? []).filter((other) => other.n !== event.data.n), event.data]
        break
      case 'thinking':
        this.thoughts.set(messageId, (this.thoughts.get(messageId) ?? '') + event.data.text)
        break
      case 'delta':
        if (run.firstAt === 0) run.firstAt = Date.now()
        run.pieces += 1
        if (run.stage.stage !== 'writing') run.stage = { stage: 'writing' }
        this.#write(message, event.data.text)
        break
      case 'title':
        this.title = event.data.title
        chats.touch(this.id, event.data.title, false)
        break
      case 'done':
        this.#waiting = null
        this.#put(event.data.message)
        break
      case 'error':
        this.#flush()
        Object.assign(message, { state: 'failed', error: { ...event.data, title: event.data.title || t('error.HK-BOX-001') } })
    }
  }

  /** Text is put on the page once per frame, however quickly it comes. */
  #write(message: Message, text: string): void {
    if (this.#waiting) {
      this.#waiting.text += text
      return
    }
    this.#waiting = { message, text }
    if (document.visibilityState === 'visible') requestAnimationFrame(() => this.#flush())
    else setTimeout(() => this.#flush(), 250)
  }

  #flush(): void {
    const waiting = this.#waiting
    this.#waiting = null
    if (waiting) waiting.message.text += waiting.text
  }
}
