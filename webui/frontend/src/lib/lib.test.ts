import { describe, expect, it } from 'vitest'
import { eventParser } from './api/sse'
import { ofApp } from './locale-keys'
import { match } from './match'
import { finds, fold } from './search'
import { fill } from './sentence'

describe('event stream', () => {
  it('gives events as they are complete, however the bytes are cut', () => {
    const parse = eventParser()
    const stream = ': ping\n\nid: 1\nevent: delta\ndata: {"text":"a"}\n\nid: 2\r\nevent: done\r\ndata: x\r\ndata: y\r\n\r\n'
    const found = [...stream].flatMap((sign) => parse(sign))
    expect(found).toEqual([
      { id: '1', event: 'delta', data: '{"text":"a"}' },
      { id: '2', event: 'done', data: 'x\ny' },
    ])
  })
  it('gives nothing for an event without data or an unfinished one', () => {
    expect(eventParser()('event: x\n\ndata: half')).toEqual([])
  })
})

describe('routes', () => {
  it('match whole addresses and decode values', () => {
    expect(match('/docs/{base}/{doc}', '/docs/b%20c/d')).toEqual({ base: 'b c', doc: 'd' })
    expect(match('/docs/{base}', '/docs/b/c')).toBeNull()
    expect(match('/docs/{base}', '/docs/')).toBeNull()
    expect(match('/docs/{base}', '/docs/%')).toBeNull()
  })
})

describe('sentences', () => {
  it('take values and write figures in the language', () => {
    expect(fill('{n}件の{what}', { n: 1234.5, what: '文書' }, 'ja')).toBe('1,234.5件の文書')
  })
  it('choose the English word by number', () => {
    expect(fill('{n} {n:page|pages}', { n: 1 }, 'en')).toBe('1 page')
    expect(fill('{n} {n:page|pages}', { n: 2 }, 'en')).toBe('2 pages')
  })
  it('leave an unknown name standing', () => {
    expect(fill('{x}', {}, 'en')).toBe('{x}')
  })
})

describe('search', () => {
  it('ignores width, case and kind of kana', () => {
    expect(fold('ｶﾞｲﾄﾞ Ａｂ')).toBe('がいど ab')
    expect(finds('ガイド 手順', '手順のがいど')).toBe(true)
    expect(finds('ガイド 表', '手順のがいど')).toBe(false)
  })
})

describe('sentences that a browser loads', () => {
  it("leave out the server's own, by the area of their key", () => {
    expect(ofApp({ 'cli.ask.page': 'a', 'page.copy': 'b', 'answer.none': 'c', 'export.user': 'd', 'ui.page_failed': 'e' })).toEqual({ 'ui.page_failed': 'e' })
    expect(ofApp({ 'error.HK-BOX-001': 'a', 'error.HK-MOD-001': 'b' })).toEqual({ 'error.HK-BOX-001': 'a' })
    expect(ofApp({ 'play.run': 'a', 'ui.page_failed': 'b' })).toEqual({ 'ui.page_failed': 'b' })
    expect(ofApp({ 'play.run': 'a', 'model.state_idle': 'b' }, 'play')).toEqual({ 'play.run': 'a' })
    expect(ofApp({ 'audit.said.asked': 'a', 'nav.record': 'b' })).toEqual({ 'nav.record': 'b' })
    expect(ofApp({ 'audit.said.asked': 'a', 'nav.record': 'b' }, 'audit')).toEqual({ 'audit.said.asked': 'a' })
    expect(ofApp({ 'operate.bring': 'a', 'model.state_idle': 'b', 'ui.page_failed': 'c' }, 'operate')).toEqual({ 'operate.bring': 'a', 'model.state_idle': 'b' })
  })
})
