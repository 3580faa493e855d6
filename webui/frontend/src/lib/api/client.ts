// The one way to the JSON API: sends, and turns every failure into an ApiError with a sentence and a code.
import { t } from '../i18n.svelte'
import type { Params } from './types'

export class ApiError extends Error {
  readonly status: number
  readonly code: string
  readonly params: Params

  constructor(status: number, code: string, sentence: string, params: Params = {}) {
    super(sentence)
    this.status = status
    this.code = code
    this.params = params
  }

  /** No answer from the box: the cable, the Wi-Fi, or the box is restarting. */
  get offline(): boolean {
    return this.status === 0
  }
}

/** No answer from the box. */
export const offline = () => new ApiError(0, 'HK-NET-001', t('ui.offline'))

/** The error that a response carries as `application/problem+json`. */
export function problem(status: number, body: unknown): ApiError {
  const { code, title, params } = (typeof body === 'object' && body !== null ? body : {}) as Record<string, unknown>
  return new ApiError(
    status,
    typeof code === 'string' ? code : 'HK-BOX-001',
    typeof title === 'string' ? title : t('error.HK-BOX-001'),
    typeof params === 'object' && params !== null ? (params as Params) : {},
  )
}

/** Whatever was thrown, as something with a sentence to show. */
export function asApiError(error: unknown): ApiError {
  return error instanceof ApiError ? error : new ApiError(500, 'HK-BOX-001', t('error.HK-BOX-001'))
}

const moved = new Set<(status: number) => void>()

/** Called with 401 (session ended) and 423 (vault sealed), which no page can handle by itself. */
export function onLockedOut(act: (status: number) => void): void {
  moved.add(act)
}

function lockedOut(status: number): void {
  if (status === 401 || status === 423) for (const act of moved) act(status)
}

const API = '/api/v1'

export function open(path: string, init: RequestInit = {}): Promise<Response> {
  return openAt(API + path, init)
}

/** As `open`, anywhere on the box; `unwrap` makes a problem of another dialect's error. */
export async function openAt(address: string, init: RequestInit, unwrap = (body: unknown): unknown => body): Promise<Response> {
  let response: Response
  try {
    response = await fetch(address, { credentials: 'same-origin', ...init })
  } catch (error) {
    if (init.signal?.aborted) throw error
    throw offline()
  }
  if (response.ok) return response
  const body: unknown = await response.json().catch(() => null)
  const failure = problem(response.status, unwrap(body))
  if (failure.code !== 'HK-AUTH-002') lockedOut(response.status)
  throw failure
}

async function send<T>(method: string, path: string, body?: unknown, signal?: AbortSignal): Promise<T> {
  const init: RequestInit = { method, headers: { Accept: 'application/json' }, signal: signal ?? null }
  if (body !== undefined) {
    init.headers = { ...init.headers, 'Content-Type': 'application/json' }
    init.body = JSON.stringify(body)
  }
  const response = await open(path, init)
  return (response.status === 204 ? undefined : await response.json()) as T
}

/** Values in a path are always escaped by this: api.get(path`/chats/${id}`). */
export function path(parts: TemplateStringsArray, ...values: (string | number)[]): string {
  return parts.reduce((whole, part, i) => whole + encodeURIComponent(String(values[i - 1])) + part)
}

export const api = {
  get: <T>(where: string, signal?: AbortSignal) => send<T>('GET', where, undefined, signal),
  post: <T>(where: string, body: unknown = {}) => send<T>('POST', where, body),
  put: <T>(where: string, body: unknown, signal?: AbortSignal) => send<T>('PUT', where, body, signal),
  patch: <T>(where: string, body: unknown) => send<T>('PATCH', where, body),
  delete: (where: string) => send<void>('DELETE', where),
}

/** Send one file with progress (0 to 1); `fetch` can't report how much went up. */
export function upload<T>(where: string, file: File, progress: (share: number) => void, signal?: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest()
    const form = new FormData()
    form.append('file', file, file.name)
    request.open('POST', API + where)
    request.responseType = 'json'
    request.setRequestHeader('Accept', 'application/json')
    request.upload.onprogress = (event) => event.lengthComputable && progress(event.loaded / event.total)
    request.onload = () => {
      if (request.status >= 200 && request.status < 300) return resolve(request.response as T)
      lockedOut(request.status)
      reject(problem(request.status, request.response))
    }
    request.onerror = () => reject(offline())
    request.onabort = () => reject(new DOMException('aborted', 'AbortError'))
    signal?.addEventListener('abort', () => request.abort())
    request.send(form)
  })
}
