// Markdown of an answer: cut into blocks so that only the last is rendered again, and made harmless.
// Raw HTML is escaped, images are dropped, and what is left goes through DOMPurify as a DOM fragment.
import DOMPurify from 'dompurify'
import { Marked, type MarkedExtension, type RendererThis, type Token, type Tokens } from 'marked'

/** Stands where a sentence without a source ends; a private-use character that no text needs. */
export const UNSOURCED = '\ue000'

const escape = (text: string) => text.replace(/[&<>"']/g, (sign) => `&#${sign.charCodeAt(0)};`)

function link(this: RendererThis, { href, tokens }: Tokens.Link): string {
  const inside = this.parser.parseInline(tokens)
  if (!/^(https?:|mailto:)/i.test(href)) return inside
  return `<a href="${escape(href)}" title="${escape(href)}" target="_blank" rel="noopener noreferrer nofollow">${inside}</a>`
}

function table(this: RendererThis, { header, rows }: Tokens.Table): string {
  const cell = (tag: string, { tokens, align }: Tokens.TableCell) =>
    `<${tag}${align ? ` align="${align}"` : ''}>${this.parser.parseInline(tokens)}</${tag.split(' ')[0]}>`
  const head = header.map((one) => cell('th scope="col"', one)).join('')
  const body = rows.map((row) => `<tr>${row.map((one) => cell('td', one)).join('')}</tr>`).join('')
  return `<div class="scroll-x"><table class="table t-answer"><thead><tr>${head}</tr></thead><tbody>${body}</tbody></table></div>`
}

const harmless: MarkedExtension = {
  gfm: true,
  breaks: true,
  renderer: {
    html: ({ text }) => escape(text),
    image: ({ text }) => escape(text),
    checkbox: ({ checked }) => (checked ? '☑ ' : '☐ '),
    // the page has the h1 and the message the h2; models often begin at ###, and no level may be left out
    heading({ tokens, depth }) {
      const tag = depth <= 3 ? 'h3' : 'h4'
      return `<${tag} class="depth-${depth}">${this.parser.parseInline(tokens)}</${tag}>`
    },
    link,
    table,
  },
}

const MARK = /^ ?\[(\d{1,2})\](?!\()/

const marks: MarkedExtension = {
  extensions: [
    {
      name: 'cite',
      level: 'inline',
      start: (source) => source.search(/ ?\[\d{1,2}\]|\ue000/),
      tokenizer(source) {
        if (source.startsWith(UNSOURCED)) return { type: 'cite', raw: UNSOURCED, n: '' }
        const found = MARK.exec(source)
        return found ? { type: 'cite', raw: found[0], n: found[1] } : undefined
      },
      renderer: ({ n }) => (n ? `<button type="button" class="cite" data-cite="${n}">${n}</button>` : '<span class="cite cite-none" data-cite=""></span>'),
    },
  ],
}

/** Pages of the manual name each other as files: `security.md` is `/help/security` here. */
const pages: MarkedExtension = {
  renderer: {
    link(token) {
      const page = /^([a-z0-9-]+)\.md$/.exec(token.href)?.[1]
      return page ? `<a href="/help/${page}">${this.parser.parseInline(token.tokens)}</a>` : false
    },
  },
}

const plain = new Marked(harmless)
const cited = new Marked(harmless, marks)
const manual = new Marked(harmless, pages)

const ALLOWED = {
  ALLOWED_TAGS: [
    'a', 'b', 'blockquote', 'br', 'button', 'code', 'del', 'div', 'em', 'h3', 'h4', 'hr', 'li', 'ol', 'p', 'pre', 'span', 'strong',
    'table', 'tbody', 'td', 'th', 'thead', 'tr', 'ul',
  ],
  ALLOWED_ATTR: ['align', 'class', 'data-cite', 'href', 'rel', 'scope', 'start', 'target', 'title', 'type'],
  ALLOW_DATA_ATTR: false,
  ALLOW_ARIA_ATTR: false,
  RETURN_DOM_FRAGMENT: true as const,
}

export type Block = { kind: 'prose' | 'code'; raw: string; code: string; language: string }

function block(token: Token): Block {
  if (token.type !== 'code') return { kind: 'prose', raw: token.raw, code: '', language: '' }
  return { kind: 'code', raw: token.raw, code: String(token.text), language: String(token.lang ?? '').split(/\s/)[0] ?? '' }
}

/** Cuts growing text into blocks; what can't change any more is not read again. */
export class BlockReader {
  #text = ''
  #done: Block[] = []
  #doneTo = 0

  read(text: string): Block[] {
    if (!text.startsWith(this.#text)) {
      this.#done = []
      this.#doneTo = 0
    }
    this.#text = text
    const tokens = plain.lexer(text.slice(this.#doneTo))
    const last = tokens.findLastIndex((token) => token.type !== 'space')
    const fresh = tokens.slice(0, Math.max(last, 0))
    this.#done = [...this.#done, ...fresh.filter((token) => token.type !== 'space').map(block)]
    // marked counts a carriage return and a tab differently: only go on from a place that is certain
    const length = fresh.reduce((sum, token) => sum + token.raw.length, 0)
    const certain = text.slice(this.#doneTo, this.#doneTo + length) === fresh.map((token) => token.raw).join('')
    const rest = last < 0 ? [] : [block(tokens[last] as Token)]
    const blocks = [...this.#done, ...rest]
    if (certain) this.#doneTo += length
    else this.#done = this.#done.slice(0, this.#done.length - fresh.filter((token) => token.type !== 'space').length)
    return blocks
  }
}

/** One block as DOM, with `[n]` as buttons if the answer has sources. */
export function render(raw: string, withMarks: boolean): DocumentFragment {
  return harmlessDom(withMarks ? cited : plain, raw)
}

/** A page of the manual as DOM. */
export function renderManual(text: string): DocumentFragment {
  return harmlessDom(manual, text)
}

function harmlessDom(reader: Marked, text: string): DocumentFragment {
  return DOMPurify.sanitize(reader.parse(text, { async: false }), ALLOWED)
}

/** Text with a sign after each range that no source supports; ranges count characters. */
export function withUnsourced(text: string, ranges: readonly (readonly [number, number])[]): string {
  const clean = text.replaceAll(UNSOURCED, '')
  if (ranges.length === 0) return clean
  const signs = [...clean]
  for (const [, end] of [...ranges].sort((a, b) => b[1] - a[1])) {
    let at = Math.min(end, signs.length)
    while (at > 0 && /\s/.test(signs[at - 1] ?? '')) at -= 1
    signs.splice(at, 0, UNSOURCED)
  }
  return signs.join('')
}

/** What a screen reader says of Markdown. */
export function spoken(markdown: string): string {
  return markdown
    .replace(/ ?\[\d{1,2}\]/g, '')
    .replace(/[*_`#>|~]|^\s*[-+]\s/gm, ' ')
    .replace(/[ \t]+/g, ' ')
    .trim()
}

const SENTENCE_END = /[。！？!?]+[」』）)]*|\.(?=\s)|\n/g

/** How far finished sentences reach in text that is still growing. */
export function finishedTo(text: string): number {
  let end = 0
  for (const found of text.matchAll(SENTENCE_END)) end = found.index + found[0].length
  return end
}
