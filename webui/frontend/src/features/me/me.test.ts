// First passwords, and browsers by their own description.
import { expect, test } from 'vitest'
import { device } from './device'
import { firstPassword, MIN_PASSWORD, sharedSecret } from './secrets'

test('a first password is long, easy to read out, and never the same', () => {
  const made = new Set(Array.from({ length: 200 }, firstPassword))
  expect(made.size).toBe(200)
  for (const one of made) {
    expect(one).toMatch(/^([2-9b-df-hj-km-np-tv-xz]{5}-){3}[2-9b-df-hj-km-np-tv-xz]{5}$/)
    expect(one.length).toBeGreaterThanOrEqual(MIN_PASSWORD)
  }
})

test('a secret for two programs is twice as long', () => {
  expect(sharedSecret()).toMatch(/^([2-9b-z]{5}-){7}[2-9b-z]{5}$/)
})

test('browsers and systems get the names that people know', () => {
  const edge = 'Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0 Safari/537.36 Edg/126.0'
  expect(device(edge)).toEqual({ browser: 'Edge', system: 'Windows', phone: false })
  const phone = 'Mozilla/5.0 (iPhone; CPU iPhone OS 17_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.0 Mobile/15E148 Safari/604.1'
  expect(device(phone)).toEqual({ browser: 'Safari', system: 'iPhone', phone: true })
  expect(device('python-requests/2.32')).toEqual({ browser: 'python-requests', system: '', phone: false })
  expect(device('')).toEqual({ browser: '–', system: '', phone: false })
})
