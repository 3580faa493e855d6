// What the JSON API (`/api/v1`) sends and takes; the server's side is webui/api.

export type Language = 'ja' | 'en'
export type Theme = 'system' | 'light' | 'dark'
export type Params = Record<string, string | number>
export type List<T> = { items: T[] }

export type User = {
  id: string
  name: string
  display_name: string
  role: 'operator' | 'member'
  language: Language
  theme: Theme
}
export type Me = {
  user: User
  permissions: string[]
  box: { name: string; organisation: string; version: string; development: boolean }
  limits: { upload_mb: number; formats: string[] }
}
export type Destination = { name: string; address: string; kind: 'models' | 'alerts' }
export type BoxState = {
  gap: { state: 'closed' | 'open' | 'unknown'; sent: number; checked_at: string | null; destinations?: Destination[] }
  vault: { state: 'open' | 'sealed' }
  recovery_confirmed: boolean
  /** for operators: how the box is, and how many findings nobody has put off */
  health?: { state: 'ok' | 'unknown' | 'warning' | 'error'; findings: number }
}

export type Model = {
  id: string
  name: string
  kind: 'chat' | 'embedding' | 'reranker'
  engine: string
  state: 'loaded' | 'loading' | 'idle' | 'failed' | 'quarantined'
  languages: string[]
  context: number
  size_bytes: number
  /** what it takes now; null while it isn't loaded */
  memory_bytes: number | null
  licence: string
  source: string
  sha256: string
  quantization: string
  size_class: string
  default: boolean
  /** what it really runs on, e.g. "cpu"; null while it isn't loaded */
  provider: string | null
  /** other names that programs may call it by */
  aliases: string[]
  /** how many weights it has; 0 where nobody said */
  parameters: number
  vision: boolean
  /** whether it takes tools, and whether it may think before it answers */
  tools: boolean
  thinking: boolean
  /** as its files call it; the engine's name where that isn't known */
  architecture: string
  /** how far its loading has come; null while it isn't loaded now */
  loading: LoadProgress | null
  /** why it failed or is set aside */
  error: Problem | null
  /** at its own settings; null for members, and where it isn't known (yet) */
  estimate: MemoryEstimate | null
}
export type LoadProgress = { stage: 'checking' | 'starting' | 'reading' | 'trying'; /** of the whole, 0-1 */ fraction: number; elapsed_s: number }
export type Memory = { total_bytes: number; free_bytes: number }
export type Models = List<Model> & { /** for those who manage models */ memory?: Memory }
/** the memory a model takes or would take on this box */
export type MemoryEstimate = {
  verdict: 'fits' | 'tight' | 'too_big'
  /** what it is too big for: what one model may take beside its weights, or the machine */
  cause: 'limit' | 'machine' | null
  needed_bytes: number
  weights_bytes: number
  cache_bytes: number
  scratch_bytes: number
  context: number
  parallel: number
  available_bytes: number
  total_bytes: number
  /** for cache and scratch together, and what is beyond that */
  limit_bytes: number
  over_bytes: number
}
/** how a model is to be loaded; null and empty follow the box or the model itself */
export type LoadSettings = {
  context: number | null
  parallel: number | null
  threads: number | null
  pinned: boolean
  idle_minutes: number | null
  /** guesses words of documents; auto: where it was measured to pay */
  speculation: 'auto' | 'ngram' | 'off'
  /** how exactly it keeps what it has read */
  cache_type: 'f16' | 'q8_0' | 'q4_0'
  template: string
  /** auto: programs are refused, the box's own chats lose their beginning */
  overflow: 'auto' | 'stop' | 'middle' | 'rolling'
  /** tokens of one answer at most, whatever is asked for; 0 for no cap */
  max_tokens: number | null
  /** one of the model's adapters, loaded with it */
  adapter: string
  adapter_scale: number
}
/** a LoRA file that was brought to a model */
export type Adapter = { name: string; size_bytes: number }
/** which reranker was chosen or set, and the model that this is, if it is one of the box */
export type Reranking = { setting: string; model: string | null }
/** what a smaller model would come to */
export type SmallerPlan = { model: string; size_bytes: number; original_size_bytes: number; estimate: MemoryEstimate | null }
/** a smaller model that was made; the figures where both were measured, `change` in times as fast */
export type SmallerModel = {
  model: string
  name: string
  quantization: string
  size_bytes: number
  original: string
  original_quantization: string
  original_size_bytes: number
  before: Figures | null
  after: Figures | null
  change: { read: number; write: number } | null
  not_measured: Problem | null
}
export type ModelSettings = {
  settings: LoadSettings
  box: { speculation: 'ngram' | 'off'; context: number; parallel: number; threads: number | null; idle_minutes: number; max_tokens: number }
  most_context: number
  estimate: MemoryEstimate | null
}
/** a model that has a process now; times in seconds */
export type RunningModel = {
  id: string
  name: string
  state: 'loaded' | 'loading'
  busy: number
  waiting: number
  memory_bytes: number
  provider: string | null
  context: number | null
  parallel: number | null
  pinned: boolean
  since: number | null
  idle_s: number | null
  answered: number
  wait_s: number | null
  /** tokens, over the last ten seconds; null for a model that writes none */
  write_per_s: number | null
  loading: LoadProgress | null
}
/** a model file that a browser sends in pieces; `modified` in ms since the epoch */
export type ModelUpload = { id: string; name: string; size: number; modified: number; received: number; piece_bytes: number }
/** a model file, or a folder with an ONNX model, on a stick or in a folder of the box */
export type MediumFile = { id: string; name: string; folder: string; size_bytes: number; kind: 'file' | 'folder' }
export type Media = List<MediumFile> & { folders: string[] }
/** `last` for GGUF models only */
export type Pooling = 'mean' | 'cls' | 'last'
/** what an import would make of a file or folder; `engines` are those that can run it here, the usual one first */
export type ModelPlan = {
  model: string
  name: string
  kind: 'chat' | 'embedding' | 'reranker'
  engines: string[]
  /** the forms of a smaller copy, the largest first */
  smaller: string[]
  pooling?: Pooling | null
  query_prefix?: string
  passage_prefix?: string
  architecture: string
  parameters: number
  quantization: string
  context: number
  languages: string[]
  stated_licence: string
  chat_template: boolean
  size_bytes: number
  estimate: MemoryEstimate
}
/** `smaller` and `not_smaller` only where a smaller copy was asked for */
export type ImportedModel = { model: string; name: string; already_there: boolean; smaller?: SmallerModel | null; not_smaller?: Problem | null }
export type ModelDetail = Model & { projector: string | null; files: { name: string; size: number; sha256: string }[] }
/** speeds per second, as measured on this box; 0 where its kind has none */
export type Figures = {
  measured_at: number
  read_per_s: number
  write_per_s: number
  together: number
  together_per_s: number
  passages_per_s: number
  long_tokens: number
  /** how many times as fast with words of documents guessed, an answer that quotes and one that doesn't; 0 where it wasn't measured */
  quoting_gain: number
  other_gain: number
}
/** what the figures mean for people, and what was taken for that */
export type Capacity = {
  people: number
  at_once: number
  each_per_s: number
  /** null where the context doesn't hold so long a question */
  long_wait_s: number | null
  question_tokens: number
  answer_tokens: number
  every_s: number
  long_tokens: number
  busy_share: number
}
/** stale: how it is loaded, the engine or the machine has changed since, so that nothing is said of people; guesses: what the setting `auto` comes to */
export type Measured = { figures: Figures | null; capacity: Capacity | null; stale: boolean; guesses: boolean }
export type MeasuredModel = Measured & { id: string; name: string; kind: 'chat' | 'embedding' }

