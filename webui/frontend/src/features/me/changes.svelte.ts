// A new password ends all other sessions: their list has to look again.

let count = $state(0)

export const changes = {
  get count() {
    return count
  },
  sessions(): void {
    count += 1
  },
}
