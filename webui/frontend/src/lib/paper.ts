// A page of a document as pieces to show: offsets come in characters (code points), the browser counts UTF-16 units.
import type { Block, PageText } from './api/types'

export type Range = { start: number; end: number }
export type Piece = { text: string; marked: boolean }
export type Part =
  | { kind: 'heading' | 'paragraph' | 'code'; pieces: Piece[] }
  | { kind: 'list'; items: Piece[][] }
  | { kind: 'table'; head: Piece[][]; rows: Piece[][][] }

/** Where each code point starts, or null where both countings agree. */
function starts(text: string): number[] | null {
  if (!/[\ud800-\udbff]/.test(text)) return null
  const places: number[] = []
  for (let i = 0; i < text.length; i += (text.codePointAt(i) ?? 0) > 0xffff ? 2 : 1) places.push(i)
  return places
}

/** Ranges in code points as ranges in UTF-16 units. */
export function inUnits(text: string, ranges: Range[]): Range[] {
  const places = starts(text)
  if (!places) return ranges
  const at = (index: number) => places[index] ?? text.length
  return ranges.map(({ start, end }) => ({ start: at(start), end: at(end) }))
}

/** text[start:end] cut where marks begin and end; all in UTF-16 units. */
export function pieces(text: string, { start, end }: Range, marks: Range[]): Piece[] {
  const cuts = new Set([start, end])
  for (const mark of marks) for (const at of [mark.start, mark.end]) if (at > start && at < end) cuts.add(at)
  const places = [...cuts].sort((a, b) => a - b)
  const found: Piece[] = []
  for (let i = 0; i + 1 < places.length; i++) {
    const [from, to] = [places[i] ?? 0, places[i + 1] ?? 0]
    const marked = marks.some((mark) => mark.start <= from && mark.end >= to)
    found.push({ text: text.slice(from, to), marked })
  }
  return found
}

function lines(text: string, { start, end }: Range): Range[] {
  const found: Range[] = []
  let from = start
  for (const line of text.slice(start, end).split('\n')) {
    if (line.trim()) found.push({ start: from, end: from + line.length })
    from += line.length + 1
  }
  return found
}

const BULLET = /^\s*[-*+•・‣◦]\s*/

/** The cells of one row such as `| a | b |`, where a bar inside a cell is written `\|`. */
function cells(text: string, line: Range): Range[] {
  const row = text.slice(line.start, line.end)
  const bars = [...row.matchAll(/(?<!\\)\|/g)].map((bar) => bar.index)
  const found: Range[] = []
  for (let i = 0; i + 1 < bars.length; i++) {
    const [from, to] = [(bars[i] ?? 0) + 1, bars[i + 1] ?? 0]
    const inside = row.slice(from, to)
    const lead = inside.length - inside.trimStart().length
    const start = line.start + from + Math.min(lead, inside.length)
    found.push({ start, end: Math.max(start, line.start + to - (inside.length - inside.trimEnd().length)) })
  }
  return found
}

function table(text: string, block: Range, marks: Range[]): Part {
  const rule = (line: Range) => /^[|\s:-]+$/.test(text.slice(line.start, line.end))
  const all = lines(text, block)
  const rows = all
    .filter((line) => !rule(line))
    .map((line) => cells(text, line).map((cell) => pieces(text, cell, marks).map((piece) => ({ ...piece, text: piece.text.replaceAll('\\|', '|') }))))
  if (rows.some((row) => row.length === 0)) return { kind: 'code', pieces: pieces(text, block, marks) }
  return { kind: 'table', head: rows[0] ?? [], rows: rows.slice(1) }
}

function part(text: string, block: Block & Range, marks: Range[]): Part {
  switch (block.kind) {
    case 'list':
      return {
        kind: 'list',
        items: lines(text, block).map((line) => {
          const bullet = BULLET.exec(text.slice(line.start, line.end))?.[0].length ?? 0
          return pieces(text, { start: Math.min(line.start + bullet, line.end), end: line.end }, marks)
        }),
      }
    case 'table':
      return table(text, block, marks)
    default:
      return { kind: block.kind, pieces: pieces(text, block, marks) }
  }
}

/** The parts of a page, with `marks` (in code points) as marked pieces. */
export function parts(page: Pick<PageText, 'text' | 'blocks'>, marks: Range[]): Part[] {
  const { text } = page
  const marked = inUnits(text, marks)
  const whole: Block = { kind: 'paragraph', level: 0, start: 0, end: [...text].length }
  const blocks = page.blocks.length > 0 ? page.blocks : [whole]
  const placed = inUnits(text, blocks)
  return blocks.map((block, i) => part(text, { ...block, ...placed[i] }, marked))
}

const plain = (text: string) => text.normalize('NFKC').replace(/\s+/g, '')

/** Where a quote stands on its page: its own range if the words are there, else where they are found, else null. */
export function locate(text: string, quote: string, range: Range): Range | null {
  const [own] = inUnits(text, [range])
  if (own && plain(text.slice(own.start, own.end)) === plain(quote)) return range
  const at = text.indexOf(quote.trim())
  if (at < 0) return null
  const before = [...text.slice(0, at)].length
  return { start: before, end: before + [...quote.trim()].length }
}
