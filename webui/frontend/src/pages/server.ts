// What the server-rendered pages gain from scripts: reveal, copy, print, busy buttons. They work without it.
import './server.css'

/** Only for those who have scripts: buttons are hidden in the HTML. */
function unhide(selector: string): HTMLButtonElement[] {
  const buttons = [...document.querySelectorAll<HTMLButtonElement>(selector)]
  for (const button of buttons) button.hidden = false
  return buttons
}

function revealPasswords(): void {
  for (const button of unhide('[data-reveal]')) {
    const input = document.getElementById(button.dataset.reveal ?? '') as HTMLInputElement | null
    if (!input) continue
    const show = (shown: boolean): void => {
      input.type = shown ? 'text' : 'password'
      input.spellcheck = false
      button.setAttribute('aria-pressed', String(shown))
    }
    button.addEventListener('click', () => show(input.type === 'password'))
    // A password manager saves, and a browser completes, only fields of type password.
    input.form?.addEventListener('submit', () => show(false))
  }
}

/** The clipboard API is missing on plain HTTP; selecting the text and copying it works there. */
async function copyText(source: HTMLElement, text: string): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(text)
    return true
  } catch {
    const selection = getSelection()
    selection?.selectAllChildren(source)
    const copied = document.execCommand('copy')
    selection?.removeAllRanges()
    return copied
  }
}

function copyKeys(): void {
  for (const button of unhide('[data-copy]')) {
    const source = document.getElementById(button.dataset.copy ?? '')
    const label = button.querySelector('span')
    if (!source || !label) continue
    const before = label.textContent
    button.addEventListener('click', async () => {
      const groups = [...source.querySelectorAll('li')].map((item) => item.textContent?.trim() ?? '')
      if (!(await copyText(source, groups.join('-')))) return
      label.textContent = button.dataset.done ?? ''
      const status = document.getElementById('copy-status')
      if (status) status.textContent = button.dataset.done ?? ''
      setTimeout(() => (label.textContent = before), 4000)
    })
  }
}

function printKeys(): void {
  for (const button of unhide('[data-print]')) button.addEventListener('click', () => print())
}

/** The browser's clock in a field of date and time, to the minute. */
function takeTime(): void {
  for (const button of unhide('[data-time-into]')) {
    button.addEventListener('click', () => {
      const input = document.getElementById(button.dataset.timeInto ?? '') as HTMLInputElement | null
      const zone = document.getElementById(button.dataset.zone ?? '') as HTMLSelectElement | null
      if (!input || !zone) return
      const parts = new Intl.DateTimeFormat('en-GB', { timeZone: zone.value, year: 'numeric', month: '2-digit', day: '2-digit', hour: '2-digit', minute: '2-digit', hourCycle: 'h23' })
      const found = Object.fromEntries(parts.formatToParts(new Date()).map(({ type, value }) => [type, value]))
      input.value = `${found.year}-${found.month}-${found.day}T${found.hour}:${found.minute}`
    })
  }
}

function tellLength(): void {
  for (const hint of document.querySelectorAll<HTMLElement>('[data-length-of]')) {
    const input = document.getElementById(hint.dataset.lengthOf ?? '') as HTMLInputElement | null
    const rule = hint.textContent
    const least = Number(hint.dataset.min)
    input?.addEventListener('input', () => {
      const missing = least - [...input.value].length
      if (!input.value) hint.textContent = rule
      else if (missing > 0) hint.textContent = (hint.dataset.short ?? '').replace('{n}', String(missing))
      else hint.textContent = hint.dataset.enough ?? ''
    })
  }
}

/** Enter that ends an input-method composition must not send the form (Safari reports it as key code 229). */
function keepComposition(): void {
  document.addEventListener('keydown', (event) => {
    if (event.key !== 'Enter') return
    if (event.isComposing || event.keyCode === 229) {
      event.preventDefault()
      return
    }
    const field = event.target
    if (field instanceof HTMLTextAreaElement && 'enterSubmits' in field.dataset && !event.shiftKey) {
      event.preventDefault()
      field.form?.requestSubmit()
    }
  })
}

/** A sent form says so and is not sent twice; coming back with Back undoes it. */
function busyButtons(): void {
  for (const form of document.forms) {
    form.addEventListener('submit', (event) => {
      if (form.dataset.sent) {
        event.preventDefault()
        return
      }
      form.dataset.sent = 'yes'
      const button = form.querySelector<HTMLElement>('[data-busy]')
      if (!button) return
      const label = button.querySelector('span') ?? button
      button.dataset.before = label.textContent ?? ''
      label.textContent = button.dataset.busy ?? ''
      button.dataset.state = 'busy'
      button.setAttribute('aria-disabled', 'true')
    })
  }
  addEventListener('pageshow', () => {
    for (const form of document.forms) {
      delete form.dataset.sent
      const button = form.querySelector<HTMLElement>('[data-state=busy]')
      if (!button) continue
      (button.querySelector('span') ?? button).textContent = button.dataset.before ?? ''
      button.removeAttribute('aria-disabled')
      delete button.dataset.state
    }
  })
}

revealPasswords()
copyKeys()
printKeys()
tellLength()
takeTime()
keepComposition()
busyButtons()
