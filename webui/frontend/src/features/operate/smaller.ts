// Smaller forms of a model, and how far the making of one is.
import type { SmallerModel } from '../../lib/api/types'

/** By size, the largest first; the server's side is appliance/inference/quantisations.py. */
const FORMS = ['F16', 'Q8_0', 'Q6_K', 'Q5_K_M', 'Q5_K_S', 'Q5_0', 'Q4_K_M', 'Q4_K_S', 'Q4_1', 'Q4_0', 'Q3_K_M']
/** What most people take: half the size of Q8_0, and hardly worse. */
export const USUAL_FORM = 'Q4_K_M'

/** Those that are smaller than what a model is stored as; the box has the last word. */
export function smallerForms(quantization: string): string[] {
  return FORMS.slice(FORMS.indexOf(quantization) + 1)
}

/** Of a model that was made just now: nothing is measured yet. */
export function unmeasured(made: SmallerModel): SmallerModel {
  return { ...made, before: null, after: null, change: null, not_measured: null }
}

/** How many bits a form keeps of most weights, as its name says. */
export function bitsOf(form: string): number {
  return Number(/\d+/.exec(form)?.[0] ?? 0)
}

export type Told =
  | { kind: 'plan' | 'made'; data: object }
  | { kind: 'progress'; data: { stage: 'checking' | 'quantising' | 'storing'; done: number; total: number } }
  | { kind: 'stage'; data: { model: string; stage: string } }

const MAKING = ['checking', 'quantising', 'storing'] as const
type Stage = (typeof MAKING)[number] | 'measuring_original' | 'measuring_new'

/** Where it is: a stage, its number of how many, its share (0 to 1), and whether the new model is there already. */
export function stepOf(told: Told | null, original: string, measure: boolean): { stage: Stage; at: number; of: number; share: number; made: boolean } {
  const of = measure ? 5 : 3
  const step = (stage: Stage, at: number, within: number, made: boolean) => ({ stage, at, of, share: (at - 1 + within) / of, made })
  if (told?.kind === 'progress') {
    const { stage, done, total } = told.data
    return step(stage, MAKING.indexOf(stage) + 1, total > 0 ? Math.min(1, done / total) : 0, false)
  }
  if (told?.kind === 'stage') return told.data.model === original ? step('measuring_original', 4, 0.5, true) : step('measuring_new', 5, 0.5, true)
  return told?.kind === 'made' ? step(measure ? 'measuring_original' : 'storing', measure ? 4 : 3, measure ? 0 : 1, true) : step('checking', 1, 0, false)
}
