// A change of the release as it is seen from outside: stages, the box's look at itself, and how it ended.
import { describe, expect, it } from 'vitest'
import type { Change, Phase, Standing } from '../../lib/api/release'
import { ended, hasFailed, isGoing, isTrial, jobsOf, minutes, parts, stages, standstill } from './release'

const release = { version: '0.2.0', counter: 2, floor: 0, digest: '0'.repeat(64), irreversible: false }
const change: Change = { version: '0.2.0', before: '0.1.0', kept: true, on_trial: true, reason: '', code: '', by: 'alice', at: '2026-11-23T10:02:00Z', stood_still_s: 60 }

function standing(phase: Phase, more: Partial<Standing> = {}): Standing {
  return {
    phase, target: release, boots_left: 0, reason: '', began_at: null, lasted_s: null, until: null, left_s: null,
    running: { ...release, version: '0.1.0', counter: 1 }, since: null, floor: 0, ready: null, back: null, no_way_back: 'none', seen: null, last: null, ...more,
  }
}

describe('the stages of a change', () => {
  const states = (...given: Parameters<typeof stages>) => stages(...given).map(({ state }) => state)
  it('go on with what was heard last', () => {
    expect(states('wanted')).toEqual(['now', 'wait', 'wait'])
    expect(states('wanted', 'away')).toEqual(['now', 'wait', 'wait'])
    expect(states('switched')).toEqual(['past', 'now', 'wait'])
    expect(states('probing')).toEqual(['past', 'past', 'now'])
    expect(states('committed')).toEqual(['past', 'past', 'past'])
  })
  it('a locked box has stopped and started already', () => {
    expect(states('wanted', 'sealed')).toEqual(['past', 'now', 'wait'])
    expect(states('probing', 'sealed')).toEqual(['past', 'past', 'now'])
  })
  it('going back copies nothing and checks nothing', () => {
    expect(stages('rolling-back')).toEqual([{ name: 'halt', state: 'now' }, { name: 'start', state: 'wait' }])
  })
  it('tells a change under way and a trial', () => {
    expect((['idle', 'staged', 'installed', 'committed', 'rolled-back'] as const).some((phase) => isGoing({ phase }))).toBe(false)
    expect((['wanted', 'snapshot', 'switched', 'probing', 'rolling-back'] as const).every((phase) => isGoing({ phase }))).toBe(true)
    expect((['switched', 'probing', 'wanted'] as const).map((phase) => isTrial({ phase }))).toEqual([true, true, false])
  })
})

describe("the box's look at itself", () => {
  const seen = (passed: string[], failed = '') => parts({ number: 1, passed, failed, code: '' }).map(({ name, state }) => `${name} ${state}`)
  it('is at the part after those that it has passed', () => {
    expect(seen(['state', 'sign-in']).slice(0, 4)).toEqual(['state past', 'sign-in past', 'answer now', 'document wait'])
  })
  it('ends at the part that failed', () => {
    expect(seen(['state'], 'sign-in')).toEqual(['state past', 'sign-in bad', 'answer wait', 'document wait', 'audit wait', 'egress wait'])
  })
  it('shows a part that only a newer release knows', () => {
    expect(seen(['state', 'wings'])[1]).toBe('wings past')
  })
  it('waits before the first one', () => {
    expect(parts(null).every(({ state }) => state === 'wait')).toBe(true)
  })
})

describe('how a change ended', () => {
  const began = '2026-11-23T10:00:00Z'
  it('is what the box remembers of this one', () => {
    expect(ended(standing('committed', { last: change }), began)).toEqual({ kind: 'kept', change })
    const back = { ...change, kept: false }
    expect(ended(standing('rolled-back', { last: back }), began)?.kind).toBe('taken-back')
    expect(ended(standing('rolled-back', { last: { ...back, on_trial: false } }), began)?.kind).toBe('gone-back')
  })
  it('is not yet known while it goes on', () => {
    expect(ended(standing('probing', { last: change }), began)).toBeNull()
  })
  it('is not that of an earlier one', () => {
    const later = '2026-11-24T10:00:00Z'
    const end = ended(standing('rolled-back', { last: change, reason: 'boots' }), later)
    expect(end).toMatchObject({ kind: 'taken-back', change: { version: '0.2.0', before: '0.1.0', reason: 'boots' } })
  })
  it('without room for the copy nothing was changed', () => {
    expect(ended(standing('installed', { last: change, reason: 'room' }), '2026-11-24T10:00:00Z')?.kind).toBe('no-room')
  })
})

it('a release that was taken back is known again', () => {
  const back = { ...change, kept: false }
  expect(hasFailed(back, release)).toBe(true)
  expect([hasFailed(change, release), hasFailed({ ...back, on_trial: false }, release), hasFailed({ ...back, version: '0.3.0' }, release), hasFailed({ ...back, reason: 'operator' }, release), hasFailed(null, release)]).toEqual([false, false, false, false, false])
})

it('figures are of use to people', () => {
  expect([0, 59, 60, 61].map(minutes)).toEqual([1, 1, 1, 2])
  expect(standstill({ time: { stop_s: 5, start_s: 15.5, check_s: 30, measured: false } })).toBe(50.5)
  expect(jobsOf({ now: { answers: 0, people: 1, jobs: { bundle: 1, ingest: 2 } } })).toBe(3)
})
