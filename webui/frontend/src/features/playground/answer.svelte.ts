// One column's answer: asked, streamed, timed, stopped.
import { ApiError, offline, openAt, problem } from '../../lib/api/client'
import { events } from '../../lib/api/sse'
import { placeInLine, told, unwrap, type Piece, type Usage } from './tokens'

export type State = 'empty' | 'waiting' | 'writing' | 'done' | 'stopped' | 'failed'
const DRAW_EVERY_MS = 60

export class Answer {
  state = $state<State>('empty')
  pieces = $state.raw<Piece[]>([])
  usage = $state.raw<Usage | null>(null)
  finish = $state('')
  error: unknown = $state(null)
  place = $state.raw<{ place: number; waitMs: number | null } | null>(null)
  model = $state('')
  askedAt = $state(0)
  firstAt = $state(0)
  endedAt = $state(0)
  #stop: AbortController | null = null

  get running(): boolean {
    return this.state === 'waiting' || this.state === 'writing'
  }
  get text(): string {
    return this.pieces.filter(({ thought }) => !thought).map(({ text }) => text).join('')
  }
  /** from sending to the first token, as seen here */
  get firstMs(): number | null {
    return this.firstAt ? this.firstAt - this.askedAt : null
  }
  /** tokens per second after the first; null while that says nothing */
  get speed(): number | null {
    const took = this.endedAt - this.firstAt
    const count = this.usage?.answer ?? 0
    return this.firstAt && took > 0 && count > 1 ? ((count - 1) * 1000) / took : null
  }

  stop(): void {
    this.#stop?.abort()
  }

  async ask(model: string, body: Record<string, unknown>): Promise<void> {
    this.stop()
    const stop = (this.#stop = new AbortController())
    Object.assign(this, { state: 'waiting', pieces: [], usage: null, finish: '', error: null, place: null, model, firstAt: 0, endedAt: 0 })
    this.askedAt = performance.now()
    try {
      await this.#read(body, stop.signal)
      if (this.#stop === stop) this.state = 'done'
    } catch (caught) {
      if (this.#stop !== stop) return
      this.state = stop.signal.aborted ? 'stopped' : 'failed'
      // a connection that breaks in the middle is no error of the box
      if (this.state === 'failed') this.error = caught instanceof ApiError ? caught : offline()
    } finally {
      if (this.#stop === stop && !this.endedAt) this.endedAt = performance.now()
    }
  }

  async #read(body: Record<string, unknown>, signal: AbortSignal): Promise<void> {
    const headers = { 'Content-Type': 'application/json', Accept: 'text/event-stream' }
    const response = await openAt('/v1/chat/completions', { method: 'POST', headers, body: JSON.stringify(body), signal }, unwrap)
    const drawn: Piece[] = []
    let timer: ReturnType<typeof setTimeout> | undefined
    const draw = () => {
      timer = undefined
      this.pieces = [...drawn]
    }
    let ended = false
    try {
      for await (const { data } of events(response, (comment) => (this.place = placeInLine(comment) ?? this.place))) {
        if (data === '[DONE]') ended = true
        if (ended) break
        const chunk: unknown = JSON.parse(data)
        if (typeof chunk === 'object' && chunk !== null && 'error' in chunk) throw problem(500, unwrap(chunk))
        const { pieces, finish, usage } = told(chunk)
        if (pieces.length > 0) {
          if (!this.firstAt) this.firstAt = performance.now()
          this.endedAt = performance.now()
          this.state = 'writing'
          drawn.push(...pieces)
          timer ??= setTimeout(draw, DRAW_EVERY_MS)
        }
        if (finish) this.finish = finish
        if (usage) this.usage = usage
      }
    } finally {
      clearTimeout(timer)
      draw()
    }
    if (!ended && !this.finish) throw offline()
  }
}
