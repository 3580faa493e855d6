// Small things kept by the browser. Words people typed live in this tab only, and go when they sign out.

const DRAFT = 'hako.draft.'

function safely<T>(act: () => T, otherwise: T): T {
  try {
    return act()
  } catch {
    return otherwise // storage is full or forbidden
  }
}

export function draft(name: string): string {
  return safely(() => sessionStorage.getItem(DRAFT + name) ?? '', '')
}

export function keepDraft(name: string, text: string): void {
  safely(() => (text ? sessionStorage.setItem(DRAFT + name, text) : sessionStorage.removeItem(DRAFT + name)), undefined)
}

export function clearDrafts(): void {
  safely(() => {
    for (const key of Object.keys(sessionStorage)) if (key.startsWith(DRAFT)) sessionStorage.removeItem(key)
  }, undefined)
}

/** A preference of this browser, e.g. which bases were asked last. */
export function preference<T>(name: string, otherwise: T): T {
  return safely(() => {
    const text = localStorage.getItem(`hako.${name}`)
    return text === null ? otherwise : (JSON.parse(text) as T)
  }, otherwise)
}

export function prefer(name: string, value: unknown): void {
  safely(() => localStorage.setItem(`hako.${name}`, JSON.stringify(value)), undefined)
}
