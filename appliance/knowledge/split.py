"""A document's blocks as pages of text, citable sentences and overlapping passages of about 256 tokens."""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

from appliance.knowledge import sentences
from appliance.knowledge.extract.contract import Block, BlockKind, Extracted
from appliance.knowledge.normalise import Language, language_of

PASSAGE_TOKENS = 256
OVERLAP_TOKENS = 64
_LARGEST_TOKENS = 320
"""A passage may grow this far to take in a rest that is too small to stand alone."""
_SMALL_TOKENS = 64

HEADING_SEPARATOR = " › "
_HEADING_CHARS = 80
_LANGUAGE_SAMPLE = 20_000

CountTokens = Callable[[Sequence[str]], list[int]]


@dataclass(frozen=True, slots=True)
class BlockSpan:
    """Where a block stands in its page's text."""

    kind: BlockKind
    level: int
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class PageText:
    """A page as it is stored and shown; all offsets are characters into `text`."""

    number: int
    text: str
    blocks: tuple[BlockSpan, ...]


@dataclass(frozen=True, slots=True)
class Sentence:
    """The smallest citable piece: a sentence, a list item, a table row, a few lines of code."""

    ordinal: int
    page: int
    start: int
    end: int
    text: str


@dataclass(frozen=True, slots=True)
class Passage:
    """What is searched and given to a model: the sentences `first` to `last`, with a table's head repeated."""

    ordinal: int
    first: int
    last: int
    page: int
    heading: str
    text: str
    tokens: int


@dataclass(frozen=True, slots=True)
class Prepared:
    """A document ready to be embedded and stored."""

    title: str
    language: Language
    pages: tuple[PageText, ...]
    sentences: tuple[Sentence, ...]
    passages: tuple[Passage, ...]
    headings: tuple[str, ...]
    """Of each sentence."""


@dataclass(frozen=True, slots=True)
class _Item:
    """A sentence with what decides where passages may be cut."""

    sentence: Sentence
    heading: str
    block: tuple[int, int]
    whole: bool
    """Its block (list, table, code) should stay in one piece."""
    head: str = ""
    """The head row of the table that this row belongs to."""
    tokens: int = 0


def prepare(extracted: Extracted, title: str, count_tokens: CountTokens) -> Prepared:
    """Lay out pages, sentences and passages. `count_tokens` is asked once, about all sentences."""
    pages, items = _lay_out(extracted, title)
    counts = count_tokens([item.sentence.text for item in items])
    items = [replace(item, tokens=count) for item, count in zip(items, counts, strict=True)]
    by_number = {page.number: page.text for page in pages}
    return Prepared(
        title=title,
        language=language_of(_sample(pages)),
        pages=tuple(pages),
        sentences=tuple(item.sentence for item in items),
        passages=tuple(_passages(items, by_number)),
        headings=tuple(item.heading for item in items),
    )


def _sample(pages: Sequence[PageText]) -> str:
    text = ""
    for page in pages:
        text += page.text[: _LANGUAGE_SAMPLE - len(text)]
        if len(text) >= _LANGUAGE_SAMPLE:
            break
    return text


def _lay_out(extracted: Extracted, title: str) -> tuple[list[PageText], list[_Item]]:
    pages: list[PageText] = []
    items: list[_Item] = []
    outline = _Outline(title)
    blocks = [block for page in extracted.pages for block in page.blocks if block.text.strip()]
    after = iter([*blocks[1:], None])
    for page in extracted.pages:
        text = ""
        spans: list[BlockSpan] = []
        for block in page.blocks:
            body = block.text.strip()
            if not body:
                continue
            text += "\n\n" if text else ""
            start = len(text)
            text += body
            spans.append(BlockSpan(block.kind, block.level, start, len(text)))
            following = next(after)
            if block.kind == "heading":
                outline.enter(block)
                if following is not None and not _is_section_over(block, following):
                    continue
            place = (page.number, len(spans))
            for item in _items(block.kind, body, start, outline.path, place):
                items.append(replace(item, sentence=replace(item.sentence, ordinal=len(items))))
        pages.append(PageText(page.number, text, tuple(spans)))
    return pages, items


def _is_section_over(heading: Block, following: Block) -> bool:
    """Nothing stands below the heading, so it has to speak for itself."""
    return following.kind == "heading" and following.level <= heading.level


class _Outline:
    """The headings above the place where we are."""

    def __init__(self, title: str) -> None:
        self._title = title
        self._stack: list[tuple[int, str]] = []
        self.path = ""

    def enter(self, heading: Block) -> None:
        level = max(heading.level, 1)
        text = " ".join(heading.text.split())
        short = text if len(text) <= _HEADING_CHARS else text[: _HEADING_CHARS - 1] + "…"
        self._stack = [(other, name) for other, name in self._stack if other < level] + [(level, short)]
        self.path = HEADING_SEPARATOR.join(name for _, name in self._stack[-3:] if name != self._title)


