// The verdict, the forecast, what a chart and its table hold, polling while somebody looks, and the display on the wall.
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import type { HealthFinding, Point } from '../../lib/api/health'
import { STALE_MS, view, type Wall } from '../../pages/wall-view'
import { isInside, isPlace, literal } from './alerts'
import { forecast } from './forecast'
import { whileVisible } from './poll'
import { aligned, peak, rows } from './series'
import { STALE_S, open, verdict } from './verdict'

const NOW = Date.parse('2026-11-26T05:00:00.000Z')
const DAY = 24 * 3600
const finding = (changes: Partial<HealthFinding>): HealthFinding => ({
  key: 'backup/old', check: 'backup', name: 'old', state: 'warning', code: 'HK-HLT-046', params: {}, since: '2026-11-25T05:00:00.000Z', snoozed_until: null, fix: null, ...changes,
})
const off = finding({ key: 'usb/appeared', snoozed_until: '2026-11-27T05:00:00.000Z' })
const bad = finding({ key: 'disk/low', state: 'error' })
const looked = (findings: HealthFinding[], ago = 20) => verdict({ findings, checked_at: new Date(NOW - ago * 1000).toISOString() }, NOW)

describe('the verdict', () => {
  it('is well without findings, and counts those that nobody has put off', () => {
    expect(looked([])).toEqual({ state: 'ok', word: 'status.verdict_ok', count: 0 })
    expect(looked([off])).toEqual({ state: 'ok', word: 'status.verdict_ok', count: 0 })
    expect(looked([off, finding({})])).toEqual({ state: 'warning', word: 'status.verdict_warning_one', count: 1 })
    expect(looked([finding({}), bad])).toEqual({ state: 'error', word: 'status.verdict_error', count: 2 })
    expect(open([off, bad])).toEqual([bad])
  })
  it('is unknown when nobody has looked, or not lately, whatever was found', () => {
    expect(verdict({ findings: [], checked_at: null }, NOW).state).toBe('unknown')
    expect(looked([], STALE_S)).toMatchObject({ state: 'ok' })
    expect(looked([bad], STALE_S + 1)).toMatchObject({ state: 'unknown', word: 'status.verdict_old' })
  })
})

describe('the forecast of the disk', () => {
  const filling = (perDay: number, days: number, start = 0.5): Point[] => Array.from({ length: days * 3 + 1 }, (_, i) => [i * 8 * 3600, start + (perDay * i) / 3])
  it('finds the day on which a line reaches 90 %', () => {
    const found = forecast(filling(0.01, 10))
    expect(found.kind).toBe('full')
    if (found.kind !== 'full') return
    expect(found.at / DAY).toBeCloseTo(40, 3)
    expect(found.line[1][1]).toBeCloseTo(0.9, 6)
  })
  it('draws no further than ninety days', () => {
    const found = forecast(filling(0.002, 20))
    if (found.kind !== 'full') throw new Error(found.kind)
    expect(found.at / DAY).toBeCloseTo(200, 3)
    expect(found.line[1][0] / DAY).toBeCloseTo(110, 3)
  })
  it('goes by the last two weeks', () => {
    const quiet: Point[] = [...filling(0.02, 10, 0.1), ...Array.from({ length: 60 }, (_, i): Point => [(11 + i) * DAY, 0.3])]
    expect(forecast(quiet)).toEqual({ kind: 'steady' })
  })
  it('says when it can not tell, when it never fills, and when it is too late', () => {
    expect(forecast([])).toEqual({ kind: 'early' })
    expect(forecast(filling(0.01, 0))).toEqual({ kind: 'early' })
    expect(forecast(filling(-0.01, 10))).toEqual({ kind: 'steady' })
    expect(forecast(filling(0.001, 10))).toEqual({ kind: 'steady' })
    expect(forecast(filling(0.01, 10, 0.85))).toEqual({ kind: 'over' })
  })
})

describe('a chart', () => {
  it('has one axis for all its measures, and a break where nothing was read', () => {
    const [axis, first, second] = aligned([[[0, 1], [300, 2], [9000, 3]], [[300, 5]]], '24h')
    expect(axis).toEqual([0, 300, 301, 9000])
    expect(first).toEqual([1, 2, null, 3])
    expect(second).toEqual([null, 5, null, null])
  })
  it('knows its peak, the first of equals', () => {
    expect(peak([[1, 2], [2, 7], [3, 7]])).toEqual([2, 7])
    expect(peak([])).toBeNull()
  })
  it('is a table of parts with their mean and their most, without those that nobody read', () => {
    const found = rows([[[DAY - 60, 10], [DAY - 30, 20]], []], '24h', DAY)
    expect(found).toEqual([{ from: 22 * 3600, values: [{ mean: 15, most: 20 }, null] }])
  })
})

