// What the form for alerts judges before the box does: places, addresses, and which of them are inside.
import { isAddress } from '../machine/addresses'

export const NAME = /^[a-z0-9][a-z0-9-]{0,39}$/
export const SECRET = /^[\x21-\x7e]{1,1000}$/
const URL_SHAPE = /^https?:\/\/[A-Za-z0-9.\-_:[\]]+(\/[A-Za-z0-9._~/-]*)?$/i
const INSIDE = [/^10\./, /^172\.(1[6-9]|2\d|3[01])\./, /^192\.168\./, /^100\.(6[4-9]|[7-9]\d|1[01]\d|12[0-7])\./, /^127\./, /^f[cd][0-9a-f]{2}:/i, /^::1$/]

export const isPlace = (url: string): boolean => URL_SHAPE.test(url.trim()) && URL.canParse(url.trim())
export const isTls = (url: string): boolean => /^https:/i.test(url.trim())

/** The host of a URL if it is an address; '' for a name, or for no URL. */
export function literal(url: string): string {
  if (!isPlace(url)) return ''
  const host = new URL(url.trim()).hostname.replace(/^\[|\]$/g, '')
  return isAddress(host) ? host : ''
}

/** This machine or a closed network's; the box judges again. */
export const isInside = (address: string): boolean => INSIDE.some((network) => network.test(address.trim()))
