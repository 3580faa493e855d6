// One thing asked of the box at a time, as dialogs and forms do: whether it is under way, and what failed.
export class Attempt {
  working = $state(false)
  /** of the last one; null if it came through, and while one is under way */
  error: unknown = $state.raw(null)

  /** Runs `act` unless one is under way; whether it came through. */
  async run(act: () => Promise<unknown>): Promise<boolean> {
    if (this.working) return false
    this.working = true
    this.error = null
    try {
      await act()
      return true
    } catch (caught) {
      this.error = caught
      return false
    } finally {
      this.working = false
    }
  }
}
