// Keys that only the box itself speaks (its own pages, its commands, its answers): the build leaves them out of the app.
export const SERVER_AREAS = ['answer.', 'cli.', 'export.', 'page.'] as const

export type ServerKey = `${(typeof SERVER_AREAS)[number]}${string}`

/** Rooms whose sentences come with their pages, not with the first load, and the areas that are theirs. */
export const LATE_ROOMS = { play: ['play.'], operate: ['operate.', 'model.', 'update.'] } as const

export type Room = keyof typeof LATE_ROOMS

/** A catalogue without the sentences of the box itself and of late rooms; or those of one room. */
export function ofApp(sentences: Record<string, string>, room?: Room): Record<string, string> {
  const isIn = (areas: readonly string[], key: string) => areas.some((area) => key.startsWith(area))
  const others = [...SERVER_AREAS, ...Object.values(LATE_ROOMS).flat()]
  return Object.fromEntries(Object.entries(sentences).filter(([key]) => (room ? isIn(LATE_ROOMS[room], key) : !isIn(others, key))))
}
