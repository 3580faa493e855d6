// What a stream of OpenAI's chunks says: pieces of text with their log probabilities, counts, the end, the place in line.

export type Other = { text: string; logprob: number }
export type Piece = {
  text: string
  /** null where the model doesn't tell */
  logprob: number | null
  others: Other[]
  /** thinking aloud before the answer */
  thought: boolean
}
export type Usage = { prompt: number; answer: number }
export type Told = { pieces: Piece[]; finish: string | null; usage: Usage | null }

type RawToken = { token?: string; bytes?: number[] | null; logprob?: number; top_logprobs?: RawToken[] }
type RawChunk = {
  choices?: { delta?: { content?: string | null; reasoning_content?: string | null }; logprobs?: { content?: RawToken[] | null } | null; finish_reason?: string | null }[]
  usage?: { prompt_tokens?: number; completion_tokens?: number } | null
}

/** A part of a sign, e.g. a third of a kanji, has no text of its own: its bytes are shown. */
function words({ token = '', bytes }: RawToken): string {
  if (token && !token.includes('\ufffd')) return token
  return bytes?.length ? `<${bytes.map((byte) => byte.toString(16).toUpperCase().padStart(2, '0')).join(' ')}>` : token
}

function piece(text: string, token: RawToken | undefined): Piece {
  const others = (token?.top_logprobs ?? []).map((other) => ({ text: words(other), logprob: other.logprob ?? -Infinity }))
  return { text, logprob: token?.logprob ?? null, others, thought: false }
}

export function told(chunk: unknown): Told {
  const { choices, usage } = chunk as RawChunk
  const choice = choices?.[0]
  const tokens = choice?.logprobs?.content ?? []
  const text = choice?.delta?.content ?? ''
  const thought = choice?.delta?.reasoning_content ?? ''
  const pieces: Piece[] = thought ? [{ text: thought, logprob: null, others: [], thought: true }] : []
  // Several tokens of a chunk are told apart only where they make up its text.
  if (tokens.length > 1 && tokens.map(({ token }) => token).join('') === text) pieces.push(...tokens.map((token) => piece(token.token ?? '', token)))
  else if (text) pieces.push(piece(text, tokens.at(-1)))
  return {
    pieces,
    finish: choice?.finish_reason ?? null,
    usage: usage ? { prompt: usage.prompt_tokens ?? 0, answer: usage.completion_tokens ?? 0 } : null,
  }
}

/** OpenAI's error object as a problem of ours; its message ends with the code, which is shown beside it. */
export function unwrap(body: unknown): unknown {
  const error = (body as { error?: { message?: string; hako_code?: string } } | null)?.error
  if (!error?.hako_code) return body
  return { code: error.hako_code, title: (error.message ?? '').replace(` (${error.hako_code})`, '') }
}

/** ": queue position=3 wait_ms=1200", as the box comments on a wait. */
export function placeInLine(comment: string): { place: number; waitMs: number | null } | null {
  const found = /^queue position=(\d+)(?: wait_ms=(\d+))?/.exec(comment)
  return found ? { place: Number(found[1]), waitMs: found[2] ? Number(found[2]) : null } : null
}

/** 93.1 % as a share of one. */
export const probability = (logprob: number): number => Math.exp(Math.min(0, logprob))
