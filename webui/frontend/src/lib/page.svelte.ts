// What the frame around a page needs to know: its title, and whether the narrow top bar carries the heading.
import { t } from './i18n.svelte'

let title = $state('')
let headed = $state(false)

export const page = {
  get title() {
    return title
  },
  /** true: the page's only h1 is in its bar, which narrow windows replace by the top bar. */
  get headed() {
    return headed
  },
}

/** Name the page; the browser's title follows. */
export function nameIt(words: string, withHeading = false): void {
  title = words
  headed = withHeading
  document.title = words ? `${words} – Hako` : t('ui.product')
}
