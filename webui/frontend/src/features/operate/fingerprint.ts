// Fingerprints as people hear and type them, held against the one of a file.

export const FINGERPRINT_SIGNS = 64
const GROUP = 8

/** In groups of eight, to be read out. */
export const grouped = (fingerprint: string) => fingerprint.match(/.{1,8}/g)?.join(' ') ?? ''

/** As it is compared: without blanks and colons, in small letters, full-width ones too. */
export const plain = (typed: string) => typed.normalize('NFKC').replace(/[\s:]/g, '').toLowerCase()

/** How far what was typed agrees: all of it, so many signs so far, or not from a group (counted from 1) on. */
export function compare(typed: string, fingerprint: string): { match: true } | { agrees: number } | { differs: number } {
  const told = plain(typed)
  const at = [...told].findIndex((sign, i) => sign !== fingerprint[i])
  if (at >= 0) return { differs: Math.min(Math.floor(at / GROUP), FINGERPRINT_SIGNS / GROUP - 1) + 1 }
  return told.length === fingerprint.length ? { match: true } : { agrees: told.length }
}