export type Verdict = 'answer' | 'perhaps' | 'none'
export type AnswerMode = 'generated' | 'extractive' | 'chat'
export type CitationMark = 'quoted' | 'supported' | 'check'
export type Citation = {
  n: number
  document_id: string
  base_id: string
  document: string
  title: string
  page: number
  pages: number
  sentence: number
  start: number
  end: number
  quote: string
  passage: string
  mark: CitationMark
}
export type Source = { document_id: string; base_id: string; document: string; title: string; page: number; score: number }
export type Stats = {
  ttft_ms: number
  tokens: number
  tokens_per_s: number
  elapsed_ms: number
  retrieval_ms: number
  documents: number
  passages: number
  model: string
  finish: 'stop' | 'length' | 'cancelled'
  /** messages of the chat that did not fit any more */
  left_out: number
}
export type Problem = { code: string; title: string; params?: Params }
export type Message = {
  id: string
  parent_id: string | null
  role: 'user' | 'assistant'
  text: string
  state: 'running' | 'done' | 'stopped' | 'failed'
  created_at: string
  run_id?: string | null
  verdict?: Verdict | null
  mode?: AnswerMode | null
  citations?: Citation[]
  sources?: Source[]
  /** ranges of the text that no passage supports, in characters */
  unsourced?: [number, number][]
  stats?: Partial<Stats> | null
  error?: Problem | null
}
export type ChatItem = { id: string; title: string; updated_at: string }
/** what a chat's answers follow, as the preset was when it was chosen */
export type ChatPreset = { id: string; name: string; system: string; sampling: object; state: 'same' | 'changed' | 'gone' }
export type Chat = { id: string; title: string; model: string; base_ids: string[]; preset: ChatPreset | null; messages: Message[] }
export type Started = { question: Message; answer: Message; run_id: string }

