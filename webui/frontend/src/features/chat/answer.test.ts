import { describe, expect, it } from 'vitest'
import type { Citation, Message } from '../../lib/api/types'
import { follows, inOrder, languageOf, opening, roughUse, withSources } from './answer'
import { line } from './thread'

const message = (fields: Partial<Message>): Message => ({ id: 'm', parent_id: null, role: 'assistant', text: '', state: 'done', created_at: '', ...fields })
const citation = (n: number, title = '規程'): Citation => ({
  n, document_id: 'd', base_id: 'b', document: 'a.pdf', title, page: 4, pages: 9, sentence: 1, start: 0, end: 2, quote: '', passage: '', mark: 'quoted',
})

describe('an answer that found nothing clear', () => {
  it('opens with saying so, before the nearest passages', () => {
    const found = opening(message({ mode: 'extractive', verdict: 'none', text: '文書に記載がありません。\n\n> 近い箇所 [1]\n\n> 次 [2]' }))
    expect(found).toEqual({ note: '文書に記載がありません。', rest: '> 近い箇所 [1]\n\n> 次 [2]' })
  })
  it('is all note when no passage came near', () => {
    expect(opening(message({ mode: 'extractive', verdict: 'perhaps', text: 'なし' }))).toEqual({ note: 'なし', rest: '' })
  })
  it('is only the kind without a model: a written one keeps its text whole', () => {
    expect(opening(message({ mode: 'generated', verdict: 'perhaps', text: 'a\n\nb' }))).toEqual({ note: '', rest: 'a\n\nb' })
    expect(opening(message({ mode: 'extractive', verdict: 'answer', text: 'a\n\nb' })).rest).toBe('a\n\nb')
  })
})

describe('the language of a text', () => {
  it('is Japanese with a kana or a kanji, else English', () => {
    expect(['規程', 'カタカナ', 'PDF を', 'plain “text” 1.', ''].map(languageOf)).toEqual(['ja', 'ja', 'ja', 'en', 'en'])
  })
})

describe('a new question', () => {
  const question = message({ id: 'q', role: 'user' })
  it('follows the answer shown last', () => {
    expect(follows(line([question, message({ id: 'a', parent_id: 'q' })], new Map()))).toBe('a')
  })
  it('takes the place of one that stayed without answer', () => {
    const later = message({ id: 'q2', role: 'user', parent_id: 'a' })
    expect(follows(line([question, message({ id: 'a', parent_id: 'q' }), later], new Map()))).toBe('a')
    expect(follows(line([question], new Map()))).toBeNull()
  })
  it('is the first in an empty conversation', () => {
    expect(follows([])).toBeNull()
  })
})

describe('the use of the context', () => {
  const said = line([message({ text: '十文字の日本語の文章' })], new Map())
  it('grows with what was said, the draft and the passages', () => {
    const bare = roughUse(said, '', { documents: false, tiny: false })
    expect(bare).toBe(10)
    expect(roughUse(said, '下書き', { documents: false, tiny: false })).toBe(13)
    expect(roughUse(said, '', { documents: true, tiny: false })).toBeGreaterThan(1000)
  })
  it('leaves the conversation out where a tiny model reads documents', () => {
    expect(roughUse(said, '', { documents: true, tiny: true })).toBe(roughUse([], '', { documents: true, tiny: true }))
  })
})

describe('citations', () => {
  it('come by number and once', () => {
    expect(inOrder([citation(2), citation(1), citation(2, '新')]).map(({ n, title }) => [n, title])).toEqual([[1, '規程'], [2, '新']])
    expect(inOrder(undefined)).toEqual([])
  })
  it('are copied below the text', () => {
    const text = withSources(message({ text: '出勤できません。 [1]\n', citations: [citation(1)] }), ({ title, page }) => `${title} p.${page}`)
    expect(text).toBe('出勤できません。 [1]\n\n[1] 規程 p.4')
    expect(withSources(message({ text: ' a ' }), () => '')).toBe('a')
  })
})
