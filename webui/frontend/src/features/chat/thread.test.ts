import { describe, expect, it } from 'vitest'
import type { Message } from '../../lib/api/types'
import { line, roughTokens } from './thread'

const message = (id: string, parent_id: string | null): Message => ({ id, parent_id, role: 'user', text: id, state: 'done', created_at: '' })
const ids = (shown: ReturnType<typeof line>) => shown.map((one) => one.message.id)

describe('the line of a conversation', () => {
  const tree = [message('q', null), message('a', 'q'), message('b', 'q'), message('c', 'a'), message('d', 'b')]
  it('takes the newest branch where none was chosen', () => {
    expect(ids(line(tree, new Map()))).toEqual(['q', 'b', 'd'])
  })
  it('takes the chosen branch, and tells its place', () => {
    const shown = line(tree, new Map([['q', 'a']]))
    expect(ids(shown)).toEqual(['q', 'a', 'c'])
    expect(shown[1]?.branches).toEqual({ at: 0, ids: ['a', 'b'] })
  })
  it('forgets a choice that is gone', () => {
    expect(ids(line(tree, new Map([['q', 'gone']])))).toEqual(['q', 'b', 'd'])
  })
  it('shows a message whose parent is missing as a first one', () => {
    expect(ids(line([message('x', 'nowhere')], new Map()))).toEqual(['x'])
  })
})

describe('rough tokens', () => {
  it('count a kanji or kana as one and four letters as one', () => {
    expect(roughTokens('規程のa')).toBe(4)
    expect(roughTokens('eight ch')).toBe(2)
    expect(roughTokens('')).toBe(0)
  })
})
