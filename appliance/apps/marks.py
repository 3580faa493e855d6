"""Marks in a streamed answer: hold back what may be a `[n]`, renumber it, close sentences as they end."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

_MARK = re.compile(r"\[(\d{1,2})\]")
_MAY_BECOME_MARK = re.compile(r"\s*\[\d{0,2}$")
_SENTENCE_END = re.compile(r"[。！？]+[」』）]*|[.!?]+[\"')\]]*(?=\s)|\n+")


@dataclass(frozen=True)
class Text:
    """Answer text to pass on."""

    text: str


@dataclass(frozen=True)
class Mark:
    """A `[n]` that the model wrote after the claim `claim`."""

    n: int
    claim: str


class MarkReader:
    """Splits a grammar-forced stream into text and marks; a mark cut over two deltas is put together."""

    def __init__(self) -> None:
        self._held = ""
        self._claim = ""

    def feed(self, delta: str) -> Iterator[Text | Mark]:
        """Pieces that are certain by now."""
        self._held += delta
        while True:
            found = _MARK.search(self._held)
            if found is None:
                break
            before = self._held[: found.start()]
            yield from self._text(before.rstrip(" "))
            self._held = self._held[found.end() :]
            yield Mark(int(found.group(1)), self._claim.strip())
            self._claim = ""
        waiting = _MAY_BECOME_MARK.search(self._held)
        trailing = len(self._held) - len(self._held.rstrip(" "))
        keep = len(self._held) - waiting.start() if waiting else trailing
        ready = self._held[: len(self._held) - keep]
        self._held = self._held[len(self._held) - keep :]
        yield from self._text(ready)

    def close(self) -> Iterator[Text]:
        """What was held back when the stream ended."""
        yield from self._text(self._held.rstrip(" "))
        self._held = ""

    def _text(self, text: str) -> Iterator[Text]:
        if text:
            self._claim += text
            yield Text(text)


@dataclass(frozen=True)
class Sentence:
    """A finished sentence of the answer, `start` to `end` in the text so far, to be matched to a source."""

    text: str
    start: int
    end: int


class SentenceReader:
    """Passes a free stream on and tells where each sentence ends, outside code blocks."""

    def __init__(self) -> None:
        self._text = ""
        self._start = 0
        self._in_code = False

    def feed(self, delta: str) -> Iterator[Text | Sentence]:
        """The text, with each sentence's end told right after its last letter: a mark belongs before a line break."""
        position = len(self._text)
        self._text += delta
        while found := _SENTENCE_END.search(self._text, max(self._start, position - 8)):
            end = found.start() if found.group().startswith("\n") else found.end()
            if end > position:
                yield Text(self._text[position:end])
                position = end
            sentence = self._finished(end)
            if sentence:
                yield sentence
            self._start = found.end()
            if found.end() > position:
                yield Text(self._text[position : found.end()])
                position = found.end()
        if position < len(self._text):
            yield Text(self._text[position:])

    def close(self) -> Iterator[Sentence]:
        """The last sentence, when the model stopped without a full stop."""
        sentence = self._finished(len(self._text))
        if sentence:
            yield sentence

    def _finished(self, end: int) -> Sentence | None:
        start, self._start = self._start, end
        raw = self._text[start:end]
        fences = raw.count("```")
        was_code = self._in_code
        self._in_code ^= fences % 2 == 1
        text = raw.strip()
        if was_code or fences or len(text) < 4 or text.startswith(("#", "|")):
            return None
        return Sentence(text, start, end)
