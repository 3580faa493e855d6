// Which of the shell's own dialogs is open.

let palette = $state(false)
let keys = $state(false)
let gap = $state(false)

export const overlays = {
  get palette() {
    return palette
  },
  set palette(open) {
    palette = open
  },
  get keys() {
    return keys
  },
  set keys(open) {
    keys = open
  },
  get gap() {
    return gap
  },
  set gap(open) {
    gap = open
  },
}
