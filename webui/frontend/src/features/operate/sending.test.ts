// Which upload a chosen file goes on with, how large pieces are, and which refusals are waited out.
import { describe, expect, it } from 'vitest'
import { ApiError } from '../../lib/api/client'
import { isOf, nextBytes, passes } from './sending.svelte'

const KIBI = 1024
const upload = { id: 'x', name: 'ガ.gguf', size: 3, modified: 5, received: 1, piece_bytes: 16 * KIBI * KIBI }
const file = (name: string, words: string, lastModified: number) => new File([words], name, { lastModified })

describe('a chosen file', () => {
  it('goes on with what the box has of it, also if its name is written in parts', () => {
    expect(isOf(upload, file('ガ.gguf'.normalize('NFD'), 'abc', 5))).toBe(true)
  })
  it('begins anew when it differs in name, size or time', () => {
    expect(isOf(upload, file('カ.gguf', 'abc', 5))).toBe(false)
    expect(isOf(upload, file('ガ.gguf', 'abcd', 5))).toBe(false)
    expect(isOf(upload, file('ガ.gguf', 'abc', 6))).toBe(false)
  })
})

describe('the next piece', () => {
  it('grows on a quick line, up to what the box takes', () => {
    expect(nextBytes(256 * KIBI, 100, upload.piece_bytes)).toBe(512 * KIBI)
    expect(nextBytes(upload.piece_bytes, 100, upload.piece_bytes)).toBe(upload.piece_bytes)
  })
  it('shrinks on a slow one, and not to nothing', () => {
    expect(nextBytes(1024 * KIBI, 9000, upload.piece_bytes)).toBe(512 * KIBI)
    expect(nextBytes(256 * KIBI, 9000, upload.piece_bytes)).toBe(256 * KIBI)
  })
})

describe('a refusal', () => {
  const of = (status: number) => passes(new ApiError(status, 'x', 'x'))
  it('is waited out when it may be over in a moment', () => {
    expect([0, 409, 429, 502, 503].map(of)).toEqual([true, true, true, true, true])
  })
  it('is told when waiting does not help', () => {
    expect([400, 403, 413, 507].map(of)).toEqual([false, false, false, false])
  })
})
