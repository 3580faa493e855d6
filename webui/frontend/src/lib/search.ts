// Finding words whatever the width, case or kind of kana they are typed in.

/** Half-width to full, capitals to small, katakana to hiragana. */
export function fold(text: string): string {
  return text
    .normalize('NFKC')
    .toLowerCase()
    .replace(/[\u30a1-\u30f6]/g, (kana) => String.fromCharCode(kana.charCodeAt(0) - 0x60))
}

/** True if every word of the query occurs somewhere in the texts. */
export function finds(query: string, ...texts: string[]): boolean {
  const whole = fold(texts.join(' '))
  return fold(query).split(/\s+/).every((word) => whole.includes(word))
}
