// Keys that only the box itself speaks (its own pages, its commands, its answers): the build leaves them out of the app.
export const SERVER_AREAS = ['answer.', 'cli.', 'export.', 'page.'] as const

/** Errors come with their sentence; these ones the app finds itself. */
export const APP_ERRORS = ['HK-AUTH-003', 'HK-BOX-001', 'HK-BOX-004', 'HK-BOX-005', 'HK-DOC-001', 'HK-DOC-010'] as const

export type AppKey<Key extends string> =
  | Exclude<Key, `${(typeof SERVER_AREAS)[number] | 'error.'}${string}`>
  | `error.${(typeof APP_ERRORS)[number]}`

/** Rooms whose sentences come with their pages, not with the first load, and the areas that are theirs. */
export const LATE_ROOMS = {
  play: ['play.'],
  me: ['mine.'],
  operate: ['operate.', 'model.', 'update.', 'release.', 'backup.'],
  machine: ['machine.'],
  audit: ['audit.', 'airgap.'],
  web: ['web.'],
  status: ['health.', 'status.'],
} as const

export type Room = keyof typeof LATE_ROOMS

/** A catalogue without the sentences of the box itself and of late rooms; or those of one room. */
export function ofApp(sentences: Record<string, string>, room?: Room): Record<string, string> {
  const isIn = (areas: readonly string[], key: string) => areas.some((area) => key.startsWith(area))
  const others = [...SERVER_AREAS, 'error.', ...Object.values(LATE_ROOMS).flat()]
  const own: string[] = APP_ERRORS.map((code) => `error.${code}`)
  const belongs = (key: string) => (room ? isIn(LATE_ROOMS[room], key) : own.includes(key) || !isIn(others, key))
  return Object.fromEntries(Object.entries(sentences).filter(([key]) => belongs(key)))
}
