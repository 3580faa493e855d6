"""From the lines of a PDF to blocks: paragraphs joined across lines, headings by size, lists, code."""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from statistics import median
from typing import Literal

from appliance.knowledge.extract.characters import is_unspaced, tidy, width
from appliance.knowledge.extract.contract import Block
from appliance.knowledge.extract.pdf_columns import zones_of
from appliance.knowledge.extract.pdf_running import Sheet
from appliance.knowledge.extract.pdf_runs import Line, joined, lines_of
from appliance.knowledge.extract.pdf_tables import aligned_rows

_HEADING_RATIO = 1.15
_SAME_SIZE = 0.06
_HEADING_CHARACTERS = 120
_HEADING_LINES = 3
_PLAIN_HEADING_COLUMNS = 60
_NEXT_PARAGRAPH = 1.3
_LEVELS = 6

_BULLET = re.compile(r"[•●○◦■□◆◇▪▫‣➢✓▶►・※]\s*|[-*–—]\s+")
_NUMBER = re.compile(
    r"(?:[(（][0-9０-９a-zア-ン一二三四五六七八九十]{1,3}[)）]|[0-9０-９]{1,3}(?:[)）]|[.．](?![0-9０-９]))|[①-⑳]"
    r"|[a-zア-ン][.．)）])\s*(?=\S)"
)
_CONTENTS = re.compile(r"(.*?\S)[\s.．…‥・_]{5,}\s*([0-9０-９ivxlc]{1,5})")
_CHAPTER = re.compile(r"第[0-9０-９一二三四五六七八九十百]{1,4}[編章部](?![^\s\u3000]{25})")
_SECTION = re.compile(
    r"第[0-9０-９一二三四五六七八九十百]{1,4}[節条款](?:の[0-9０-９一二三四五六七八九十]+)?[\s\u3000(（]"
)
_NUMBERED = re.compile(r"[0-9０-９]{1,2}(?:[.．][0-9０-９]{1,2}){0,4}[.．]?[\s\u3000]+[^\W\d_]")
_NO_HEADING_END = re.compile(r"(?:[。、，,;；]|[^\W\d]\.)$")
_SENTENCE_END = tuple("。．！？!?.」』）)：:")
_FIRST_WORD = re.compile(r"[^\s\u3000-\u9fff\uff00-\uffef]+")

Kind = Literal["text", "item", "table", "code"]


@dataclass(slots=True)
class Piece:
    """Lines that belong together."""

    kind: Kind
    lines: list[Line] = field(default_factory=list)
    rows: tuple[str, ...] = ()
    left: float = 0.0
    """Edges of the column that it stands in."""
    right: float = 0.0

    @property
    def size(self) -> float:
        return self.lines[0].size

    @property
    def text(self) -> str:
        return joined(line.text for line in self.lines)


@dataclass(frozen=True, slots=True)
class Body:
    """What is normal in this document: size of the text, distance of its lines (in sizes), is it all typewritten."""

    size: float
    pitch: float
    mono: bool


def body_of(sheets: Sequence[Sheet]) -> Body:
    """The document's normal text."""
    sizes: Counter[float] = Counter()
    mono = 0
    for sheet in sheets:
        for run in sheet.runs:
            sizes[round(run.size, 1)] += len(run.text)
            mono += len(run.text) if run.mono else 0
    size = sizes.most_common(1)[0][0] if sizes else 10.0
    distances: Counter[float] = Counter()
    for sheet in sheets:
        runs = [run for run in sheet.runs if not run.table and abs(run.size - size) <= size * _SAME_SIZE]
        for before, run in pairwise(runs):
            distance = (before.y - run.y) / size
            if 0.9 < distance < 2.5:
                distances[round(distance * 20) / 20] += 1
    pitch = distances.most_common(1)[0][0] if distances else 1.6
    return Body(size, pitch, mono * 2 > sizes.total())


def pieces_of(sheet: Sheet, body: Body) -> list[Piece]:
    """The page in reading order."""
    pieces: list[Piece] = []
    for zone in zones_of(sheet.runs, sheet.em):
        lines = lines_of(zone)
        found = list(_zone_pieces(lines, body, sheet.em))
        if pieces and found and _flows_on(pieces[-1], found[0]):
            pieces[-1].lines.extend(found[0].lines)
            found = found[1:]
        pieces.extend(found)
    return pieces


