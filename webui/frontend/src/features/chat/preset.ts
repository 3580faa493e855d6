// What belongs to presets in the chat, with its words: it comes after the page, for most conversations have none.
import { learn } from '../../lib/i18n.svelte'

export const presetParts = Promise.all([import('./PresetPicker.svelte'), import('./PresetNote.svelte'), learn('play')]).then(
  ([{ default: PresetPicker }, { default: PresetNote }]) => ({ PresetPicker, PresetNote }),
)
presetParts.catch(() => undefined)
