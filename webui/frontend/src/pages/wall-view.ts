// What a wall display shows, from the last reading and how the last question ended. No DOM in here.
export type WallState = 'ok' | 'warning' | 'error' | 'unknown'
export type Wall = {
  state: WallState
  lamps: { name: string; state: WallState }[]
  verdict: { word: string; params: { count: number } }
  gap: { state: 'closed' | 'open' | 'unknown'; sent: number }
  at: string
}
/** sentences of the page by their keys, without `page.wall.` */
export type Words = Record<string, string>

export type Known = {
  /** the last reading, and when it came (ms) */
  reading: Wall | null
  readAt: number
  sealed: boolean
}
export type View = {
  state: WallState
  verdict: string
  lamps: Record<string, { state: WallState; word: string }>
  gap: { state: 'closed' | 'open' | 'unknown'; word: string; note: string }
  seen: string
}

/** Older readings than this say nothing about now. */
export const STALE_MS = 60_000

const put = (sentence: string | undefined, values: Record<string, string | number>) =>
  (sentence ?? '').replace(/\{(\w+)\}/g, (whole, name: string) => String(values[name] ?? whole))

/** Never green without a fresh reading: after a minute without one, every lamp is unknown. */
export function view({ reading, readAt, sealed }: Known, words: Words, now: number, clock: (ms: number) => string): View {
  const fresh = !sealed && reading !== null && now - readAt <= STALE_MS ? reading : null
  const lamps: View['lamps'] = {}
  for (const { name, state } of (fresh ?? reading)?.lamps ?? []) {
    const shown = fresh ? state : 'unknown'
    lamps[name] = { state: shown, word: words[`state.${shown}`] ?? '' }
  }
  const gap = fresh?.gap ?? { state: 'unknown' as const, sent: 0 }
  const said = fresh ? words[`verdict.${fresh.verdict.word}`] : words[sealed ? 'verdict.sealed' : reading ? 'verdict.lost' : 'verdict.unknown']
  return {
    state: fresh?.state ?? 'unknown',
    verdict: put(said, { count: fresh?.verdict.params.count ?? 0 }),
    lamps,
    gap: { state: gap.state, word: words[`gap.${gap.state}`] ?? '', note: gap.state === 'unknown' ? '' : put(words.sent, { n: gap.sent }) },
    seen: readAt && !sealed ? put(words[fresh ? 'seen' : 'lost'], { at: clock(readAt) }) : '',
  }
}
