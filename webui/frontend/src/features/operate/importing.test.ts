import { describe, expect, it } from 'vitest'
import { asked, looked, NO_WORDS } from './importing'

describe('what the box is asked with', () => {
  it('leaves out what nobody said', () => {
    expect(asked({ ...NO_WORDS, licence: 'MIT' }, { kind: 'chat', smaller: [] })).toEqual({ licence: 'MIT' })
    expect(looked(NO_WORDS)).toEqual({})
  })

  it('sends what makes vectors only for what makes them, and an empty prefix as one', () => {
    const words = { ...NO_WORDS, licence: 'MIT', pooling: 'cls', query_prefix: '', passage_prefix: 'passage: ' } as const
    expect(asked({ ...words, languages: [] }, { kind: 'embedding', pooling: 'mean', smaller: [] })).toEqual({ licence: 'MIT', pooling: 'cls', query_prefix: '', passage_prefix: 'passage: ' })
    expect(asked({ ...words, languages: [] }, { kind: 'embedding', pooling: null, smaller: [] })).toEqual({ licence: 'MIT', query_prefix: '', passage_prefix: 'passage: ' })
    expect(asked({ ...words, languages: [], kind: 'reranker' }, { kind: 'reranker', smaller: [] })).toEqual({ licence: 'MIT', kind: 'reranker' })
  })

  it('asks for a smaller copy only in a form that the file can have', () => {
    const words = { ...NO_WORDS, licence: 'MIT', requantise: 'Q8_0' }
    expect(asked(words, { kind: 'chat', smaller: ['Q8_0', 'Q4_0'] })).toEqual({ licence: 'MIT', requantise: 'Q8_0' })
    expect(asked(words, { kind: 'chat', smaller: ['Q4_0'] })).toEqual({ licence: 'MIT' })
  })

  it('looks again with another engine', () => {
    expect(looked({ ...NO_WORDS, engine: 'ctransformers' })).toEqual({ engine: 'ctransformers' })
  })
})
