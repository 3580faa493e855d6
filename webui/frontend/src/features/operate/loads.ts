// Loading a model from a page.
import { ApiError } from '../../lib/api/client'

/** whether a load failed only since somebody ended it, which is no fault */
export function wasEnded(error: unknown): boolean {
  return error instanceof ApiError && error.code === 'HK-MOD-046'
}
