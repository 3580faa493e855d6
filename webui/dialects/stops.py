"""Stop sequences found in a text while it streams: what can't be taken back is held until it is sure."""

from collections.abc import Sequence


class Stops:
    """Feed pieces, get what may be shown; `found` is the sequence that ended the text."""

    def __init__(self, sequences: Sequence[str]) -> None:
        self._sequences = sequences
        self._held = ""
        self.found: str | None = None

    def feed(self, piece: str) -> str:
        """The text that is sure to come before any stop sequence; nothing more once one was found."""
        if self.found is not None:
            return ""
        text = self._held + piece
        places = [(place, sequence) for sequence in self._sequences if (place := text.find(sequence)) >= 0]
        if places:
            place, self.found = min(places, key=lambda found: found[0])
            self._held = ""
            return text[:place]
        keep = max((_overlap(text, sequence) for sequence in self._sequences), default=0)
        self._held = text[len(text) - keep :]
        return text[: len(text) - keep]

    def rest(self) -> str:
        """What was held back, when nothing follows."""
        held, self._held = self._held, ""
        return held


def _overlap(text: str, sequence: str) -> int:
    """Characters at the end of `text` that begin `sequence`."""
    longest = min(len(text), len(sequence) - 1)
    return next((size for size in range(longest, 0, -1) if text.endswith(sequence[:size])), 0)
