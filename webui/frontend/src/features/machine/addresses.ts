// Addresses as people type them; the box judges again, and more closely.

const OCTET = '(25[0-5]|2[0-4]\\d|1?\\d?\\d)'
const V4 = new RegExp(`^${OCTET}(\\.${OCTET}){3}$`)
const V6 = /^(?=.*:)[0-9a-f:]{2,39}(\.\d+){0,3}$/i

export const isAddress = (text: string): boolean => V4.test(text.trim()) || V6.test(text.trim())

/** 10.0.0.7/24: an address with the length of its network. */
export function isNetwork(text: string): boolean {
  const [address = '', length = '', ...more] = text.trim().split('/')
  const most = address.includes(':') ? 128 : 32
  return more.length === 0 && isAddress(address) && /^\d{1,3}$/.test(length) && Number(length) >= 1 && Number(length) <= most
}

/** Several, with spaces or commas between, Japanese ones too. */
export const listed = (text: string): string[] => text.split(/[\s,、，]+/).filter(Boolean)

/** Where the box is found by a browser that is here now: the same scheme and port. */
export function pageAt(host: string, path: string): string {
  const { protocol, port } = window.location
  return `${protocol}//${host.includes(':') ? `[${host}]` : host}${port ? `:${port}` : ''}${path}`
}
