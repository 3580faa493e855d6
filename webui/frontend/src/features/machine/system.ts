// What is said of the system below the box.
import type { SystemPhase } from '../../lib/api/machine'
import { t, tMaybe } from '../../lib/i18n.svelte'

/** Whether it goes on by itself, so that it is looked at again and again. */
export const isMoving = (phase: SystemPhase): boolean => phase !== 'idle' && phase !== 'waiting'

/** Why it was taken back, or what its trial waits for, in the reader's words. */
export function why(reason: string): string {
  return tMaybe(`machine.system_why_${reason}`, t('machine.system_why_other', { word: reason.replace(/^check-/, '') }))
}
