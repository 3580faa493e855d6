"""The `hako` command: thin; parse, ask the box, print."""