def blocks_of(pages: Sequence[Sequence[Piece]], body: Body) -> list[list[Block]]:
    """The pages' blocks; how deep a heading is depends on all sizes of headings in the document."""
    levels = _levels([piece for pieces in pages for piece in pieces], body)
    return [_page_blocks(pieces, body, levels) for pieces in pages]


def _zone_pieces(lines: Sequence[Line], body: Body, em: float) -> Iterator[Piece]:
    plain = [line for line in lines if not line.table and not (line.mono and not body.mono)]
    left = min((line.x0 for line in plain), default=0.0)
    right = max((line.x1 for line in plain), default=0.0)
    pitch = _pitch(plain, body)
    current: Piece | None = None
    for group, rows in aligned_rows(lines, em):
        first = group[0]
        if rows or first.table:
            if current:
                yield current
            current = None
            yield Piece("table", list(group), rows or first.table, left, right)
            continue
        kind: Kind = "text"
        if first.mono and first.text.isascii() and not body.mono:
            kind = "code"
        elif _BULLET.match(first.text) or _NUMBER.match(first.text) or _CONTENTS.fullmatch(first.text):
            kind = "item"
        if current is None or _starts_new(current, first, kind, pitch):
            if current:
                yield current
            current = Piece(kind, [], (), left, right)
        current.lines.append(first)
    if current:
        yield current


def _pitch(lines: Sequence[Line], body: Body) -> float:
    """The usual distance of two lines, in sizes."""
    distances = [
        (before.y - line.y) / line.size
        for before, line in pairwise(lines)
        if abs(before.size - line.size) <= line.size * _SAME_SIZE and line.size * 0.8 < before.y - line.y
    ]
    return min(median(distances), body.pitch) if distances else body.pitch


def _starts_new(piece: Piece, line: Line, kind: Kind, pitch: float) -> bool:  # noqa: PLR0911 (one sign per line)
    """True if this line begins something that the piece before it doesn't go on with."""
    before, first = piece.lines[-1], piece.lines[0]
    em = line.size
    distance = before.y - line.y
    if piece.kind == "code" or kind == "code":
        return kind != piece.kind or distance > em * max(pitch, 1.2) * 2.5
    if abs(before.size - em) > em * 2 * _SAME_SIZE or before.runs[0].crossing or line.runs[0].crossing:
        return True
    if distance > em * pitch * _NEXT_PARAGRAPH or distance < -em:
        return True
    ended = _ends_short(before, line, piece.right)
    if before.bold != line.bold and (ended or line.bold):
        return True
    if kind == "item" and _opens_item(piece, line, ended=ended):
        return True
    if ended:
        return True
    if line.x0 > before.x0 + em * 0.7:  # indented: a new paragraph, or the hanging lines of an item or a reference
        return not (len(piece.lines) == 1 and (piece.kind == "item" or not before.text.endswith(_SENTENCE_END)))
    return (
        line.x0 < before.x0 - em * 0.7
        and len(piece.lines) > 1
        and line.x0 < first.x0 + em * 0.7
        and first.x0 > before.x0
    )


def _opens_item(piece: Piece, line: Line, *, ended: bool) -> bool:
    """A bullet always does; a number may also be the middle of a sentence."""
    if _BULLET.match(line.text) or _CONTENTS.fullmatch(line.text) or ended:
        return True
    before = piece.lines[-1]
    same_edge = abs(line.x0 - piece.lines[0].x0) <= line.size * 0.5
    return before.text.endswith(_SENTENCE_END) or (
        piece.kind == "item" and same_edge and len(piece.lines) > 1 and before.x0 > line.x0
    )


def _ends_short(before: Line, line: Line, right: float) -> bool:
    """True if the beginning of `line` would still have fitted after `before`: its author ended it there."""
    room = right - before.x1
    size = line.size
    word = _FIRST_WORD.match(line.text)
    if word is None or is_unspaced(before.text[-1:] or " "):
        needed = 2.0 * size if word is None else size * (1 + 0.55 * min(len(word[0]), 60))
        return room > needed + (0.0 if before.text.endswith(_SENTENCE_END) else 3.0 * size)
    share = (line.x1 - line.x0) / max(width(line.text), 1)
    return room > share * (len(word[0]) + 1) + size


def _flows_on(last: Piece, following: Piece) -> bool:
    """True if a paragraph goes on at the top of the next column: it stopped in the middle of a full last line."""
    if last.kind != "text" or following.kind != "text" or len(last.lines) < 2:
        return False
    before, line = last.lines[-1], following.lines[0]
    if line.y <= before.y or abs(before.size - line.size) > line.size * _SAME_SIZE or before.bold != line.bold:
        return False
    if before.text.endswith(_SENTENCE_END) or line.x0 > following.left + 0.5 * line.size:
        return False
    full = last.right - before.x1 <= 1.5 * line.size
    start = line.text[:1]
    return full and (is_unspaced(start) or start.islower())


