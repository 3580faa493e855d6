// Keys that only the box itself speaks (its own pages, its commands, its answers): the build leaves them out of the app.
export const SERVER_AREAS = ['answer.', 'cli.', 'export.', 'page.'] as const

export type ServerKey = `${(typeof SERVER_AREAS)[number]}${string}`

/** A catalogue without the sentences of the box itself. */
export function ofApp(sentences: Record<string, string>): Record<string, string> {
  return Object.fromEntries(Object.entries(sentences).filter(([key]) => !SERVER_AREAS.some((area) => key.startsWith(area))))
}
