import { describe, expect, it } from 'vitest'
import { asked, looked, NO_WORDS } from './importing'

describe('what the box is asked with', () => {
  it('leaves out what nobody said', () => {
    expect(asked({ ...NO_WORDS, licence: 'MIT' }, { kind: 'chat' })).toEqual({ licence: 'MIT' })
    expect(looked(NO_WORDS)).toEqual({})
  })

  it('sends what makes vectors only for what makes them, and an empty prefix as one', () => {
    const words = { ...NO_WORDS, licence: 'MIT', pooling: 'cls', query_prefix: '', passage_prefix: 'passage: ' } as const
    expect(asked({ ...words, languages: [] }, { kind: 'embedding', pooling: 'mean' })).toEqual({ licence: 'MIT', pooling: 'cls', query_prefix: '', passage_prefix: 'passage: ' })
    expect(asked({ ...words, languages: [] }, { kind: 'embedding', pooling: null })).toEqual({ licence: 'MIT', query_prefix: '', passage_prefix: 'passage: ' })
    expect(asked({ ...words, languages: [], kind: 'reranker' }, { kind: 'reranker' })).toEqual({ licence: 'MIT', kind: 'reranker' })
  })

  it('looks again with another engine', () => {
    expect(looked({ ...NO_WORDS, engine: 'ctransformers' })).toEqual({ engine: 'ctransformers' })
  })
})
