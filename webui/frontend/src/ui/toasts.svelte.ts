// Toasts: only that something is done, with a way back. Errors stay where they happened.

export type Toast = { id: number; text: string; undo?: () => void }

let next = 1
let list = $state<Toast[]>([])

export const toasts = {
  get list() {
    return list
  },
  /** Say that something is done; `undo` adds 元に戻す. */
  done(text: string, undo?: () => void): void {
    list = [...list.slice(-2), { id: next++, text, ...(undo ? { undo } : {}) }]
  },
  remove(id: number): void {
    list = list.filter((toast) => toast.id !== id)
  },
}