export type StageName = 'queued' | 'searching' | 'reading' | 'loading' | 'thinking' | 'writing'
export type Stage = { stage: StageName; position?: number | null; wait_s?: number | null; documents?: number | null; passages?: number | null }
export type RunEvent =
  | { kind: 'stage'; data: Stage }
  | { kind: 'sources'; data: { items: Source[] } }
  | { kind: 'verdict'; data: { verdict: Verdict | null; mode: AnswerMode } }
  | { kind: 'thinking'; data: { text: string } }
  | { kind: 'delta'; data: { text: string } }
  | { kind: 'citation'; data: Citation }
  | { kind: 'title'; data: { title: string } }
  | { kind: 'done'; data: { message: Message } }
  | { kind: 'error'; data: Problem }

export type Base = {
  id: string
  name: string
  description: string
  visibility: 'everyone' | 'private'
  mine: boolean
  system: boolean
  documents: number
  passages: number
  /** its documents may be changed by the reader */
  writable: boolean
  /** its name and its readers may be */
  manageable: boolean
  /** it came in a bundle */
  packed: boolean
}
export type DocumentState = 'waiting' | 'working' | 'ready' | 'failed' | 'cancelled'
export type DocumentStage = 'reading' | 'splitting' | 'embedding' | 'indexing'
export type Document = {
  id: string
  base_id: string
  name: string
  title: string
  format: string
  size: number
  pages: number
  passages: number
  language: string
  state: DocumentState
  progress: { stage: DocumentStage; done: number; total: number; eta_s: number | null } | null
  error: Problem | null
  created_at: string
  updated_at: string
  created_by: string
  duplicate?: boolean
}
export type Block = { kind: 'heading' | 'paragraph' | 'list' | 'table' | 'code'; level: number; start: number; end: number }
export type PageText = {
  document: Document
  page: number
  pages: number
  text: string
  blocks: Block[]
  sentences: { ordinal: number; start: number; end: number }[]
}
export type Hit = {
  passage_id: string
  document_id: string
  base_id: string
  document: string
  title: string
  page: number
  pages: number
  heading: string
  text: string
  score: number
  lexical: number
  dense: number
  rank: number
  lexical_rank: number | null
  dense_rank: number | null
  sentences: { ordinal: number; page: number; start: number; end: number; text: string; score: number }[]
}
export type SearchResult = {
  hits: Hit[]
  verdict: Verdict
  probability: number
  signals: Record<string, number>
  elapsed_ms: number
}

export type SessionItem = { id: string; created_at: string; seen_at: string; user_agent: string; current: boolean }
export type Dialect = 'openai' | 'anthropic' | 'ollama' | 'lmstudio' | 'rerank' | 'hako'
/** what a projector is, and what the model takes with it */
export type ProjectorPlan = { name: string; kind: string; width: number; picture_pixels: number; size_bytes: number; estimate: MemoryEstimate | null }
export type ModelRights = 'none' | 'aliases' | 'remove'
/** empty lists: all; null: no limit */
export type KeyScope = {
  models: string[]
  dialects: Dialect[]
  base_ids: string[]
  may_write: boolean
  model_rights: ModelRights
  /** good for /metrics and nothing else */
  only_metrics: boolean
  requests_per_minute: number | null
  expires_at: string | null
}
export type KeyItem = { id: string; name: string; prefix: string; created_at: string; used_at: string | null; scope: KeyScope }
export type NewKey = { key: string; item: KeyItem }
export type Account = {
  id: string
  name: string
  display_name: string
  role: 'operator' | 'member'
  language: Language
  disabled: boolean
  created_at: string
}
export type HelpItem = { id: string; title: string }
export type HelpPage = HelpItem & { text: string }
