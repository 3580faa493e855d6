// What a key may do, between the form, the box and the list.
import { expect, test, vi } from 'vitest'
import { speak } from '../../lib/i18n.svelte'
import type { KeyScope } from '../../lib/api/types'
import { asked, day, draftOf, expired, faults, whole, words } from './scope'

const WHOLE: KeyScope = { models: [], dialects: [], base_ids: [], may_write: true, model_rights: 'none', only_metrics: false, requests_per_minute: null, expires_at: null }
const NARROW: KeyScope = {
  models: ['talker'],
  dialects: ['openai', 'hako'],
  base_ids: ['base_1', 'base_gone'],
  may_write: false,
  model_rights: 'remove',
  only_metrics: false,
  requests_per_minute: 60,
  expires_at: '2100-05-06T07:08:09.000Z',
}

test('a form that was left alone asks for everything and sets no end', () => {
  const { expires_at: _end, ...rest } = WHOLE
  expect(asked(whole())).toEqual(rest)
  expect(draftOf(WHOLE)).toEqual(whole())
})

test('what was not touched is sent back as it was, and the end not at all', () => {
  const was = draftOf(NARROW)
  const { expires_at: _end, ...rest } = NARROW
  expect(asked(draftOf(NARROW), was)).toEqual(rest)
})

test('an end is the last moment of its day where the reader is, and can be taken away', () => {
  const sent = asked({ ...whole(), until: '2100-01-31' }).expires_at
  expect(new Date(sent ?? '').getTime()).toBe(new Date(2100, 0, 31, 23, 59, 59, 999).getTime())
  expect(day(new Date(sent ?? ''))).toBe('2100-01-31')
  expect(asked({ ...draftOf(NARROW), until: '' }, draftOf(NARROW)).expires_at).toBeNull()
})

test('a choice of nothing, a figure that is none and a day that has passed are told', () => {
  const draft = { ...whole(), models: [], rate: '0', until: '2001-01-01' }
  expect(Object.keys(faults(draft)).sort()).toEqual(['models', 'rate', 'until'])
  for (const rate of ['', ' 1 ', '100000']) expect(faults({ ...whole(), rate })).toEqual({})
  for (const rate of ['1.5', '-1', '100001', 'x']) expect(faults({ ...whole(), rate })).toHaveProperty('rate')
  expect(faults({ ...whole(), until: '2001-01-01' }, { ...whole(), until: '2001-01-01' })).toEqual({})
  expect(faults({ ...whole(), until: '2030-01-01' }, whole(), '2030-01-01')).toEqual({})
})

test('limits are said in words, with the names of what is still there', async () => {
  vi.stubGlobal('document', { documentElement: {} })
  await speak('en')
  const said = words(NARROW, [{ id: 'talker', name: 'Talker' }], [{ id: 'base_1', name: 'Rules' }], Date.parse('2100-01-01T00:00:00Z'))
  expect(said.slice(0, 5)).toEqual([
    'Models: Talker', 'Bases: Rules, base_gone', "APIs: OpenAI, The box's own API (/api/v1)", 'Documents: read only', '60 requests a minute',
  ])
  expect(said[5]).toBe('Models: may rename and remove')
  expect(said[6]).toMatch(/^Expires 6 May 2100/)
  expect(words(WHOLE, [], [])).toEqual(['No limits'])
  expect(words(NARROW, [], [], Date.parse('2101-01-01T00:00:00Z')).at(-1)).toMatch(/^Expired/)
  expect([expired(NARROW, Date.parse('2100-05-06T07:08:09Z')), expired(NARROW, 0), expired(WHOLE)]).toEqual([true, false, false])
})
