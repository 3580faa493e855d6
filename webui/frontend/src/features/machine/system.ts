// What is said of the system below the box.
import type { System, SystemPhase } from '../../lib/api/machine'
import { t, tMaybe, type Key } from '../../lib/i18n.svelte'

/** Whether it goes on by itself, so that it is looked at again and again. */
export const isMoving = (phase: SystemPhase): boolean => phase !== 'idle' && phase !== 'waiting'

/** Why it was taken back, or what its trial waits for, in the reader's words. */
export function why(reason: string): string {
  return tMaybe(`machine.system_why_${reason}`, t('machine.system_why_other', { word: reason.replace(/^check-/, '') }))
}

/** How the last one ended, as a key. */
export function ending(last: NonNullable<System['last']>): Key {
  if (last.kept) return 'machine.system_kept'
  return last.reason === 'dropped' ? 'machine.system_dropped' : 'machine.system_taken_back'
}

/** Of the dialog that asks for the password, as keys. */
export function wordsOf(asked: 'restart' | 'back' | 'drop'): Record<'title' | 'act' | 'busy' | 'note', Key> {
  if (asked === 'drop')
    return { title: 'machine.system_drop', act: 'machine.system_drop_act', busy: 'machine.system_dropping', note: 'machine.system_drop_note' }
  const again = { act: 'machine.restart_act', busy: 'machine.restarting' } as const
  return asked === 'back'
    ? { ...again, title: 'machine.system_back', note: 'machine.system_back_note' }
    : { ...again, title: 'machine.system_start', note: 'machine.system_start_note' }
}
