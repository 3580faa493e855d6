// Kinds of files by their endings.
import { describe, expect, test } from 'vitest'
import { acceptable, kinds, readable, sign } from './files'

const formats = ['pdf', 'docx', 'md', 'html', 'txt', 'csv']

describe('which files may be sent', () => {
  test('a kind that is read, in any spelling', () => {
    for (const name of ['a.pdf', 'A.PDF', '規程.docx', 'notes.markdown', 'page.htm', 'table.tsv']) expect(readable(name, formats)).toBe(true)
  })
  test('a kind that nobody reads is refused', () => {
    for (const name of ['film.mp4', 'table.xlsx', 'a.pdf.zip']) expect(readable(name, formats)).toBe(false)
  })
  test('a name without an ending is looked at by the box', () => {
    expect(readable('README', formats)).toBe(true)
    expect(readable('議事録 2026.11', formats)).toBe(true)
  })
  test('the chooser offers other spellings of what is read, and no more', () => {
    expect(acceptable(formats).split(',')).toEqual(expect.arrayContaining(['.pdf', '.htm', '.markdown', '.tsv']))
    expect(acceptable(['pdf'])).toBe('.pdf')
  })
})

test('kinds are written as people read them', () => {
  expect(kinds(['pdf', 'md'], '、')).toBe('PDF、Markdown')
})

test('the sign of a file comes from its format, else from its name', () => {
  expect(sign('docx', 'x')).toBe('DOCX')
  expect(sign('', 'a.htm')).toBe('HTML')
  expect(sign('', 'README')).toBe('–')
})
