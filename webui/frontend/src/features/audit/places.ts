// Where an entry is opened: beside the list as it is filtered now.
import { here } from '../../lib/router.svelte'

export function entryAt(number: number): string {
  const query = new URLSearchParams(here.query)
  query.set('entry', String(number))
  return `/audit/log?${query}`
}
