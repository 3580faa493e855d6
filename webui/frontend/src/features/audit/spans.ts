// Spans of time to look at, from the reader's own days to moments.

export const SPANS = ['all', 'today', '7', '30', 'own'] as const
export type Span = (typeof SPANS)[number]

/** Midnight at the beginning of the day that is `days` after that of `date`, where the reader is. */
const midnight = (date: Date, days = 0) => new Date(date.getFullYear(), date.getMonth(), date.getDate() + days)

/** A day as a date field writes it (2026-11-23), at its beginning; null for anything else. */
function day(text: string): Date | null {
  const [, year, month, date] = /^(\d{4})-(\d\d)-(\d\d)$/.exec(text) ?? []
  return year && month && date ? new Date(Number(year), Number(month) - 1, Number(date)) : null
}

/** From when on, and before when, both as ISO or absent. The last day of one's own span belongs to it. */
export function moments(span: Span, from: string, to: string, now: Date): { since?: string; until?: string } {
  if (span === 'all') return {}
  if (span !== 'own') return { since: midnight(now, span === 'today' ? 0 : 1 - Number(span)).toISOString() }
  const [first, last] = [day(from), day(to)]
  return { ...(first && { since: first.toISOString() }), ...(last && { until: midnight(last, 1).toISOString() }) }
}
