// Copying to the clipboard; true if it worked.

export async function copyText(text: string): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(text)
    return true
  } catch {
    return copyBySelection(text)
  }
}

/** navigator.clipboard is missing on plain http: a selected field still copies. */
function copyBySelection(text: string): boolean {
  const before = document.activeElement as HTMLElement | null
  const host = before?.closest('dialog') ?? document.body
  const field = document.createElement('textarea')
  field.value = text
  field.className = 'vh'
  host.append(field)
  field.select()
  try {
    return document.execCommand('copy')
  } finally {
    field.remove()
    before?.focus()
  }
}
