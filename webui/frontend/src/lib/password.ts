// What the box says to one's own password, asked for once more.
import { ApiError } from './api/client'
import { t } from './i18n.svelte'

/** A refusal of the password for its field, or null. The box's own sentence speaks of a name too, which nobody typed here. */
export function plainly(error: unknown): ApiError | null {
  if (!(error instanceof ApiError) || (error.code !== 'HK-AUTH-002' && error.code !== 'HK-AUTH-004')) return null
  const n = error.params.tries_left
  return error.code === 'HK-AUTH-002' && n !== undefined ? new ApiError(error.status, error.code, t('me.wrong', { n }), error.params) : error
}
