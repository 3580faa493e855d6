// Figures, sizes and dates as the interface writes them (UI.md 6).
import { language, t } from './i18n.svelte'

const locale = () => (language() === 'ja' ? 'ja-JP' : 'en-GB')
const cache = new Map<string, Intl.DateTimeFormat | Intl.NumberFormat>()

function made<T extends Intl.DateTimeFormat | Intl.NumberFormat>(key: string, make: (locale: string) => T): T {
  const name = `${locale()} ${key}`
  let found = cache.get(name)
  if (!found) cache.set(name, (found = make(locale())))
  return found as T
}

export function number(value: number, digits = 0): string {
  return made(`n${digits}`, (l) => new Intl.NumberFormat(l, { minimumFractionDigits: digits, maximumFractionDigits: digits })).format(value)
}

/** 1.3億 / 135M */
export function compact(value: number): string {
  return made('c', (l) => new Intl.NumberFormat(l === 'ja-JP' ? l : 'en', { notation: 'compact', maximumSignificantDigits: 3 })).format(value)
}

/** 1.8 GB, 420 KB: decimal units, one digit below ten. */
export function bytes(value: number): string {
  const units = ['B', 'KB', 'MB', 'GB', 'TB']
  let size = value
  let unit = 0
  while (size >= 1000 && unit < units.length - 1) {
    size /= 1000
    unit += 1
  }
  return `${number(size, unit > 1 && size < 100 ? 1 : 0)} ${units[unit]}`
}

/** 2026年11月23日 / 23 November 2026 */
export function date(iso: string): string {
  return made('d', (l) => new Intl.DateTimeFormat(l, { year: 'numeric', month: 'long', day: 'numeric' })).format(new Date(iso))
}

/** 2026/11/23, for tables */
export function shortDate(iso: string): string {
  return made('sd', (l) => new Intl.DateTimeFormat(l, { year: 'numeric', month: '2-digit', day: '2-digit' })).format(new Date(iso))
}

export function dateTime(iso: string): string {
  const format = made('dt', (l) => new Intl.DateTimeFormat(l, { year: 'numeric', month: 'long', day: 'numeric', hour: '2-digit', minute: '2-digit', hour12: false }))
  return format.format(new Date(iso))
}

export function time(iso: string): string {
  return made('t', (l) => new Intl.DateTimeFormat(l, { hour: '2-digit', minute: '2-digit', hour12: false })).format(new Date(iso))
}

export function month(iso: string): string {
  return made('m', (l) => new Intl.DateTimeFormat(l, { year: 'numeric', month: 'long' })).format(new Date(iso))
}

/** 1.2秒, 8秒: one digit below ten seconds when `exact`. */
export function seconds(ms: number, exact = true): string {
  const s = ms / 1000
  return t('ui.seconds', { n: number(s, exact && s < 10 ? 1 : 0) })
}

/** 40秒, 12分: how long something has lasted. */
export function lasted(s: number): string {
  return s < 90 ? t('ui.seconds', { n: number(s) }) : t('ui.minutes', { n: number(Math.round(s / 60)) })
}

/** 残り約2分: what is left, rounded to what a person can use. */
export function left(s: number | null | undefined): string {
  if (s === null || s === undefined) return t('ui.left_unknown')
  if (s < 55) return t('ui.left_seconds', { n: Math.max(5, Math.ceil(s / 5) * 5) })
  return t('ui.left_minutes', { n: Math.max(1, Math.round(s / 60)) })
}
