// Sentences and details of entries in both languages, and spans of the reader's own days.
import { beforeAll, describe, expect, it } from 'vitest'
import type { Entry } from '../../lib/api/audit'
import { learn, speak } from '../../lib/i18n.svelte'
import { moments } from './spans'
import { details, sentence, short } from './words'

const entry = (changes: Partial<Entry>): Entry => ({
  number: 1,
  at: '2026-11-23T05:02:09.000Z',
  actor: 'mori',
  who: { kind: 'person', name: '森 健太', account: 'mori' },
  action: 'model-loaded',
  group: 'models',
  outcome: 'done',
  target: 'qwen3',
  what: { kind: 'model', name: 'Qwen3 8B', state: 'there' },
  detail: {},
  named: {},
  ...changes,
})
const gone = entry({ action: 'user-deleted', target: 'usr_0123456789abcdefghjk', what: { kind: 'user', name: '', state: 'gone' } })
const hidden = entry({ action: 'document-added', target: 'doc_0123456789abcdefghjk', what: { kind: 'document', name: '', state: 'unknown' } })

beforeAll(() => {
  // the only part of a page that languages touch
  Object.assign(globalThis, { document: { documentElement: {} } })
})

describe('an entry in Japanese', () => {
  beforeAll(async () => {
    await learn('audit')
    await speak('ja')
  })
  it('is a sentence with the names of today', () => {
    expect(sentence(entry({}))).toBe('森 健太がモデルQwen3 8Bを読み込みました')
    expect(sentence(gone)).toBe('森 健太がusr_01234567…（消去済み）の登録を消去しました')
  })
  it('tells details in words, sizes and dates', () => {
    const found = details(entry({ detail: { via: 'browser', from: '10.0.0.7', fields: 'role,disabled', sent_bytes: 1_850_000, chained: 0, counter: 12345 } }))
    expect(found.map(({ word, value }) => `${word}: ${value}`)).toEqual(['変更した項目: 役割、利用停止', '送った量: 1.9 MB', '記録のつながり: 切れています', '版の通し番号: 12345'])
  })
})

describe('an entry in English', () => {
  beforeAll(() => speak('en'))
  it('says the same, and names nothing that is hidden', () => {
    expect(sentence(entry({}))).toBe('森 健太 loaded model Qwen3 8B')
    expect(sentence(hidden)).toBe('森 健太 added document “doc_01234567…” (erased, or not yours to see)')
  })
  it('takes ids among the details by their names', () => {
    const made = entry({ action: 'model-alias-set', target: 'gpt-4', what: { kind: 'alias', name: 'gpt-4', state: 'there' }, detail: { model: 'qwen3' }, named: { model: { kind: 'model', name: 'Qwen3 8B', state: 'there' } } })
    expect(sentence(made)).toBe('森 健太 gave model Qwen3 8B the alias gpt-4')
  })
  it('shows a dash for what an older release did not record, and the name of an action that it does not know', () => {
    expect(sentence(entry({ action: 'model-adapter-added' }))).toBe('森 健太 added the adapter – to model Qwen3 8B')
    expect(sentence(entry({ action: 'tea-made', group: null }))).toBe('森 健太 did tea-made (model Qwen3 8B)')
  })
  it('never reads what was recorded as a placeholder', () => {
    expect(sentence(entry({ who: { kind: 'person', name: '{what}', account: 'x' } }))).toBe('{what} loaded model Qwen3 8B')
  })
})

describe('long ids', () => {
  it('are shown by their beginning, names are not', () => {
    expect(short('a'.repeat(64))).toBe(`${'a'.repeat(12)}…`)
    expect(short('multilingual-e5-small')).toBe('multilingual-e5-small')
  })
})

describe('spans of time', () => {
  const now = new Date(2026, 10, 23, 14, 2)
  const at = (...date: [number, number, number]) => new Date(...date).toISOString()
  it("begin and end at the reader's midnight", () => {
    expect(moments('all', '', '', now)).toEqual({})
    expect(moments('today', '', '', now)).toEqual({ since: at(2026, 10, 23) })
    expect(moments('7', '', '', now)).toEqual({ since: at(2026, 10, 17) })
    expect(moments('own', '2026-11-01', '2026-11-30', now)).toEqual({ since: at(2026, 10, 1), until: at(2026, 11, 1) })
  })
  it('leave out what is no day', () => {
    expect(moments('own', 'x', '', now)).toEqual({})
  })
})
