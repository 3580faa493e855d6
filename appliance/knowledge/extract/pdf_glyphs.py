"""Glyphs of a PDF page: every visible character with its place and size, turned so that text runs to the right."""

import ctypes
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import pypdfium2.raw as pdfium

from appliance.knowledge.extract.characters import is_unspaced

HYPHEN = "\x02"
"""What pdfium gives for a hyphen that only divides a word at the end of a line."""
BASELINE = 0.12
"""Share of the size that lies below the baseline."""
VISIBLE_SPACE, GUESSED_SPACE = 2, 1

Box: TypeAlias = tuple[float, float, float, float]
"""Left, bottom, right, top."""

_BLANK = frozenset([1, *range(3, 0x21), 0x7F, 0xA0, *range(0x2000, 0x2010), 0x202F, 0x205F, 0x3000, 0xFEFF])
# Letters that a font draws as one, and what the usual symbol fonts have at private places.
_MEANT = {
    0xFB00: "ff", 0xFB01: "fi", 0xFB02: "fl", 0xFB03: "ffi", 0xFB04: "ffl", 0xFB05: "st", 0xFB06: "st",
    0xF0B7: "•", 0xF0A7: "■", 0xF06C: "●", 0xF06E: "■", 0xF0D8: "➢", 0xF0FC: "✓", 0xF0E0: "→", 0xF0A8: "□",
}  # fmt: skip
_UNREADABLE = "\ufffd"
_STEP_MAX = 2.0
_SAMPLE = 2000


@dataclass(slots=True)
class Glyphs:
    """Parallel lists, in the order in which the page draws; lengths in points."""

    chars: list[str] = field(default_factory=list)
    x0: list[float] = field(default_factory=list)
    """Where the glyph starts and ends along its line."""
    x1: list[float] = field(default_factory=list)
    y: list[float] = field(default_factory=list)
    """Its baseline; larger is further up the page, or further right where lines run downwards."""
    size: list[float] = field(default_factory=list)
    blank: list[int] = field(default_factory=list)
    """A space before it: 0 none, 1 one that pdfium guessed, 2 one that the page has."""
    index: list[int] = field(default_factory=list)
    """Its number in pdfium's text page."""
    flow: int = 0
    """Quarter turns, counter-clockwise, from rightwards to the direction of the lines."""
    vertical: bool = False
    """Upright characters in lines that run downwards."""
    common: float = 10.0
    """The commonest size."""
    unreadable: int = 0


@dataclass(slots=True)
class _Raw:
    """A glyph as pdfium describes it."""

    char: str
    index: int
    blank: int
    x: float
    y: float
    box: Box
    size: float
    width: float
    """Of a full-width character: the size, stretched as the text is."""
    turn: int


def read_glyphs(text_page: ctypes.c_void_p, count: int) -> Glyphs:
    """All visible characters of a page."""
    raw, unreadable = _read(text_page, count)
    glyphs = Glyphs(unreadable=unreadable)
    if not raw:
        return glyphs
    glyphs.common = Counter(round(glyph.size, 1) for glyph in raw).most_common(1)[0][0] or 1.0
    glyphs.flow = _flow(raw)
    upright = sum(1 for glyph in raw if glyph.turn == (glyphs.flow + 1) % 4)
    glyphs.vertical = upright * 2 > len(raw)
    for glyph in raw:
        _place(glyphs, glyph)
    return glyphs


def turn_box(box: Box, quarters: int) -> Box:
    """A box of the page as it lies once the page is turned clockwise by so many quarters."""
    left, bottom, right, top = box
    if quarters == 1:
        return bottom, -right, top, -left
    if quarters == 2:
        return -right, -top, -left, -bottom
    if quarters == 3:
        return -top, left, -bottom, right
    return box


