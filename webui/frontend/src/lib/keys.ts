// Keys: one table of shortcuts; single letters are off in fields, during composition, and by preference.
import { preference } from './stored'

export type Shortcut = {
  /** e.g. 'mod+k', 'mod+shift+o', 'alt+ArrowUp', '?', 'g c' */
  keys: string
  /** false: it had nothing to do, and the browser does what it does with this key, e.g. closes a dialog */
  run: () => boolean | void
}

const mac = /Mac|iP(hone|ad)/.test(navigator.userAgent)

/** Japanese input methods send Enter to confirm a word: that must never submit. */
export function composing(event: KeyboardEvent): boolean {
  return event.isComposing || event.keyCode === 229
}

export function inField(target: EventTarget | null): boolean {
  const element = target as HTMLElement | null
  return !!element?.closest?.('input, textarea, select, [contenteditable="true"]')
}

function name(event: KeyboardEvent): string {
  const parts = []
  if (mac ? event.metaKey : event.ctrlKey) parts.push('mod')
  if (event.altKey) parts.push('alt')
  if (event.shiftKey && event.key.length > 1) parts.push('shift')
  const letter = event.key.length === 1
  if (letter && event.shiftKey && parts.length > 0) parts.push('shift')
  parts.push(letter ? event.key.toLowerCase() : event.key)
  return parts.join('+')
}

/** How a shortcut is written for this keyboard: Ctrl K or ⌘ K. */
export function label(keys: string): string {
  const words: Record<string, string> = { mod: mac ? '⌘' : 'Ctrl', alt: mac ? '⌥' : 'Alt', shift: 'Shift', ArrowUp: '↑', ArrowDown: '↓', Escape: 'Esc' }
  return keys
    .split('+')
    .map((part) => words[part] ?? (part.length === 1 ? part.toUpperCase() : part))
    .join(' ')
}

/** Listen for shortcuts; returns how to stop. */
export function listen(shortcuts: () => Shortcut[]): () => void {
  let first = ''
  let at = 0
  const onKey = (event: KeyboardEvent) => {
    if (event.defaultPrevented || composing(event)) return
    const pressed = name(event)
    const single = !pressed.includes('+') && event.key.length === 1
    if (single && (inField(event.target) || !preference('single_keys', true))) return
    const pair = Date.now() - at < 1000 ? `${first} ${pressed}` : ''
    const found = shortcuts().find(({ keys }) => keys === pressed || keys === pair)
    first = single ? pressed : ''
    at = Date.now()
    if (!found) return
    first = ''
    if (found.run() !== false) event.preventDefault()
  }
  window.addEventListener('keydown', onKey)
  return () => window.removeEventListener('keydown', onKey)
}
