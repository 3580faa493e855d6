// Places a popover beside its button, inside the window (anchor positioning is younger than our oldest browser).

const GAP = 6
const EDGE = 8

export function place(menu: HTMLElement, trigger: HTMLElement, align: 'start' | 'end'): void {
  const button = trigger.getBoundingClientRect()
  const { width, height } = menu.getBoundingClientRect()
  const below = window.innerHeight - button.bottom - GAP - EDGE
  const above = button.top - GAP - EDGE
  const down = height <= below || below >= above
  const left = align === 'start' ? button.left : button.right - width
  menu.style.left = `${Math.max(EDGE, Math.min(left, window.innerWidth - width - EDGE))}px`
  menu.style.right = 'auto'
  menu.style.maxHeight = `${Math.min(460, down ? below : above)}px`
  if (down) {
    menu.style.top = `${button.bottom + GAP}px`
    menu.style.bottom = 'auto'
  } else {
    menu.style.top = 'auto'
    menu.style.bottom = `${window.innerHeight - button.top + GAP}px`
  }
}