def _read(text_page: ctypes.c_void_p, count: int) -> tuple[list[_Raw], int]:
    code_of, origin_of, box_of = (
        pdfium.FPDFText_GetUnicode,
        pdfium.FPDFText_GetCharOrigin,
        pdfium.FPDFText_GetLooseCharBox,
    )
    size_of, matrix_of, generated = (
        pdfium.FPDFText_GetFontSize,
        pdfium.FPDFText_GetMatrix,
        pdfium.FPDFText_IsGenerated,
    )
    x, y, box, matrix = ctypes.c_double(), ctypes.c_double(), pdfium.FS_RECTF(), pdfium.FS_MATRIX()
    place_x, place_y, place_box, place_matrix = map(ctypes.byref, (x, y, box, matrix))
    found: list[_Raw] = []
    known: dict[tuple[float, float, float, float], tuple[float, float, int]] = {}
    blank = unreadable = high = 0
    for index in range(count):
        code = code_of(text_page, index)
        if code in _BLANK:
            blank = max(blank, GUESSED_SPACE if generated(text_page, index) == 1 else VISIBLE_SPACE)
            continue
        if 0xD800 <= code < 0xDC00:
            high = code
            continue
        if 0xDC00 <= code < 0xE000 and high:
            code = 0x10000 + ((high - 0xD800) << 10) + code - 0xDC00
        high = 0
        char = _char(code)
        unreadable += char == _UNREADABLE
        origin_of(text_page, index, place_x, place_y)
        box_of(text_page, index, place_box)
        matrix_of(text_page, index, place_matrix)
        key = (matrix.a, matrix.b, matrix.c, matrix.d)
        scale = known.get(key)
        if scale is None:
            scale = known[key] = _scale(*key)
        nominal = size_of(text_page, index)
        size = nominal * scale[0]
        if not (0.1 <= size <= 2000 and math.isfinite(x.value) and math.isfinite(y.value)):
            continue  # too small or too large for anybody to read
        edges = (box.left, box.bottom, box.right, box.top)
        found.append(_Raw(char, index, blank, x.value, y.value, edges, size, nominal * scale[1], scale[2]))
        blank = 0
    return found, unreadable


def _char(code: int) -> str:
    if code in _MEANT:
        return _MEANT[code]
    if code == 0 or 0xD800 <= code <= 0xF8FF or code >= 0xF0000 or code in (0xFFFE, 0xFFFF):
        return _UNREADABLE
    return chr(code)


def _scale(a: float, b: float, c: float, d: float) -> tuple[float, float, int]:
    """Of a text matrix: height, width, and the quarter turns that come nearest."""
    return math.hypot(c, d), math.hypot(a, b), round(math.atan2(b, a) / (math.pi / 2)) % 4


def _flow(raw: Sequence[_Raw]) -> int:
    """The direction in which most glyphs follow each other; of a lone one, the way it stands."""
    steps = [0, 0, 0, 0]
    last = raw[0]
    for glyph in raw[1:_SAMPLE]:
        dx, dy = glyph.x - last.x, glyph.y - last.y
        along, across = (dx, dy) if abs(dx) > abs(dy) else (dy, dx)
        if glyph.size * 0.1 < abs(along) < glyph.size * _STEP_MAX and abs(across) < abs(along) * 0.3:
            steps[(0 if along > 0 else 2) if along is dx else (1 if along > 0 else 3)] += 1
        last = glyph
    turns = Counter(glyph.turn for glyph in raw)
    flow = steps.index(max(steps))
    if steps[flow] * 2 < sum(steps) or not any(steps):
        return turns.most_common(1)[0][0]
    # Steps to the left are a right-to-left script, unless the page stands on its head.
    return 0 if flow == 2 and turns[2] * 2 < len(raw) else flow


def _place(glyphs: Glyphs, glyph: _Raw) -> None:
    flow, size = glyphs.flow, glyph.size
    left, bottom, right, top = glyph.box
    if glyph.turn == flow:
        x, y = turn_box((glyph.x, glyph.y, glyph.x, glyph.y), flow)[:2]
        x0, _, x1, _ = turn_box(glyph.box, flow)
        if abs(x0 - x) > 0.05 and is_unspaced(glyph.char):  # a tight box, as characters from /ActualText have
            x0, x1 = x, max(x1, x + glyph.width)
    else:
        wide = is_unspaced(glyph.char)
        width = glyph.width if wide else right - left
        edges = (glyph.x, glyph.y - size * BASELINE, glyph.x + width, glyph.y + size * (1 - BASELINE))
        if glyph.turn != (flow + 1) % 4 or not wide:
            edges = (left, bottom, right, top)
        x0, low, x1, high = turn_box(edges, flow)
        y = (low + high) / 2 - size * (0.5 - BASELINE)
    glyphs.chars.append(glyph.char)
    glyphs.x0.append(x0)
    glyphs.x1.append(max(x1, x0))
    glyphs.y.append(y)
    glyphs.size.append(size)
    glyphs.blank.append(glyph.blank)
    glyphs.index.append(glyph.index)
