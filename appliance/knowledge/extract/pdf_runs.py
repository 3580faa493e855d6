"""Runs and lines of a PDF page: glyphs that touch make a run, runs on one baseline make a line."""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from appliance.knowledge.extract.characters import is_unspaced, join_lines
from appliance.knowledge.extract.pdf_glyphs import BASELINE, GUESSED_SPACE, HYPHEN, VISIBLE_SPACE, Glyphs

RUBY_SIZE = 0.62
"""Kana up to this share of the page's commonest size are readings beside their kanji."""
_KANA = re.compile("[\u3041-\u30ff]+")
_WORD_GAP = 0.22
_GUESSED_GAP = 0.12
_WIDE_GAP = 1.0
_OVERLAP = 0.6
"""Opening brackets are set half a size back into the full stop before them."""

FontOf = Callable[[int], tuple[bool, bool]]
"""Of a glyph by its number in pdfium's text page: is its font bold, are all its letters equally wide."""


@dataclass(slots=True)
class Run:
    """Glyphs next to each other, or a whole table."""

    text: str
    x0: float
    x1: float
    y: float
    size: float
    order: int
    """Place in the order in which the page draws."""
    low: float
    high: float
    """How far down and up it reaches."""
    bold: bool = False
    mono: bool = False
    crossing: bool = False
    """Written across the direction of the page's lines."""
    space: bool = False
    """The page has a space in front of it."""
    table: tuple[str, ...] = ()


@dataclass(slots=True)
class Line:
    """Runs on one baseline, from left to right."""

    runs: list[Run]
    text: str = ""
    size: float = 0.0
    x0: float = 0.0
    x1: float = 0.0
    y: float = 0.0
    bold: bool = False
    mono: bool = False

    @property
    def table(self) -> tuple[str, ...]:
        return self.runs[0].table


def runs_of(glyphs: Glyphs, indices: Iterable[int], font_of: FontOf, gap: float = _WIDE_GAP) -> list[Run]:
    """The runs of those glyphs in the page's order, without readings; `gap` (in sizes) is the white that ends one."""
    runs: list[Run] = []
    group = _Group(glyphs, gap)
    for index in indices:
        if not group.takes(index):
            runs.append(group.finish(font_of))
            group = _Group(glyphs, gap)
        group.add(index)
    if group.indices:
        runs.append(group.finish(font_of))
    return [run for run in runs if not _is_ruby(run, glyphs.common) and run.text.strip(HYPHEN + "\u00ad")]


def _is_ruby(run: Run, common: float) -> bool:
    return run.size <= common * RUBY_SIZE and _KANA.fullmatch(run.text.replace(" ", "")) is not None


