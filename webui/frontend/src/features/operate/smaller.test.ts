import { expect, test } from 'vitest'
import { smallerForms, stepOf } from './smaller'

test('only smaller forms are offered', () => {
  expect(smallerForms('Q5_0')).toEqual(['Q4_K_M', 'Q4_K_S', 'Q4_1', 'Q4_0', 'Q3_K_M'])
  expect(smallerForms('Q3_K_M')).toEqual([])
  expect(smallerForms('BF16')[0]).toBe('F16')
})

test('the bar goes only forwards, and tells when the new model is there', () => {
  const progress = (stage: 'checking' | 'quantising' | 'storing', done: number) => ({ kind: 'progress', data: { stage, done, total: 10 } }) as const
  const steps = [
    null, progress('checking', 5), progress('quantising', 5), progress('storing', 10), { kind: 'made', data: {} } as const,
    { kind: 'stage', data: { model: 'a', stage: 'alone' } } as const, { kind: 'stage', data: { model: 'b', stage: 'alone' } } as const,
  ].map((told) => stepOf(told, 'a', true))
  expect(steps.map(({ share }) => share)).toEqual(steps.map(({ share }) => share).toSorted((a, b) => a - b))
  expect(steps.map(({ made }) => made)).toEqual([false, false, false, false, true, true, true])
  expect(steps.map(({ stage }) => stage).slice(-2)).toEqual(['measuring_original', 'measuring_new'])
  expect(stepOf({ kind: 'made', data: {} }, 'a', false)).toMatchObject({ at: 3, of: 3, share: 1 })
})