def _levels(pieces: Sequence[Piece], body: Body) -> list[float]:
    """Sizes of headings, the largest first."""
    sizes: list[float] = []
    for size in sorted({piece.size for piece in pieces if _is_large(piece, body)}, reverse=True):
        if not sizes or size < sizes[-1] * (1 - _SAME_SIZE):
            sizes.append(size)
    return sizes


def _is_large(piece: Piece, body: Body) -> bool:
    if piece.kind not in ("text", "item") or piece.size < body.size * _HEADING_RATIO:
        return False
    text = piece.text
    return len(piece.lines) <= _HEADING_LINES and len(text) <= _HEADING_CHARACTERS and any(map(str.isalnum, text))


def _level(piece: Piece, following: Piece | None, body: Body, levels: Sequence[float]) -> int:  # noqa: PLR0911 (an ordered list of signs)
    """1 to 6 for a heading, else 0."""
    if _is_large(piece, body):
        return min(sum(1 for size in levels if size > piece.size * (1 + _SAME_SIZE / 2)) + 1, _LEVELS)
    text = piece.text
    if piece.kind not in ("text", "item") or len(piece.lines) > 1 or width(text) > _PLAIN_HEADING_COLUMNS:
        return 0
    if _NO_HEADING_END.search(text) or not any(map(str.isalnum, text)) or _CONTENTS.fullmatch(text):
        return 0
    if following is None or following.kind == "code" or _BULLET.match(text):
        return 0
    outer = len(levels)
    if _CHAPTER.match(text):
        return min(outer + 1, _LEVELS)
    if _SECTION.match(text) and following.kind != "table":
        return min(outer + 2, _LEVELS)
    larger = max(following.size, body.size) * 0.97
    if piece.lines[0].bold and piece.size >= larger and not following.lines[0].bold:
        return min(outer + 1 + len(re.findall(r"[.．](?=[0-9０-９])", text[:12])), _LEVELS)
    is_longer = width(following.text) > max(width(text), _PLAIN_HEADING_COLUMNS // 2)
    if _NUMBERED.match(text) and following.kind == "text" and is_longer and not _NUMBERED.match(following.text):
        return min(outer + 1 + len(re.findall(r"[.．](?=[0-9０-９])", text[:12])), _LEVELS)
    return 0


def _page_blocks(pieces: Sequence[Piece], body: Body, levels: Sequence[float]) -> list[Block]:
    blocks: list[Block] = []
    items: list[Piece] = []
    for place, piece in enumerate(pieces):
        following = pieces[place + 1] if place + 1 < len(pieces) else None
        level = _level(piece, following, body, levels)
        if piece.kind == "item" and not level:
            items.append(piece)
            continue
        if items:
            blocks.append(_list(items))
            items = []
        if piece.kind == "table":
            blocks.append(Block("table", "\n".join(piece.rows)))
        elif piece.kind == "code":
            blocks.append(Block("code", _code(piece)))
        elif level:
            blocks.append(Block("heading", tidy(piece.text).replace("\n", " "), level))
        else:
            blocks.append(Block("paragraph", tidy(piece.text)))
    if items:
        blocks.append(_list(items))
    return [block for block in blocks if block.text.strip()]


def _list(items: Sequence[Piece]) -> Block:
    """Items with `-` for every kind of bullet, indented as they stand on the page; leaders become a space."""
    left = min(item.lines[0].x0 for item in items)
    texts = []
    for item in items:
        text = tidy(item.text).replace("\n", " ")
        if contents := _CONTENTS.fullmatch(text):
            text = f"{contents[1]} {contents[2]}"
        depth = min(round((item.lines[0].x0 - left) / (1.8 * item.size)), 5)
        if bullet := _BULLET.match(text):
            text = text if text[0] == "※" else f"- {text[bullet.end() :]}"
        texts.append("  " * depth + text)
    return Block("list", "\n".join(texts))


def _code(piece: Piece) -> str:
    """Lines as they stand, with their indentation."""
    left = min(line.x0 for line in piece.lines)
    rows = []
    for line in piece.lines:
        step = max((line.x1 - line.x0) / max(len(line.text), 1), 1.0)
        rows.append(" " * min(round((line.x0 - left) / step), 80) + line.text)
    return "\n".join(rows)
