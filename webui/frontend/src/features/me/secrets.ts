// Passwords that the box accepts, first passwords that one person reads out to another, and secrets of programs.

/** fewest characters (appliance/accounts/users.py) */
export const MIN_PASSWORD = 15

// without what is misread: 0 O 1 l I, and vowels, so that no words appear
const SIGNS = '23456789bcdfghjkmnpqrstvwxz'

/** Groups of five, about 24 bits each, with hyphens between. */
function groups(count: number): string {
  const signs: string[] = []
  while (signs.length < 5 * count) {
    const [byte] = crypto.getRandomValues(new Uint8Array(1))
    // the rest would make the first signs likelier
    if (byte !== undefined && byte < 256 - (256 % SIGNS.length)) signs.push(SIGNS[byte % SIGNS.length] ?? '')
  }
  return Array.from({ length: count }, (_, at) => signs.slice(5 * at, 5 * at + 5).join('')).join('-')
}

/** About 95 bits. */
export const firstPassword = (): string => groups(4)

/** About 190 bits, for two programs that sign to each other. */
export const sharedSecret = (): string => groups(8)
