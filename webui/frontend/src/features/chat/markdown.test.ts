import { describe, expect, it } from 'vitest'
import { BlockReader, finishedTo, spoken, UNSOURCED, withUnsourced } from './markdown'

const TEXT = '前書き\n\n- 一\n- 二\n\n```python\nprint(1)\n\nprint(2)\n```\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\n終わり'

describe('blocks', () => {
  it('are the same whether the text came at once or sign by sign', () => {
    const whole = new BlockReader().read(TEXT)
    const growing = new BlockReader()
    let last = whole
    for (let end = 1; end <= TEXT.length; end++) last = growing.read(TEXT.slice(0, end))
    expect(last.map(({ kind, raw, code }) => [kind, raw.trim(), code])).toEqual(whole.map(({ kind, raw, code }) => [kind, raw.trim(), code]))
    expect(whole.map(({ kind }) => kind)).toEqual(['prose', 'prose', 'code', 'prose', 'prose'])
  })
  it('keep what is finished, so that it is not drawn again', () => {
    const reader = new BlockReader()
    const [first] = reader.read('一\n\n二\n\n三')
    expect(reader.read('一\n\n二\n\n三四')[0]).toBe(first)
  })
  it('begin anew for another text', () => {
    const reader = new BlockReader()
    reader.read('一\n\n二')
    expect(reader.read('三').map(({ raw }) => raw)).toEqual(['三'])
  })
  it('know code and its language', () => {
    const [code] = new BlockReader().read('```ts title="a"\nlet a\n```')
    expect(code).toMatchObject({ kind: 'code', code: 'let a', language: 'ts' })
  })
})

describe('sentences without a source', () => {
  it('get a sign at their end, before the white space', () => {
    expect(withUnsourced('一。二。 三。', [[0, 2], [2, 5]])).toBe(`一。${UNSOURCED}二。${UNSOURCED} 三。`)
  })
  it('are counted in characters, not in units of the browser', () => {
    expect(withUnsourced('𠮷。次', [[0, 2]])).toBe(`𠮷。${UNSOURCED}次`)
  })
  it('cannot be feigned by the text itself', () => {
    expect(withUnsourced(`偽${UNSOURCED}`, [])).toBe('偽')
  })
})

describe('what is read aloud', () => {
  it('leaves out marks of sources and of layout', () => {
    expect(spoken('**出勤できません。** [1]\n- 届け')).toBe('出勤できません。 \n 届け')
  })
  it('goes as far as finished sentences', () => {
    const text = '一つ目です。二つ目（「引用。」）は途'
    expect(text.slice(0, finishedTo(text))).toBe('一つ目です。二つ目（「引用。」）')
    expect(finishedTo('Version 1.2 is')).toBe(0)
  })
})
