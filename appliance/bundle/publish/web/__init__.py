"""The publisher's side of web snapshots, connected: pages captured to WARC files, robots' rules kept to."""
