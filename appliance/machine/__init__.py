"""The computer underneath: memory, processes, socket peers."""
