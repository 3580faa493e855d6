import { describe, expect, it } from 'vitest'
import { draftOf, empty, faults, given, request, sampling, type Sampling } from './sampling'
import { placeInLine, probability, told, unwrap } from './tokens'

describe('parameters', () => {
  it('are nothing at all while every field is empty', () => {
    expect(sampling(empty())).toEqual({})
    expect(faults(empty())).toEqual({})
    expect(given(empty())).toBe(0)
  })

  it('come back from their fields as they were', () => {
    const all: Sampling = {
      temperature: 0, top_p: 0.9, top_k: 40, min_p: 0.05, repeat_penalty: 1.1, frequency_penalty: -0.5, presence_penalty: 2,
      typical_p: 0.5, xtc_probability: 0.1, xtc_threshold: 0.2, dry_multiplier: 0.8, dry_base: 1.75, dry_allowed_length: 2,
      mirostat: 2, mirostat_tau: 5, mirostat_eta: 0.1, logit_bias: { '12': -5, '7': 100 },
      seed: 0, max_tokens: 64, stop: ['\n\n', 'a\\n', '終わり', '\t'], json_schema: { type: 'object' },
    }
    expect(sampling(draftOf(all))).toEqual(all)
    expect(given(draftOf(all))).toBe(21)
    expect(faults(draftOf(all))).toEqual({})
  })

  it('take full-width digits', () => {
    expect(sampling({ ...empty(), temperature: '０．７', seed: '１２' })).toEqual({ temperature: 0.7, seed: 12 })
  })

  it('that will not do are named', () => {
    const wrong = { ...empty(), temperature: '2.1', top_k: '1.5', seed: '-1', min_p: 'x', max_tokens: '0', top_p: '1e-1', json_schema: '[1]', stop: Array(17).fill('x').join('\n') }
    expect(Object.keys(faults(wrong)).sort()).toEqual(['json_schema', 'max_tokens', 'min_p', 'seed', 'stop', 'temperature', 'top_k', 'top_p'])
  })

  it('bias tokens by their numbers, one a line', () => {
    expect(sampling({ ...empty(), logit_bias: ' 12 : -5 \n\n007：1.5' })).toEqual({ logit_bias: { '12': -5, '7': 1.5 } })
    for (const line of ['the: 1', '12', '12: 101', '12: x', '-1: 1', '12 1']) expect(faults({ ...empty(), logit_bias: line })).toHaveProperty('logit_bias')
  })

  it('show a picture beside the words', () => {
    const content = [{ type: 'text', text: 'what' }, { type: 'image_url', image_url: { url: 'data:image/png;base64,AA' } }]
    expect(request('m', '', 'what', {}, 0, 'data:image/png;base64,AA')).toMatchObject({ messages: [{ role: 'user', content }] })
  })

  it('become a request of the dialect', () => {
    const body = request('m', ' ', 'hello', { top_k: 1, json_schema: { type: 'object' } }, 5)
    expect(body).toEqual({
      model: 'm', messages: [{ role: 'user', content: 'hello' }], top_k: 1, logprobs: true, top_logprobs: 5, stream: true, stream_options: { include_usage: true },
      response_format: { type: 'json_schema', json_schema: { name: 'answer', schema: { type: 'object' } } },
    })
    expect(request('m', 'be brief', 'hello', {}, 0)).toMatchObject({ messages: [{ role: 'system', content: 'be brief' }, { role: 'user', content: 'hello' }] })
    expect(request('m', '', 'hello', {}, 0)).not.toHaveProperty('logprobs')
  })
})

describe('chunks', () => {
  const delta = (content: string, tokens?: unknown[]) => ({ choices: [{ delta: { content }, logprobs: tokens ? { content: tokens } : null, finish_reason: null }] })

  it('without probabilities are plain pieces', () => {
    expect(told(delta(' sea')).pieces).toEqual([{ text: ' sea', logprob: null, others: [], thought: false }])
    expect(told({ choices: [{ delta: {}, finish_reason: 'length' }] })).toEqual({ pieces: [], finish: 'length', usage: null })
  })

  it('tell the alternatives of a token, parts of signs as bytes', () => {
    const token = { token: 'よ', logprob: -1, top_logprobs: [{ token: '�', bytes: [136], logprob: -1 }, { token: '', bytes: [227, 130], logprob: -2 }, { token: 'の', logprob: -3 }] }
    expect(told(delta('よ', [token])).pieces[0]).toEqual({
      text: 'よ', logprob: -1, thought: false, others: [{ text: '<88>', logprob: -1 }, { text: '<E3 82>', logprob: -2 }, { text: 'の', logprob: -3 }],
    })
  })

  it('of several tokens are told apart where they make up the text', () => {
    const two = [{ token: 'a', logprob: -1 }, { token: 'b', logprob: -2 }]
    expect(told(delta('ab', two)).pieces.map(({ text }) => text)).toEqual(['a', 'b'])
    expect(told(delta('a', two)).pieces).toMatchObject([{ text: 'a', logprob: -2 }])
  })

  it('tell counts, thinking and errors', () => {
    expect(told({ choices: [], usage: { prompt_tokens: 3, completion_tokens: 4 } }).usage).toEqual({ prompt: 3, answer: 4 })
    expect(told({ choices: [{ delta: { reasoning_content: 'hm' } }] }).pieces).toMatchObject([{ text: 'hm', thought: true }])
    expect(unwrap({ error: { message: 'No. (HK-BOX-003)', hako_code: 'HK-BOX-003' } })).toEqual({ code: 'HK-BOX-003', title: 'No.' })
    expect(unwrap({ code: 'HK-NET-001' })).toEqual({ code: 'HK-NET-001' })
  })

  it('may be comments about the place in line', () => {
    expect(placeInLine('queue position=3 wait_ms=1200')).toEqual({ place: 3, waitMs: 1200 })
    expect(placeInLine('queue position=2')).toEqual({ place: 2, waitMs: null })
    expect(placeInLine('ping')).toBeNull()
  })

  it('have probabilities between none and all', () => {
    expect(probability(0)).toBe(1)
    expect(probability(0.001)).toBe(1)
    expect(probability(-Infinity)).toBe(0)
  })
})
