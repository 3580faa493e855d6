"""Web snapshots: their pages read in a jailed child, kept with the WARC files, listed, shown as text, removed."""
