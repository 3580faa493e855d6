// Server-sent events over fetch: a parser, and a reader that goes on where it was after a lost connection.
import { ApiError, offline, open, problem } from './client'

export type ServerEvent = { id: string; event: string; data: string }

/** Feed it text as it comes; it returns the events that are complete. Comments are told apart from them. */
export function eventParser(onComment?: (text: string) => void): (text: string) => ServerEvent[] {
  let rest = ''
  let pending: ServerEvent = { id: '', event: '', data: '' }
  let lines: string[] = []

  const field = (line: string) => {
    const colon = line.indexOf(':')
    if (colon === 0) return onComment?.(line.slice(1).trim())
    const name = colon < 0 ? line : line.slice(0, colon)
    const value = colon < 0 ? '' : line.slice(colon + 1).replace(/^ /, '')
    if (name === 'data') lines.push(value)
    else if (name === 'id') pending.id = value
    else if (name === 'event') pending.event = value
  }

  return (text) => {
    const events: ServerEvent[] = []
    const parts = (rest + text).split(/\r\n|\n|\r(?!$)/)
    rest = parts.pop() ?? ''
    for (const line of parts) {
      if (line) {
        field(line)
        continue
      }
      if (lines.length > 0) events.push({ ...pending, event: pending.event || 'message', data: lines.join('\n') })
      pending = { id: pending.id, event: '', data: '' }
      lines = []
    }
    return events
  }
}

type Reader = {
  signal: AbortSignal
  onEvent: (kind: string, data: unknown) => void
  /** true while the connection is lost and is being tried again */
  onLost?: (lost: boolean) => void
  /** asked when a stream ends without its last event: is there anything to wait for? */
  stillRunning?: () => Promise<boolean>
}

const FINAL = new Set(['done', 'error'])
const FIRST_WAIT_MS = 500
const LONGEST_WAIT_MS = 8000

/** Read a run's events from the first to `done` or `error`, across lost connections; resolves at the end. */
export async function readRun(where: string, { signal, onEvent, onLost, stillRunning }: Reader): Promise<void> {
  let last = 0
  let wait = FIRST_WAIT_MS
  for (;;) {
    try {
      const response = await open(`${where}?after=${last}`, { signal, headers: { Accept: 'text/event-stream' } })
      onLost?.(false)
      for await (const { id, event, data } of events(response)) {
        wait = FIRST_WAIT_MS
        const number = Number(id)
        if (number && number <= last) continue
        if (number) last = number
        onEvent(event, JSON.parse(data))
        if (FINAL.has(event)) return
      }
      if (signal.aborted || (stillRunning && !(await stillRunning()))) return
    } catch (error) {
      if (signal.aborted) return
      const refused = error instanceof ApiError && !error.offline && error.status < 500
      if (refused) throw error
    }
    if (signal.aborted) return
    onLost?.(true)
    await pause(wait, signal)
    if (signal.aborted) return
    wait = Math.min(wait * 2, LONGEST_WAIT_MS)
  }
}

/** Ask for something that tells its progress in events; resolves with what `done` says. Leaving cancels it. */
export async function follow<T>(where: string, body: unknown, onEvent: (kind: string, data: unknown) => void, signal: AbortSignal): Promise<T> {
  const headers = { Accept: 'text/event-stream', 'Content-Type': 'application/json' }
  const response = await open(where, { method: 'POST', headers, body: JSON.stringify(body), signal })
  try {
    for await (const { event, data } of events(response)) {
      const said: unknown = JSON.parse(data)
      if (event === 'done') return said as T
      if (event === 'error') throw problem(422, said)
      onEvent(event, said)
    }
  } catch (error) {
    if (signal.aborted || error instanceof ApiError) throw error
  }
  throw offline() // the line broke before the end
}

/** The events of one answer, to its end. */
export async function* events(response: Response, onComment?: (text: string) => void): AsyncGenerator<ServerEvent> {
  if (!response.body) return
  const reader = response.body.getReader()
  const decoder = new TextDecoder()
  const parse = eventParser(onComment)
  try {
    for (;;) {
      const { done, value } = await reader.read()
      if (done) return
      yield* parse(decoder.decode(value, { stream: true }))
    }
  } finally {
    void reader.cancel().catch(() => undefined)
  }
}

function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, ms)
    signal.addEventListener('abort', () => (clearTimeout(timer), resolve()), { once: true })
  })
}