@dataclass(slots=True)
class _Group:
    """A run while it grows."""

    glyphs: Glyphs
    gap: float
    indices: list[int] = field(default_factory=list)
    parts: list[str] = field(default_factory=list)
    crossed: int = 0

    def takes(self, index: int) -> bool:
        """True if this glyph follows the last one without a gap."""
        if not self.indices:
            return True
        glyphs, last = self.glyphs, self.indices[-1]
        size, before = glyphs.size[index], glyphs.size[last]
        largest = max(size, before)
        rise = glyphs.y[index] - glyphs.y[last]
        if -0.3 * largest <= rise <= 0.3 * largest:
            if glyphs.x0[index] == glyphs.x0[last] and glyphs.x1[index] == glyphs.x1[last]:
                return True  # two letters that the font draws as one
            gap = glyphs.x0[index] - glyphs.x1[last]
            return -_OVERLAP * largest <= gap <= largest * self.gap and largest <= min(size, before) * 1.6
        if glyphs.vertical and 0 < rise <= largest * 1.3 and abs(glyphs.x0[index] - glyphs.x0[last]) < largest * 0.3:
            self.crossed += 1  # figures side by side in a vertical line, or a horizontal line of their own
            return True
        return False

    def add(self, index: int) -> None:
        glyphs = self.glyphs
        char, blank = glyphs.chars[index], glyphs.blank[index]
        if self.indices:
            last = self.indices[-1]
            gap = (glyphs.x0[index] - glyphs.x1[last]) / max(glyphs.size[index], 0.1)
            between = is_unspaced(char[0]) or is_unspaced(glyphs.chars[last][-1])
            if blank == VISIBLE_SPACE or (
                not between and gap > (_GUESSED_GAP if blank == GUESSED_SPACE else _WORD_GAP)
            ):
                self.parts.append(" ")
        self.parts.append(char)
        self.indices.append(index)

    def finish(self, font_of: FontOf) -> Run:
        glyphs, first = self.glyphs, self.indices[0]
        levels = [glyphs.y[index] for index in self.indices]
        size = Counter(round(glyphs.size[index], 2) for index in self.indices).most_common(1)[0][0]
        probes = {first, self.indices[len(self.indices) // 2], self.indices[-1]}
        fonts = [font_of(glyphs.index[index]) for index in probes]
        return Run(
            text="".join(self.parts),
            x0=min(glyphs.x0[index] for index in self.indices),
            x1=max(glyphs.x1[index] for index in self.indices),
            y=levels[0] if not self.crossed else sum(levels) / len(levels),
            size=size,
            order=first,
            low=min(levels) - size * BASELINE,
            high=max(levels) + size * (1 - BASELINE),
            bold=all(bold for bold, _ in fonts),
            mono=all(mono for _, mono in fonts),
            crossing=self.crossed > 3,
            space=glyphs.blank[first] == VISIBLE_SPACE,
        )


def lines_of(runs: Sequence[Run]) -> list[Line]:
    """Lines from top to bottom. A small run above or below the baseline (1st, H2O) belongs to the line it touches."""
    lines: list[Line] = []
    for run in sorted(runs, key=lambda run: (-run.size, -run.y)):
        home = None if run.crossing or run.table else _home(run, lines)
        if home is None:
            lines.append(Line([run], y=run.y, size=run.size))
        else:
            home.runs.append(run)
    for line in lines:
        _finish(line)
    return sorted(lines, key=lambda line: (-max(run.high for run in line.runs) if line.table else -line.y, line.x0))


def _home(run: Run, lines: Sequence[Line]) -> Line | None:
    """The line that this run stands on; of several, the nearest."""
    best, nearest = None, 0.0
    for line in lines:
        first = line.runs[0]
        if first.crossing or first.table:
            continue
        distance = abs(run.y - line.y)
        small = run.size < line.size * 0.85
        if distance > line.size * (0.6 if small else 0.3):
            continue
        beside = min((max(other.x0 - run.x1, run.x0 - other.x1) for other in line.runs), default=0.0)
        if beside < -_OVERLAP * run.size or (small and distance > line.size * 0.3 and beside > run.size * 1.5):
            continue
        if best is None or distance < nearest:
            best, nearest = line, distance
    return best


def _finish(line: Line) -> None:
    line.runs.sort(key=lambda run: run.x0)
    weight: Counter[float] = Counter()
    for run in line.runs:
        weight[run.size] += len(run.text)
    line.size = weight.most_common(1)[0][0]
    line.x0, line.x1 = line.runs[0].x0, max(run.x1 for run in line.runs)
    line.y = next(run.y for run in line.runs if run.size == line.size)
    line.bold = all(run.bold for run in line.runs)
    line.mono = all(run.mono for run in line.runs)
    spread = sum(1 for run in line.runs if len(run.text) == 1 and is_unspaced(run.text)) > 2
    text = line.runs[0].text
    for before, run in zip(line.runs, line.runs[1:], strict=False):
        text += _between(before, run, spread=spread) + run.text
    line.text = text


def _between(before: Run, after: Run, *, spread: bool) -> str:
    """A space or nothing; `spread` says that the letters of the line were moved apart to fill it."""
    gap = (after.x0 - before.x1) / max(min(before.size, after.size), 0.1)
    wide = is_unspaced(before.text[-1:] or " "), is_unspaced(after.text[:1] or " ")
    if gap > _WIDE_GAP:
        return "" if spread and all(wide) else " "
    if any(wide):
        return ""
    return " " if after.space or gap > _WORD_GAP else ""


def segments(line: Line, gap: float = 1.5) -> list[list[Run]]:
    """The line cut where the white between two runs is wider than so many sizes."""
    parts = [[line.runs[0]]]
    for before, run in zip(line.runs, line.runs[1:], strict=False):
        if run.x0 - before.x1 > gap * line.size:
            parts.append([])
        parts[-1].append(run)
    return parts


def join_text(first: str, second: str) -> str:
    """Two lines of one paragraph as one, a divided word put together again."""
    if first.endswith((HYPHEN, "\u00ad")):
        return first[:-1] + second.lstrip()
    if first.endswith(("-", "\u2010")) and first[-2:-1].isalnum() and second[:1].isalnum():
        return first + second
    return join_lines(first, second)


def joined(lines: Iterable[str]) -> str:
    """All of them as one paragraph."""
    text = ""
    for line in lines:
        text = join_text(text, line) if text else line
    return text
