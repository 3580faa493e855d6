// A conversation is a tree: siblings are branches. This picks the line of messages that is shown.
import type { Message } from '../../lib/api/types'

export type Branches = { at: number; ids: string[] }
export type Shown = { message: Message; branches: Branches }

const ROOT = ''
export const parentKey = (message: Pick<Message, 'parent_id'>) => message.parent_id ?? ROOT

/** From the first question down; at each fork the chosen message, else the newest. */
export function line(messages: Message[], chosen: ReadonlyMap<string, string>): Shown[] {
  const children = new Map<string, Message[]>()
  const known = new Set(messages.map((message) => message.id))
  for (const message of messages) {
    const key = message.parent_id && known.has(message.parent_id) ? message.parent_id : ROOT
    children.set(key, [...(children.get(key) ?? []), message])
  }
  const shown: Shown[] = []
  let key = ROOT
  for (;;) {
    const siblings = children.get(key)
    if (!siblings) return shown
    const wanted = siblings.findIndex((message) => message.id === chosen.get(key))
    const at = wanted < 0 ? siblings.length - 1 : wanted
    const message = siblings[at]
    if (!message) return shown
    shown.push({ message, branches: { at, ids: siblings.map((sibling) => sibling.id) } })
    key = message.id
  }
}

/** A rough count of tokens, for the meter: a kanji or kana is about one, four other characters are one. */
export function roughTokens(text: string): number {
  const wide = text.match(/[\u3000-\u9fff\uf900-\ufaff\uff00-\uffef]/g)?.length ?? 0
  return wide + Math.ceil((text.length - wide) / 4)
}
