"""Web pages as they were: WARC files, read within bounds and written, and the manifest of a snapshot."""
