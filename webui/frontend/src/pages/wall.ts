// The wall display: opens by the link behind `#`, asks the box every ten seconds, and says when it has lost it.
import './wall.css'
import { view, type Known, type Wall, type Words } from './wall-view'

const ASK_MS = 10_000
const ANSWER_MS = 8_000

const form = document.getElementById('open') as HTMLFormElement | null
const boot = document.getElementById('wall')

/** The secret never travels in an address; only this form brings it to the box. */
function open(): void {
  const field = form?.querySelector('input')
  if (!form || !field) return
  field.value = location.hash.slice(1)
  form.submit()
}

function start(wall: Partial<Wall> & { sealed?: boolean }, words: Words): void {
  const language = document.documentElement.lang
  const hour = new Intl.DateTimeFormat(language, { hour: '2-digit', minute: '2-digit', hour12: false })
  const second = new Intl.DateTimeFormat(language, { hour: '2-digit', minute: '2-digit', second: '2-digit', hour12: false })
  const day = new Intl.DateTimeFormat(language === 'ja' ? 'ja-JP' : 'en-GB', { weekday: 'long', day: 'numeric', month: 'long' })
  const known: Known = wall.sealed ? { reading: null, readAt: 0, sealed: true } : { reading: wall as Wall, readAt: Date.now(), sealed: false }
  /** how far the display's own clock is from the box's (ms) */
  let ahead = wall.at ? Date.now() - Date.parse(wall.at) : 0
  let lost = false

  const say = (selector: string, text: string) => {
    const element = document.querySelector(selector)
    if (element && element.textContent !== text) element.textContent = text // else a screen reader says it each time
  }
  const draw = () => {
    const now = Date.now()
    const shown = view(known, words, now, (ms) => second.format(ms - ahead))
    say('#clock', hour.format(now - ahead))
    say('#day', day.format(now - ahead))
    say('#verdict h1', shown.verdict)
    document.getElementById('verdict')!.dataset.state = shown.state
    for (const lamp of document.querySelectorAll<HTMLElement>('[data-lamp]')) {
      const one = shown.lamps[lamp.dataset.lamp ?? ''] ?? { state: 'unknown', word: words['state.unknown'] ?? '' }
      lamp.dataset.state = one.state
      say(`[data-lamp="${lamp.dataset.lamp}"] small`, one.word)
    }
    document.getElementById('gap')!.dataset.gap = shown.gap.state
    say('#gap b', shown.gap.word)
    say('#gap small', shown.gap.note)
    say('#seen', shown.seen)
  }

  const ask = async () => {
    try {
      const answer = await fetch('/api/v1/wall', { cache: 'no-store', signal: AbortSignal.timeout(ANSWER_MS) })
      if (answer.ok) {
        // another release may answer now, with another page
        if (lost || known.sealed) return location.reload()
        known.reading = (await answer.json()) as Wall
        known.readAt = Date.now()
        ahead = known.readAt - Date.parse(known.reading.at)
      } else if (answer.status === 423) {
        known.sealed = true
      } else if (answer.status === 401 || answer.status === 403) {
        return location.reload()
      } else lost = true
    } catch {
      lost = true
    }
    draw()
  }
  draw()
  setInterval(draw, 1000)
  setInterval(() => void ask(), ASK_MS)
}

const given = boot?.textContent ? (JSON.parse(boot.textContent) as { wall: Partial<Wall> & { sealed?: boolean }; words: Words }) : null
if (location.hash.length > 1 && !given?.wall.sealed) open()
else if (given) start(given.wall, given.words)
