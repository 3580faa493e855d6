// Points of several measures as one chart draws them, and as a table says them.
import type { Point, Span } from '../../lib/api/health'

export const SECONDS: Record<Span, number> = { '24h': 24 * 3600, '7d': 7 * 24 * 3600, '90d': 90 * 24 * 3600 }
/** how far apart two points may be before the line is broken: there was no reading between them */
const HOLE_S: Record<Span, number> = { '24h': 1000, '7d': 3 * 3600, '90d': 24 * 3600 }
const ROWS: Record<Span, number> = { '24h': 12, '7d': 7, '90d': 13 }

/** One axis of times, and for each measure its value there or null. */
export function aligned(measures: Point[][], span: Span): [number[], ...(number | null)[][]] {
  const times = [...new Set(measures.flatMap((points) => points.map(([at]) => at)))].sort((a, b) => a - b)
  const axis: number[] = []
  for (const at of times) {
    const before = axis.at(-1)
    if (before !== undefined && at - before > HOLE_S[span]) axis.push(before + 1)
    axis.push(at)
  }
  return [axis, ...measures.map((points) => {
    const known = new Map(points)
    return axis.map((at) => known.get(at) ?? null)
  })]
}

export function peak(points: Point[]): Point | null {
  return points.reduce<Point | null>((best, point) => (best && best[1] >= point[1] ? best : point), null)
}

export type Row = { from: number; values: ({ mean: number; most: number } | null)[] }

/** The span in a few equal parts, those without any reading left out. */
export function rows(measures: Point[][], span: Span, now: number): Row[] {
  const length = SECONDS[span] / ROWS[span]
  const found: Row[] = []
  for (let n = ROWS[span]; n > 0; n -= 1) {
    const from = now - n * length
    const values = measures.map((points) => {
      const inside = points.filter(([at]) => at > from && at <= from + length).map(([, value]) => value)
      return inside.length ? { mean: inside.reduce((sum, value) => sum + value, 0) / inside.length, most: Math.max(...inside) } : null
    })
    if (values.some(Boolean)) found.push({ from, values })
  }
  return found
}
