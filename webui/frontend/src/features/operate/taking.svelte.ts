// The bundle that the box takes in, watched: the box goes on also while nobody looks.
import { api, asApiError } from '../../lib/api/client'
import type { TakingJob } from '../../lib/api/bundles'

const LOOK_MS = 700
const SURE_MS = 3000

const STAGES = ['reading', 'copying', 'checking', 'placing'] as const
const OF_RELEASE = ['reading', 'copying', 'checking', 'installing'] as const

/** What is put in place as models is, for a release, installed beside the running one. */
export const stagesOf = ({ kind }: Pick<TakingJob, 'kind'>) => (kind === 'release' ? OF_RELEASE : STAGES)

export const isGoing = ({ state }: TakingJob): boolean => state === 'waiting' || state === 'running'

export class Taking {
  job = $state.raw<TakingJob | null>(null)
  /** the box didn't answer the last time */
  lost = $state(false)
  /** seconds for what is left of this stage; null until it can be told */
  left = $state<number | null>(null)
  #began = { stage: '', at: 0, done: 0 }

  /** From 1 on; 0 while it waits. */
  get stage(): number {
    const { job } = this
    if (job?.state !== 'running') return 0
    const stages: readonly string[] = stagesOf(job)
    return job.stage === 'placing' ? stages.length : stages.indexOf(job.stage) + 1
  }

  async look(signal?: AbortSignal): Promise<void> {
    this.put((await api.get<{ job: TakingJob | null }>('/bundles/taking', signal)).job)
  }

  put(job: TakingJob | null): void {
    const now = performance.now()
    this.lost = false
    this.job = job
    if (!job) return
    if (job.stage !== this.#began.stage || job.done < this.#began.done) this.#began = { stage: job.stage, at: now, done: job.done }
    const [took, went] = [now - this.#began.at, job.done - this.#began.done]
    this.left = took < SURE_MS || went <= 0 ? null : ((job.total - job.done) * took) / 1000 / went
  }

  /** Look again and again; resolves when it has ended, or somebody stops looking. Throws ApiError. */
  async follow(signal: AbortSignal): Promise<void> {
    while (this.job && isGoing(this.job)) {
      await new Promise((resolve) => setTimeout(resolve, LOOK_MS))
      if (signal.aborted) return
      try {
        await this.look(signal)
      } catch (caught) {
        if (signal.aborted) return
        const error = asApiError(caught)
        if (!error.offline && error.status < 500 && error.status !== 429) throw error
        this.lost = true
      }
    }
  }
}
