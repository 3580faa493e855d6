// Routes over the History API. Addresses are stable nouns; filters and panels live in the query.
import type { Component } from 'svelte'
import { match, type Params, type Pattern } from './match'

// pages choose which parameters they take
export type Page = Component<any>
export type Route = { pattern: Pattern; page: () => Page | Promise<Page>; permission?: string }

type Place = { path: string; query: URLSearchParams; params: Params; route: Route | null }

let table: Route[] = []
let now = $state.raw<Place>({ path: '', query: new URLSearchParams(), params: {}, route: null })
let leaving: (() => boolean) | null = null

function look(): void {
  const { pathname, search } = window.location
  const path = pathname.length > 1 ? pathname.replace(/\/+$/, '') : '/'
  for (const route of table) {
    const params = match(route.pattern, path)
    if (params) {
      now = { path, query: new URLSearchParams(search), params, route }
      return
    }
  }
  now = { path, query: new URLSearchParams(search), params: {}, route: null }
}

export const here = {
  get path() {
    return now.path
  },
  get query() {
    return now.query
  },
  get params() {
    return now.params
  },
  get route() {
    return now.route
  },
}

/** Go to an address inside the app; `replace` leaves no step for Back. */
export function go(to: string, { replace = false } = {}): void {
  if (leaving && !leaving()) return
  const url = new URL(to, window.location.href)
  const same = url.pathname === window.location.pathname && url.search === window.location.search
  window.history[replace || same ? 'replaceState' : 'pushState'](null, '', url)
  look()
}

/** Change only the query; null takes a name out. */
export function setQuery(changes: Record<string, string | null>, { replace = false } = {}): void {
  const query = new URLSearchParams(window.location.search)
  for (const [name, value] of Object.entries(changes)) {
    if (value === null) query.delete(name)
    else query.set(name, value)
  }
  const text = query.toString()
  go(window.location.pathname + (text ? `?${text}` : ''), { replace })
}

/** Ask before leaving, e.g. with an unsaved form; returns how to stop asking. */
export function guard(mayLeave: () => boolean): () => void {
  leaving = mayLeave
  return () => {
    if (leaving === mayLeave) leaving = null
  }
}

function onClick(event: MouseEvent): void {
  if (event.defaultPrevented || event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return
  const anchor = (event.target as Element | null)?.closest?.('a')
  if (!anchor || anchor.target || anchor.hasAttribute('download') || anchor.origin !== window.location.origin) return
  const path = anchor.pathname.length > 1 ? anchor.pathname.replace(/\/+$/, '') : '/'
  if (anchor.hash && anchor.pathname === window.location.pathname) return
  if (!table.some((route) => match(route.pattern, path))) return
  event.preventDefault()
  go(anchor.pathname + anchor.search)
}

export function startRouter(routes: Route[]): void {
  table = routes
  look()
  window.addEventListener('popstate', look)
  document.addEventListener('click', onClick)
}
