// What is asked once at a time: under way until it has ended, and what failed is kept until the next one begins.
import { expect, it, vi } from 'vitest'
import { Attempt } from './attempt.svelte'

function held() {
  let end = () => {}
  const act = () => new Promise<void>((resolve) => (end = resolve))
  return { act, end: () => end() }
}

it('is under way until it has come through', async () => {
  const attempt = new Attempt()
  const { act, end } = held()
  const ran = attempt.run(act)
  expect(attempt.working).toBe(true)
  end()
  expect(await ran).toBe(true)
  expect([attempt.working, attempt.error]).toEqual([false, null])
})

it('keeps what failed until the next one begins', async () => {
  const attempt = new Attempt()
  const fault = new Error('no line')
  expect(await attempt.run(() => Promise.reject(fault))).toBe(false)
  expect([attempt.working, attempt.error]).toEqual([false, fault])
  const { act, end } = held()
  const ran = attempt.run(act)
  expect([attempt.working, attempt.error]).toEqual([true, null])
  end()
  expect(await ran).toBe(true)
})

it('asks for nothing more while one is under way, which goes on', async () => {
  const attempt = new Attempt()
  const { act, end } = held()
  const ran = attempt.run(act)
  const second = vi.fn(act)
  expect(await attempt.run(second)).toBe(false)
  expect(second).not.toHaveBeenCalled()
  expect(attempt.working).toBe(true)
  end()
  expect(await ran).toBe(true)
})
