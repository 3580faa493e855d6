// Which source is open. It is kept in the address (?source=2&of=message), so that Back closes the panel.
import type { Citation, Message } from '../../lib/api/types'
import { here, setQuery } from '../../lib/router.svelte'
import { inOrder } from './answer'
import type { Shown } from './thread'

export class OpenSource {
  readonly #shown: () => readonly Shown[]
  /** true if opening it made a step in the history, which closing takes back */
  #stepped = false

  constructor(shown: () => readonly Shown[]) {
    this.#shown = shown
  }

  /** the answer whose sources are open: the named one, else the newest with sources */
  readonly message = $derived.by<Message | null>(() => {
    if (!here.query.has('source')) return null
    const of = here.query.get('of')
    const answers = this.#shown().map(({ message }) => message).filter((message) => message.citations?.length)
    return (of ? answers.find((message) => message.id === of) : answers.at(-1)) ?? null
  })
  readonly all = $derived<Citation[]>(inOrder(this.message?.citations))
  readonly at = $derived(this.all.findIndex((citation) => String(citation.n) === here.query.get('source')))
  readonly citation = $derived<Citation | null>(this.all[this.at] ?? null)

  /** The number that is open in this answer, 0 if none is. */
  openIn(message: Message): number {
    return this.message?.id === message.id ? (this.citation?.n ?? 0) : 0
  }

  show(message: Message, n: number): void {
    const open = this.citation !== null
    if (open && this.openIn(message) === n) return this.close()
    // named, or a newer answer would take the panel over
    setQuery({ source: String(n), of: message.id }, { replace: open })
    if (!open) this.#stepped = true
  }

  /** One source on or back; without an open one, the first of the newest answer. */
  step(by: 1 | -1): void {
    const next = this.all[this.at + by]
    if (this.citation && next) setQuery({ source: String(next.n) }, { replace: true })
    if (this.citation) return
    const message = this.#shown().findLast((shown) => shown.message.citations?.length)?.message
    const first = inOrder(message?.citations)[0]
    if (message && first) this.show(message, first.n)
  }

  close(): void {
    if (this.#stepped) window.history.back()
    else setQuery({ source: null, of: null }, { replace: true })
    this.#stepped = false
  }

  /** Another conversation is shown: its steps are not ours. */
  forget(): void {
    this.#stepped = false
  }
}
