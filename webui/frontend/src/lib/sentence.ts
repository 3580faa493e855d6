// Filling a sentence: `{name}` takes a value, `{name:one|many}` the word that fits a number (English needs it).
import type { Language } from './api/types'

const numbers: Record<Language, Intl.NumberFormat> = {
  ja: new Intl.NumberFormat('ja-JP', { maximumFractionDigits: 2 }),
  en: new Intl.NumberFormat('en-GB', { maximumFractionDigits: 2 }),
}

export function fill(sentence: string, values: Record<string, string | number>, language: Language): string {
  return sentence.replace(/\{(\w+)(?::([^|}]*)\|([^}]*))?\}/g, (whole, name: string, one?: string, many?: string) => {
    const value = values[name]
    if (value === undefined) return whole
    if (one !== undefined && many !== undefined) return Number(value) === 1 ? one : many
    return typeof value === 'number' ? numbers[language].format(value) : value
  })
}
