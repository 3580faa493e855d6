import { describe, expect, it } from 'vitest'
import { inUnits, locate, parts, pieces } from './paper'

const words = (list: { text: string; marked: boolean }[]) => list.map((piece) => (piece.marked ? `«${piece.text}»` : piece.text)).join('')

describe('offsets', () => {
  it('are left alone where characters and units agree', () => {
    expect(inUnits('就業規則', [{ start: 1, end: 3 }])).toEqual([{ start: 1, end: 3 }])
  })
  it('are moved behind characters outside the basic plane', () => {
    const text = '𠮷野家の規則'
    const [range] = inUnits(text, [{ start: 1, end: 3 }])
    expect(text.slice(range?.start, range?.end)).toBe('野家')
  })
  it('past the end stop at the end', () => {
    expect(inUnits('𠮷', [{ start: 0, end: 9 }])).toEqual([{ start: 0, end: 2 }])
  })
})

describe('pieces', () => {
  it('cut at both ends of a mark', () => {
    expect(words(pieces('abcdef', { start: 0, end: 6 }, [{ start: 2, end: 4 }]))).toBe('ab«cd»ef')
  })
  it('keep a mark that goes over the block', () => {
    expect(words(pieces('abcdef', { start: 2, end: 6 }, [{ start: 0, end: 4 }]))).toBe('«cd»ef')
  })
})

describe('parts', () => {
  it('make a table of bar rows, without the rule and with escaped bars', () => {
    const text = '| a | b |\n| --- | --- |\n| 1\\|2 | 三 |'
    const [table] = parts({ text, blocks: [{ kind: 'table', level: 0, start: 0, end: text.length }] }, [])
    expect(table?.kind).toBe('table')
    if (table?.kind !== 'table') return
    expect(table.head.map(words)).toEqual(['a', 'b'])
    expect(table.rows.map((row) => row.map(words))).toEqual([['1|2', '三']])
  })
  it('take bullets off list items and mark inside them', () => {
    const text = '・手を洗う\n・マスク'
    const [list] = parts({ text, blocks: [{ kind: 'list', level: 0, start: 0, end: text.length }] }, [{ start: 1, end: 2 }])
    expect(list?.kind === 'list' && list.items.map(words)).toEqual(['«手»を洗う', 'マスク'])
  })
  it('show a page without blocks as one paragraph', () => {
    const [only] = parts({ text: '本文', blocks: [] }, [])
    expect(only?.kind === 'paragraph' && words(only.pieces)).toBe('本文')
  })
})

describe('a quote', () => {
  it('is where it says', () => {
    expect(locate('あ規則。い', '規則。', { start: 1, end: 4 })).toEqual({ start: 1, end: 4 })
  })
  it('is found again when the range is off', () => {
    expect(locate('𠮷あ規則。い', '規則。', { start: 0, end: 2 })).toEqual({ start: 2, end: 5 })
  })
  it('that is not on the page is nowhere', () => {
    expect(locate('あいう', '規則。', { start: 0, end: 2 })).toBeNull()
  })
})
