// What the JSON API says of web snapshots; the server's side is webui/api/web.py.
import type { Block, Language } from './types'

export type Stopped = '' | 'pages' | 'size' | 'time'
export type LeftOut = 'robots' | 'noarchive' | 'private' | 'outside' | 'status' | 'kind' | 'size' | 'unreachable'
export type Snapshot = {
  id: string
  name: string
  title: Record<Language, string>
  starts: string[]
  captured_at: string
  captured_by: string
  licence: string
  terms: string
  pages: number
  size_bytes: number
  stopped: Stopped
  left_out: Partial<Record<LeftOut, number>>
  taken_by: string
  taken_at: string
}
export type WebPageLine = { number: number; url: string; title: string; kind: 'html' | 'text' | 'pdf'; has_text: boolean; snippet: string }
export type WebPages = { items: WebPageLine[]; total: number; next: number | null }
export type WebPage = {
  number: number
  url: string
  title: string
  kind: 'html' | 'text' | 'pdf'
  captured_at: string | null
  text: string
  blocks: Block[]
  /** `number`: of the page within the snapshot; null leads out of it */
  links: { url: string; words: string; number: number | null }[]
}
