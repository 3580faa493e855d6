"""The whole machine as one file: what makes it, tries it and writes it; `box` is what runs on it."""
