// Watching a change across the restart: the box goes away, comes back locked, and ends it.
import { afterEach, beforeEach, expect, it, vi } from 'vitest'
import { ApiError } from '../../lib/api/client'
import { Following } from './following.svelte'

const get = vi.hoisted(() => vi.fn())
vi.mock('../../lib/api/client', async (original) => ({ ...(await original<typeof import('../../lib/api/client')>()), api: { get } }))

const going = (phase: string, lasted_s: number) => ({ phase, began_at: '2026-11-23T10:00:00Z', lasted_s })
const over = { phase: 'committed', began_at: '2026-11-23T10:00:00Z', lasted_s: null }

beforeEach(() => void vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] }))
afterEach(() => {
  vi.useRealTimers()
  get.mockReset()
})

it('stays while the box cannot be heard, says why, and counts on', async () => {
  const following = new Following()
  get.mockResolvedValueOnce(going('wanted', 2))
  await following.look()
  const heard: [string, number][] = []
  const answers = [new ApiError(0, 'HK-NET-001', ''), new ApiError(502, 'HK-BOX-001', ''), new ApiError(423, 'HK-VLT-001', ''), new ApiError(401, 'HK-AUTH-001', ''), going('probing', 7), over]
  get.mockImplementation(async () => {
    const next = answers.shift()
    if (next instanceof ApiError) throw next
    return next
  })
  const leaving = new AbortController()
  const followed = following.follow(leaving.signal)
  for (let i = 0; i < 6; i += 1) {
    await vi.advanceTimersByTimeAsync(1000)
    heard.push([following.contact, Math.round(following.elapsed)])
  }
  await followed
  expect(heard).toEqual([['away', 3], ['away', 4], ['sealed', 5], ['out', 6], ['here', 7], ['here', 8]])
  expect(following.standing?.phase).toBe('committed')
  expect(following.began).toBe('2026-11-23T10:00:00Z')
})

it('does not wait for an answer that never comes', async () => {
  const following = new Following()
  get.mockResolvedValueOnce(going('wanted', 0))
  await following.look()
  get.mockImplementationOnce((_where: string, signal: AbortSignal) => new Promise((_, reject) => signal.addEventListener('abort', () => reject(new DOMException('', 'AbortError')))))
  get.mockResolvedValue(over)
  const followed = following.follow(new AbortController().signal)
  await vi.advanceTimersByTimeAsync(9100)
  expect(following.contact).toBe('away')
  await vi.advanceTimersByTimeAsync(1000)
  await followed
  expect(following.contact).toBe('here')
})

it('ends when somebody leaves the page', async () => {
  const following = new Following()
  get.mockResolvedValue(going('probing', 0))
  await following.look()
  const leaving = new AbortController()
  const followed = following.follow(leaving.signal)
  await vi.advanceTimersByTimeAsync(2000)
  leaving.abort()
  await vi.advanceTimersByTimeAsync(1000)
  await followed
  expect(get.mock.calls.length).toBe(3)
})
