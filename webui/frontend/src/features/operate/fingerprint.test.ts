import { expect, test } from 'vitest'
import { compare, grouped, plain } from './fingerprint'

const FINGERPRINT = '0123456789abcdef'.repeat(4)

test('a fingerprint is read out in groups of eight', () => {
  expect(grouped(FINGERPRINT).split(' ')).toHaveLength(8)
  expect(plain(grouped(FINGERPRINT))).toBe(FINGERPRINT)
})

test('blanks, colons, capitals and full-width signs do not count', () => {
  expect(plain(' 01:23 AB\nｃｄ　９')).toBe('0123abcd9')
  expect(compare(grouped(FINGERPRINT).toUpperCase(), FINGERPRINT)).toEqual({ match: true })
})

test('the first group that differs is named, and what agrees so far is counted', () => {
  expect(compare('', FINGERPRINT)).toEqual({ agrees: 0 })
  expect(compare('0123 4567 89', FINGERPRINT)).toEqual({ agrees: 10 })
  expect(compare('0123456x', FINGERPRINT)).toEqual({ differs: 1 })
  expect(compare('012345678', FINGERPRINT)).toEqual({ agrees: 9 })
  expect(compare('01234567x', FINGERPRINT)).toEqual({ differs: 2 })
  expect(compare(`${FINGERPRINT}0`, FINGERPRINT)).toEqual({ differs: 8 })
})
