// The work on backups, watched: the box goes on also while nobody looks.
import { api, asApiError } from '../../lib/api/client'
import type { BackupJob } from '../../lib/api/backups'

const LOOK_MS = 700
const SURE_MS = 3000

export const isGoing = ({ state }: BackupJob): boolean => state === 'waiting' || state === 'running'

export class Backing {
  job = $state.raw<BackupJob | null>(null)
  /** the box didn't answer the last time */
  lost = $state(false)
  /** seconds for what is left of this stage; null until it can be told */
  left = $state<number | null>(null)
  #began = { stage: '', at: 0, done: 0 }

  get going(): boolean {
    return this.job !== null && isGoing(this.job)
  }

  async look(signal?: AbortSignal): Promise<void> {
    this.put((await api.get<{ job: BackupJob | null }>('/backups/work', signal)).job)
  }

  put(job: BackupJob | null): void {
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
    while (this.going) {
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
