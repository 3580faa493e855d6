// Passwords that the box accepts, and first passwords that one person reads out to another.

/** fewest characters (appliance/accounts/users.py) */
export const MIN_PASSWORD = 15

// without what is misread: 0 O 1 l I, and vowels, so that no words appear
const SIGNS = '23456789bcdfghjkmnpqrstvwxz'

/** Four groups of five, about 95 bits. */
export function firstPassword(): string {
  const signs: string[] = []
  while (signs.length < 20) {
    const [byte] = crypto.getRandomValues(new Uint8Array(1))
    // the rest would make the first signs likelier
    if (byte !== undefined && byte < 256 - (256 % SIGNS.length)) signs.push(SIGNS[byte % SIGNS.length] ?? '')
  }
  return [0, 5, 10, 15].map((at) => signs.slice(at, at + 5).join('')).join('-')
}
