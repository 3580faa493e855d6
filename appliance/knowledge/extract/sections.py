"""Pages for formats that have none: a new one at each chapter heading, else every few thousand characters."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace

from appliance.knowledge.extract.contract import Block, Page

PAGE_CHARACTERS = 2500
_SENTENCE_END = re.compile(r"\n|(?<=[。！？])|(?<=[.!?])\s+")


def paginate(blocks: Sequence[Block]) -> tuple[Page, ...]:
    """Blocks as numbered sections, in order; a heading is never left alone at the end of one."""
    pages: list[Page] = []
    current: list[Block] = []
    size = 0
    for block in _bounded(blocks):
        opens = block.kind == "heading" and 1 <= block.level <= 2
        only_headings = all(earlier.kind == "heading" for earlier in current)
        if current and not only_headings and (opens or size >= PAGE_CHARACTERS):
            carried = _trailing_headings(current)
            pages.append(Page(len(pages) + 1, tuple(current[: len(current) - len(carried)])))
            current, size = carried, 0
        current.append(block)
        size += len(block.text)
    if current:
        pages.append(Page(len(pages) + 1, tuple(current)))
    return tuple(pages)


def _trailing_headings(blocks: Sequence[Block]) -> list[Block]:
    count = 0
    while count < len(blocks) and blocks[-1 - count].kind == "heading":
        count += 1
    return list(blocks[len(blocks) - count :])


def _bounded(blocks: Sequence[Block]) -> Iterator[Block]:
    """The same blocks, none longer than a page: the long ones cut at line or sentence ends."""
    for block in blocks:
        if len(block.text) <= PAGE_CHARACTERS:
            yield block
        else:
            for piece in _pieces(block.text):
                yield replace(block, text=piece)


def _pieces(text: str) -> Iterator[str]:
    start = 0
    while len(text) - start > PAGE_CHARACTERS:
        limit = start + PAGE_CHARACTERS
        cut = limit
        for found in _SENTENCE_END.finditer(text, start + 1, limit):
            cut = found.end()
        piece = text[start:cut].strip()
        if piece:
            yield piece
        start = cut
    if last := text[start:].strip():
        yield last
