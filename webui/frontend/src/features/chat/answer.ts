// What is told about one answer: its first sentence, its language, how much of the model's context it takes.
import type { Citation, Message } from '../../lib/api/types'
import { roughTokens, type Shown } from './thread'

/** What goes to the model with a question about documents: four passages, or for a tiny model a few sentences alone. */
const PASSAGES_TOKENS = 1200
const SENTENCES_TOKENS = 400

/** An answer that found nothing clear begins with saying so; the nearest passages follow. */
export function opening(message: Message): { note: string; rest: string } {
  const unclear = message.mode === 'extractive' && (message.verdict === 'none' || message.verdict === 'perhaps')
  if (!unclear) return { note: '', rest: message.text }
  const end = message.text.indexOf('\n\n')
  return end < 0 ? { note: message.text, rest: '' } : { note: message.text.slice(0, end), rest: message.text.slice(end + 2) }
}

/** The language a text is set in: kana or kanji make it Japanese. */
export function languageOf(text: string): 'ja' | 'en' {
  return /[\u3040-\u30ff\u3400-\u9fff]/.test(text) ? 'ja' : 'en'
}

/** Which answer a new question follows: the last one shown, or the one before a question that stayed without answer. */
export function follows(line: readonly Shown[]): string | null {
  const last = line.at(-1)?.message
  if (!last) return null
  return last.role === 'assistant' ? last.id : last.parent_id
}

/** Tokens that the next question will take, roughly, with everything that goes along. */
export function roughUse(line: readonly Shown[], draft: string, { documents, tiny }: { documents: boolean; tiny: boolean }): number {
  if (documents && tiny) return roughTokens(draft) + SENTENCES_TOKENS
  const said = line.reduce((sum, { message }) => sum + roughTokens(message.text), 0)
  return said + roughTokens(draft) + (documents ? PASSAGES_TOKENS : 0)
}

/** Citations by number, each once. */
export function inOrder(citations: readonly Citation[] | undefined): Citation[] {
  return [...new Map((citations ?? []).map((citation) => [citation.n, citation])).values()].sort((a, b) => a.n - b.n)
}

/** An answer as plain text with its sources below, to paste elsewhere. */
export function withSources(message: Message, sourceLine: (citation: Citation) => string): string {
  const sources = inOrder(message.citations).map((citation) => `[${citation.n}] ${sourceLine(citation)}`)
  return sources.length > 0 ? `${message.text.trim()}\n\n${sources.join('\n')}` : message.text.trim()
}
