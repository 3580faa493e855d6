import { describe, expect, it } from 'vitest'
import type { Document } from '../../lib/api/types'
import { stateOf } from './attachments.svelte'
import { documentName, dotted, stageWords } from './words'

describe('words in a row', () => {
  it('leave out what is not known', () => {
    expect(dotted('英語だけ', '', null, false, '使えます')).toBe('英語だけ・使えます')
    expect(dotted()).toBe('')
  })
})

describe('the name of a document', () => {
  it('is its title, else the name of its file', () => {
    expect(documentName({ title: '就業規則', document: 'a.docx' })).toBe('就業規則')
    expect(documentName({ title: '', document: 'a.docx' })).toBe('a.docx')
  })
})

describe('stages', () => {
  it('tell a place in line and figures only where they are known', () => {
    expect(stageWords({ stage: 'queued', position: 2 })).toBe('chat.stage_place')
    expect(stageWords({ stage: 'queued', position: 2, wait_s: 40 })).toBe('chat.stage_place・ui.left_seconds')
    expect(stageWords({ stage: 'queued', position: null })).toBe('chat.stage_queued')
    expect(stageWords({ stage: 'reading', documents: 2, passages: 4 })).toBe('chat.stage_reading')
    expect(stageWords({ stage: 'reading' })).toBe('chat.stage_reading_plain')
    expect(stageWords({ stage: 'thinking' })).toBe('chat.stage_thinking')
  })
})

describe('an attachment', () => {
  it('is being read until the box says how it ended', () => {
    const states = (['waiting', 'working', 'ready', 'failed', 'cancelled'] as const).map((state) => stateOf({ state } as Document))
    expect(states).toEqual(['reading', 'reading', 'ready', 'failed', 'cancelled'])
  })
})
