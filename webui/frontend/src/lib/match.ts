// Matching an address against a pattern such as '/docs/{base}/{doc}'.

export type Pattern = string
export type Params = Record<string, string>

/** The values of the pattern's `{names}`, or null if the path is another one. */
export function match(pattern: Pattern, path: string): Params | null {
  const wanted = pattern.split('/')
  const given = path.split('/')
  if (wanted.length !== given.length) return null
  const params: Params = {}
  for (const [i, part] of wanted.entries()) {
    const value = given[i] ?? ''
    if (!part.startsWith('{')) {
      if (part !== value) return null
    } else if (value === '') {
      return null
    } else {
      try {
        params[part.slice(1, -1)] = decodeURIComponent(value)
      } catch {
        return null
      }
    }
  }
  return params
}
