// When the disk will be full if it goes on as it did: a straight line through the last two weeks.
import type { Point } from '../../lib/api/health'

export const LIMIT = 0.9
const DAY_S = 24 * 3600
const LOOKS_BACK_S = 14 * DAY_S
const LEAST_S = DAY_S
const FURTHEST_S = 365 * DAY_S
/** how far the line is drawn: further ahead it would squeeze what was measured */
const DRAWN_S = 90 * DAY_S

export type Forecast =
  /** under a day of readings, or fewer than three */
  | { kind: 'early' }
  /** it doesn't fill, or not within a year */
  | { kind: 'steady' }
  | { kind: 'over' }
  /** seconds since the epoch */
  | { kind: 'full'; at: number; line: [Point, Point] }

/** Points are shares (0 to 1), oldest first. */
export function forecast(points: Point[]): Forecast {
  const last = points.at(-1)
  if (!last) return { kind: 'early' }
  if (last[1] >= LIMIT) return { kind: 'over' }
  const recent = points.filter(([at]) => at >= last[0] - LOOKS_BACK_S)
  const first = recent[0]
  if (!first || recent.length < 3 || last[0] - first[0] < LEAST_S) return { kind: 'early' }
  const middle = recent.reduce((sum, [at]) => sum + at, 0) / recent.length
  const mean = recent.reduce((sum, [, value]) => sum + value, 0) / recent.length
  const spread = recent.reduce((sum, [at]) => sum + (at - middle) ** 2, 0)
  const slope = recent.reduce((sum, [at, value]) => sum + (at - middle) * (value - mean), 0) / spread
  const ahead = slope > 0 ? (LIMIT - last[1]) / slope : Infinity
  if (ahead > FURTHEST_S) return { kind: 'steady' }
  const drawn = Math.min(ahead, DRAWN_S)
  return { kind: 'full', at: last[0] + ahead, line: [last, [last[0] + drawn, last[1] + slope * drawn]] }
}