describe('polling', () => {
  const listeners = new Set<() => void>()
  const page = { visibilityState: 'visible', addEventListener: (_: string, run: () => void) => listeners.add(run), removeEventListener: (_: string, run: () => void) => listeners.delete(run) }
  beforeEach(() => {
    vi.useFakeTimers()
    vi.stubGlobal('document', page)
    page.visibilityState = 'visible'
  })
  afterEach(() => {
    vi.useRealTimers()
    vi.unstubAllGlobals()
  })

  it('asks at once, again and again, rests while nobody looks, and stops', async () => {
    let asked = 0
    const stop = whileVisible(5000, async () => void (asked += 1))
    expect(asked).toBe(1)
    await vi.advanceTimersByTimeAsync(10_000)
    expect(asked).toBe(3)
    page.visibilityState = 'hidden'
    await vi.advanceTimersByTimeAsync(60_000)
    expect(asked).toBe(3)
    page.visibilityState = 'visible'
    for (const run of listeners) run()
    expect(asked).toBe(4)
    stop()
    await vi.advanceTimersByTimeAsync(60_000)
    expect(asked).toBe(4)
    expect(listeners.size).toBe(0)
  })
  it('never asks twice at once, and tells a question under way that it is over', async () => {
    let asked = 0
    let signal: AbortSignal | undefined
    const stop = whileVisible(5000, (given) => {
      asked += 1
      signal = given
      return new Promise(() => undefined)
    })
    for (const run of listeners) run()
    await vi.advanceTimersByTimeAsync(60_000)
    expect(asked).toBe(1)
    stop()
    expect(signal?.aborted).toBe(true)
  })
})

describe('the display on the wall', () => {
  const words = { 'verdict.warning': 'to look at: {count}', 'verdict.lost': 'lost', 'verdict.sealed': 'sealed', 'verdict.unknown': 'new', 'state.ok': 'well', 'state.unknown': 'unknown', 'gap.closed': 'closed', 'gap.unknown': "can't tell", sent: '{n} sent', seen: 'as of {at}', lost: 'none since {at}' }
  const reading: Wall = { state: 'warning', lamps: [{ name: 'disk', state: 'ok' }], verdict: { word: 'warning', params: { count: 2 } }, gap: { state: 'closed', sent: 0 }, at: '' }
  const show = (known: { reading: Wall | null; readAt: number; sealed: boolean }, now = NOW) => view(known, words, now, String)

  it('shows the last reading', () => {
    expect(show({ reading, readAt: NOW - STALE_MS, sealed: false })).toEqual({
      state: 'warning', verdict: 'to look at: 2', lamps: { disk: { state: 'ok', word: 'well' } }, gap: { state: 'closed', word: 'closed', note: '0 sent' }, seen: `as of ${NOW - STALE_MS}`,
    })
  })
  it('is never green after a minute without one', () => {
    const shown = show({ reading, readAt: NOW - STALE_MS - 1, sealed: false })
    expect(shown).toEqual({
      state: 'unknown', verdict: 'lost', lamps: { disk: { state: 'unknown', word: 'unknown' } }, gap: { state: 'unknown', word: "can't tell", note: '' }, seen: `none since ${NOW - STALE_MS - 1}`,
    })
  })
  it('says at once that the vault is sealed', () => {
    expect(show({ reading, readAt: NOW, sealed: true })).toMatchObject({ state: 'unknown', verdict: 'sealed', lamps: { disk: { state: 'unknown' } }, seen: '' })
    expect(show({ reading: null, readAt: 0, sealed: false })).toMatchObject({ state: 'unknown', verdict: 'new', lamps: {} })
  })
})

describe('where alerts go', () => {
  it('knows places, their addresses, and which of them are inside', () => {
    expect(['http://10.0.0.5/hook', 'https://ops.internal:8065/hooks/x', 'http://[fd00::7]:80/'].map(isPlace)).toEqual([true, true, true])
    expect(['', 'ops.internal', 'ftp://a/', 'http://a/?x=1', 'http://me:word@a/', 'http://a/#x'].map(isPlace)).toEqual(Array(6).fill(false))
    expect(['http://10.0.0.5/hook', 'http://[fd00::7]:80/', 'https://ops.internal/', 'nonsense'].map(literal)).toEqual(['10.0.0.5', 'fd00::7', '', ''])
    expect(['10.1.2.3', '172.31.0.1', '192.168.9.9', '127.0.0.1', '100.64.0.1', 'fd00::7', '::1'].map(isInside)).toEqual(Array(7).fill(true))
    expect(['8.8.8.8', '172.32.0.1', '100.128.0.1', '192.169.0.1', '2001:db8::1', ''].map(isInside)).toEqual(Array(6).fill(false))
  })
})