def _items(kind: BlockKind, body: str, offset: int, heading: str, place: tuple[int, int]) -> Iterator[_Item]:
    head = body.split("\n", 1)[0] if kind == "table" else ""
    for start, end in _spans(kind, body):
        sentence = Sentence(0, place[0], offset + start, offset + end, body[start:end])
        yield _Item(sentence, heading, place, kind in ("list", "table", "code"), head if start else "")


def _spans(kind: BlockKind, body: str) -> list[tuple[int, int]]:
    if kind == "paragraph":
        return sentences.split(body)
    if kind == "heading" and len(body) <= sentences.MAX_CHARS:
        return [(0, len(body))]
    if kind == "heading":
        return sentences.split(body)
    if kind == "code":
        return _groups_of_lines(body)
    spans: list[tuple[int, int]] = []
    for line in re.finditer(r"[^\n]+", body):
        if kind == "table" and len(line.group()) <= sentences.MAX_CHARS:
            spans += [(line.start(), line.end())] if re.search(r"[^\W_]", line.group()) else []
        else:
            spans += [(line.start() + start, line.start() + end) for start, end in sentences.split(line.group())]
    return spans


def _groups_of_lines(body: str) -> list[tuple[int, int]]:
    """Lines of code together up to the length of a long sentence; a longer line is cut hard."""
    spans: list[tuple[int, int]] = []
    start = end = 0
    for line in re.finditer(r"[^\n]+", body):
        if end > start and line.end() - start > sentences.MAX_CHARS:
            spans.append((start, end))
            start = line.start()
        end = line.end()
        while end - start > sentences.MAX_CHARS:
            spans.append((start, start + sentences.MAX_CHARS))
            start += sentences.MAX_CHARS
    if end > start:
        spans.append((start, end))
    return [(a, b) for a, b in spans if body[a:b].strip()]


def _passages(items: Sequence[_Item], pages: dict[int, str]) -> Iterator[Passage]:
    ordinal = 0
    for section in _sections(items):
        for group in _packed(section):
            first, last = group[0].sentence, group[-1].sentence
            text = _text_of(group, pages)
            tokens = sum(item.tokens for item in group)
            yield Passage(ordinal, first.ordinal, last.ordinal, first.page, group[0].heading, text, tokens)
            ordinal += 1


def _sections(items: Sequence[_Item]) -> Iterator[list[_Item]]:
    section: list[_Item] = []
    for item in items:
        if section and item.heading != section[-1].heading:
            yield section
            section = []
        section.append(item)
    if section:
        yield section


def _units(section: Sequence[_Item]) -> Iterator[list[_Item]]:
    """What is not cut: a sentence, or a list, table or piece of code that fits a passage."""
    for (_block, whole), group in groupby(section, key=lambda item: (item.block, item.whole)):
        items = list(group)
        if not whole:
            yield from ([item] for item in items)
            continue
        # What is left of a block that is too large is kept in one piece again, as soon as it fits.
        rest = _tokens(items)
        for i, item in enumerate(items):
            if rest <= PASSAGE_TOKENS:
                yield items[i:]
                break
            yield [item]
            rest -= item.tokens


def _packed(section: Sequence[_Item]) -> list[list[_Item]]:
    groups: list[list[_Item]] = []
    current: list[_Item] = []
    fresh = 0  # items of `current` that are not overlap
    for unit in _units(section):
        if fresh and _tokens(current) + _tokens(unit) > PASSAGE_TOKENS:
            groups.append(current)
            current = _overlap(current, PASSAGE_TOKENS - _tokens(unit))
            fresh = 0
        current = current + unit
        fresh += len(unit)
    rest = current[-fresh:]
    if groups and _tokens(rest) < _SMALL_TOKENS and _tokens(groups[-1]) + _tokens(rest) <= _LARGEST_TOKENS:
        groups[-1] = groups[-1] + rest
    else:
        groups.append(current)
    return groups


def _overlap(group: Sequence[_Item], room: int) -> list[_Item]:
    """The end of a passage, as far as it fits both the overlap and the next passage."""
    allowed = min(OVERLAP_TOKENS, room)
    taken = 0
    for back, item in enumerate(reversed(group)):
        taken += item.tokens
        if taken > allowed:
            return list(group[len(group) - back :])
    return list(group[1:])


def _tokens(items: Sequence[_Item]) -> int:
    return sum(item.tokens for item in items)


def _text_of(group: Sequence[_Item], pages: dict[int, str]) -> str:
    """The stretch of each page that the sentences cover, so that line breaks and marks between them stay."""
    parts = [group[0].head] if group[0].head else []
    start = 0
    for i, item in enumerate(group):
        following = group[i + 1].sentence.page if i + 1 < len(group) else None
        if following != item.sentence.page:
            parts.append(pages[item.sentence.page][group[start].sentence.start : item.sentence.end])
            start = i + 1
    return "\n".join(parts)
