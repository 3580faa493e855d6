// The parameters of a request as fields: what was typed, whether it will do, what is asked. Empty is the model's own choice.
import { t, type Key } from '../../lib/i18n.svelte'

/** by the names of a chat request; the server's side is webui/api/presets.py */
export type Sampling = {
  temperature?: number
  top_p?: number
  top_k?: number
  min_p?: number
  repeat_penalty?: number
  typical_p?: number
  xtc_probability?: number
  xtc_threshold?: number
  dry_multiplier?: number
  dry_base?: number
  dry_allowed_length?: number
  mirostat?: number
  mirostat_tau?: number
  mirostat_eta?: number
  frequency_penalty?: number
  presence_penalty?: number
  seed?: number
  max_tokens?: number
  stop?: string[]
  /** how much likelier a token becomes, by its number in the model's vocabulary */
  logit_bias?: Record<string, number>
  json_schema?: Record<string, unknown>
}
export type Figure = Exclude<keyof Sampling, 'stop' | 'logit_bias' | 'json_schema'>
export type Draft = Record<keyof Sampling, string>
export type Faults = Partial<Record<keyof Sampling, string>>

type Range = { name: Figure; label?: Key; least: number; most: number; whole?: boolean }
const LARGEST = 2 ** 31 - 1
export const MOST_STOPS = 16
const STOP_CHARS = 200
export const MOST_BIASES = 300
const STRONGEST = 100

export const FIGURES: readonly Range[] = [
  { name: 'max_tokens', label: 'play.max_tokens', least: 1, most: LARGEST, whole: true },
  { name: 'temperature', label: 'play.temperature', least: 0, most: 2 },
  { name: 'top_p', label: 'play.top_p', least: 0, most: 1 },
  { name: 'top_k', label: 'play.top_k', least: 0, most: 1000, whole: true },
  { name: 'min_p', label: 'play.min_p', least: 0, most: 1 },
  { name: 'repeat_penalty', label: 'play.repeat_penalty', least: 0.1, most: 4 },
  { name: 'frequency_penalty', label: 'play.frequency_penalty', least: -2, most: 2 },
  { name: 'presence_penalty', label: 'play.presence_penalty', least: -2, most: 2 },
  { name: 'seed', label: 'play.seed', least: 0, most: LARGEST - 1, whole: true },
]

/** ways of choosing that only llama.cpp knows; models of other engines refuse them */
export const NATIVE: readonly Range[] = [
  { name: 'typical_p', least: 0, most: 1 },
  { name: 'xtc_probability', least: 0, most: 1 },
  { name: 'xtc_threshold', least: 0, most: 1 },
  { name: 'dry_multiplier', least: 0, most: 10 },
  { name: 'dry_base', least: 1, most: 10 },
  { name: 'dry_allowed_length', least: 1, most: 1000, whole: true },
  { name: 'mirostat', least: 0, most: 2, whole: true },
  { name: 'mirostat_tau', least: 0, most: 20 },
  { name: 'mirostat_eta', least: 0, most: 1 },
]
/** every parameter that is a number */
export const ALL = [...FIGURES, ...NATIVE]

export function empty(): Draft {
  const names: (keyof Sampling)[] = [...ALL.map(({ name }) => name), 'stop', 'logit_bias', 'json_schema']
  return Object.fromEntries(names.map((name) => [name, ''])) as Draft
}

export function draftOf(sampling: Sampling): Draft {
  const draft = empty()
  for (const { name } of ALL) draft[name] = sampling[name] === undefined ? '' : String(sampling[name])
  draft.stop = (sampling.stop ?? []).map(written).join('\n')
  draft.logit_bias = Object.entries(sampling.logit_bias ?? {}).map(([token, bias]) => `${token}: ${bias}`).join('\n')
  draft.json_schema = sampling.json_schema ? JSON.stringify(sampling.json_schema, null, 2) : ''
  return draft
}

// A line break within a stop word is written \n, for each line is a word of its own.
const written = (word: string) => word.replaceAll('\\', '\\\\').replaceAll('\n', '\\n').replaceAll('\t', '\\t')
const read = (word: string) => word.replace(/\\([nt\\])/g, (_, sign: string) => (sign === 'n' ? '\n' : sign === 't' ? '\t' : '\\'))

function figure(text: string): number {
  const plain = text.normalize('NFKC').trim() // full-width digits come from a Japanese keyboard
  return /^[-+]?(\d+\.?\d*|\.\d+)$/.test(plain) ? Number(plain) : NaN
}

function schema(text: string): Record<string, unknown> | null {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Record<string, unknown>) : null
  } catch {
    return null
  }
}

const stops = (draft: Draft) => draft.stop.split('\n').filter((line) => line !== '').map(read)

/** null where a line is no pair like "123: -5" */
function biases(draft: Draft): Record<string, number> | null {
  const found: Record<string, number> = {}
  for (const line of draft.logit_bias.split('\n').filter((one) => one.trim())) {
    const [, token, text] = /^(\d{1,9})\s*:\s*(\S+)$/.exec(line.normalize('NFKC').trim()) ?? []
    const bias = figure(text ?? '')
    if (!token || !(Math.abs(bias) <= STRONGEST)) return null
    found[String(Number(token))] = bias
  }
  return Object.keys(found).length > MOST_BIASES ? null : found
}

/** What won't do, as sentences. */
export function faults(draft: Draft): Faults {
  const found: Faults = {}
  for (const { name, least, most, whole } of ALL) {
    if (!draft[name].trim()) continue
    const value = figure(draft[name])
    if (!(value >= least && value <= most) || (whole && !Number.isInteger(value))) {
      found[name] = t(whole ? 'play.whole_range' : 'play.range', { least: String(least), most: String(most) })
    }
  }
  const words = stops(draft)
  if (words.length > MOST_STOPS || words.some((word) => word.length > STOP_CHARS)) found.stop = t('play.stop_fault', { n: MOST_STOPS, chars: STOP_CHARS })
  if (!biases(draft)) found.logit_bias = t('play.bias_fault', { n: MOST_BIASES, most: STRONGEST })
  if (draft.json_schema.trim() && !schema(draft.json_schema)) found.json_schema = t('play.schema_fault')
  return found
}

/** What a draft without faults asks for; nothing for what is empty. */
export function sampling(draft: Draft): Sampling {
  const asked: Sampling = {}
  for (const { name } of ALL) if (draft[name].trim()) asked[name] = figure(draft[name])
  const words = stops(draft)
  if (words.length > 0) asked.stop = words
  const biased = biases(draft)
  if (biased && Object.keys(biased).length > 0) asked.logit_bias = biased
  const shape = draft.json_schema.trim() ? schema(draft.json_schema) : null
  if (shape) asked.json_schema = shape
  return asked
}

/** How many parameters are given. */
export const given = (draft: Draft): number => Object.values(draft).filter((text) => text.trim()).length

/** The body of a chat request; `picture` is a data URL. */
export function request(model: string, system: string, user: string, asked: Sampling, others: number, picture = ''): Record<string, unknown> {
  const { json_schema: shape, ...rest } = asked
  const content = picture ? [{ type: 'text', text: user }, { type: 'image_url', image_url: { url: picture } }] : user
  return {
    model,
    messages: [...(system.trim() ? [{ role: 'system', content: system }] : []), { role: 'user', content }],
    ...rest,
    ...(shape ? { response_format: { type: 'json_schema', json_schema: { name: 'answer', schema: shape } } } : {}),
    ...(others > 0 ? { logprobs: true, top_logprobs: others } : {}),
    stream: true,
    stream_options: { include_usage: true },
  }
}
