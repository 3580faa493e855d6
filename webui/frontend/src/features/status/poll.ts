// Asks again and again, but only while somebody looks: a tab in the background costs the box nothing.

/** Runs `act` at once and then `ms` after it has ended; returns how to stop. What it throws is the caller's to show. */
export function whileVisible(ms: number, act: (signal: AbortSignal) => Promise<void>): () => void {
  const leaving = new AbortController()
  let timer: ReturnType<typeof setTimeout> | undefined
  let busy = false

  const turn = async () => {
    clearTimeout(timer)
    if (busy || leaving.signal.aborted || document.visibilityState !== 'visible') return
    busy = true
    try {
      await act(leaving.signal)
    } finally {
      busy = false
      if (!leaving.signal.aborted) timer = setTimeout(() => void turn(), ms)
    }
  }
  const seen = () => void turn()
  document.addEventListener('visibilitychange', seen)
  void turn()
  return () => {
    leaving.abort()
    clearTimeout(timer)
    document.removeEventListener('visibilitychange', seen)
  }
}
