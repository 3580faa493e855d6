"""Tables of a PDF page as rows of cells: inside grids, between horizontal lines, and by aligned white alone."""

from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from appliance.knowledge.extract.characters import tidy
from appliance.knowledge.extract.contract import table_row
from appliance.knowledge.extract.pdf_columns import Gap, gaps_of, is_prose, overlap
from appliance.knowledge.extract.pdf_glyphs import BASELINE, Glyphs
from appliance.knowledge.extract.pdf_rules import Grid, Rule, Rules, grids_of, stacks_of
from appliance.knowledge.extract.pdf_runs import FontOf, Line, Run, joined, lines_of, runs_of, segments

_FILLED_MIN = 0.3
_COLUMN_GAP = 0.6
_ALIGNED_MIN = 3
_CELLS_MAX = 20_000
_HEADING_SIZE = 1.2
"""Larger than this share of the usual size is no cell of a table that only white divides."""


@dataclass(frozen=True, slots=True)
class Table:
    """Rows and where they stand; `taken` are the glyphs inside."""

    rows: tuple[str, ...]
    box: tuple[float, float, float, float]
    taken: tuple[int, ...]


def find_tables(glyphs: Glyphs, rules: Rules, font_of: FontOf) -> list[Table]:
    """The tables that lines show."""
    tables: list[Table] = []
    free = set(range(len(glyphs.chars)))
    stacks = stacks_of(rules)
    grids = [grid for grid in grids_of(rules) if not _is_stripe(grid, stacks)]
    for grid in sorted(grids, key=lambda grid: -(grid.xs[-1] - grid.xs[0]) * (grid.ys[0] - grid.ys[-1])):
        table = _gridded(glyphs, grid, free, font_of)
        if table is not None:
            tables.append(table)
            free.difference_update(table.taken)
    for stack in stacks:
        for table in _stacked(glyphs, stack, free, font_of):
            tables.append(table)
            free.difference_update(table.taken)
    return tables


def _is_stripe(grid: Grid, stacks: Sequence[Sequence[Rule]]) -> bool:
    """True for one shaded row of a table whose other rows have no lines."""
    if len(grid.ys) > 2:
        return False
    top = grid.horizontal[0]
    return any(len(stack) > 3 and top in stack for stack in stacks)


def as_run(table: Table, glyphs: Glyphs) -> Run:
    """A table as something that has its place among the lines."""
    left, bottom, right, top = table.box
    return Run("", left, right, top, glyphs.common, min(table.taken), bottom, top, table=table.rows)


def _inside(
    glyphs: Glyphs, free: set[int], box: tuple[float, float, float, float]
) -> Iterator[tuple[int, float, float]]:
    """Glyphs whose middle lies in the box, in order, with that middle."""
    left, bottom, right, top = box
    for index in sorted(free):
        y = glyphs.y[index] + glyphs.size[index] * (0.5 - BASELINE)
        if bottom <= y <= top:
            x = (glyphs.x0[index] + glyphs.x1[index]) / 2
            if left <= x <= right:
                yield index, x, y


def _gridded(glyphs: Glyphs, grid: Grid, free: set[int], font_of: FontOf) -> Table | None:
    xs, ys = grid.xs, grid.ys
    columns, rows = len(xs) - 1, len(ys) - 1
    if columns * rows > _CELLS_MAX:
        return None
    box = (xs[0], ys[-1], xs[-1], ys[0])
    down = [-y for y in ys]
    inside = list(_inside(glyphs, free, box))
    if columns == 1:  # shaded rows, say: the columns follow from the white between them
        whole = [index for index, _, _ in inside]
        return _banded(glyphs, whole, [*ys], (xs[0], xs[-1]), font_of)
    home = _merged_cells(grid)
    cells: dict[tuple[int, int], list[int]] = defaultdict(list)
    for index, x, y in inside:
        column = min(max(bisect_right(xs, x) - 1, 0), columns - 1)
        row = min(max(bisect_right(down, -y) - 1, 0), rows - 1)
        cells[home[row * columns + column]].append(index)
    wholes = len(set(home))
    if len(cells) < 2 or len(cells) < wholes * _FILLED_MIN:
        return None
    texts = [
        [_cell_text(glyphs, cells.get((row, column), []), font_of) for column in range(columns)] for row in range(rows)
    ]
    return _table(texts, box, [index for index, _, _ in inside])


def _merged_cells(grid: Grid) -> list[tuple[int, int]]:
    """For each cell of the grid, row by row, the first cell of the larger one that it is part of."""
    columns, rows = len(grid.xs) - 1, len(grid.ys) - 1
    parent = list(range(columns * rows))

    def root(place: int) -> int:
        while parent[place] != place:
            parent[place] = parent[parent[place]]
            place = parent[place]
        return place

    for row in range(rows):
        for column in range(columns):
            here = row * columns + column
            if column + 1 < columns and not _covers(grid.vertical, grid.xs[column + 1], grid.ys[row + 1], grid.ys[row]):
                parent[max(root(here), root(here + 1))] = min(root(here), root(here + 1))
            if row + 1 < rows and not _covers(grid.horizontal, grid.ys[row + 1], grid.xs[column], grid.xs[column + 1]):
                parent[max(root(here), root(here + columns))] = min(root(here), root(here + columns))
    return [divmod(root(place), columns) for place in range(columns * rows)]


def _covers(rules: Sequence[Rule], at: float, low: float, high: float) -> bool:
    """True if lines at that place run along more than half of the stretch."""
    length = sum(max(min(rule.end, high) - max(rule.start, low), 0.0) for rule in rules if abs(rule.at - at) <= 4.6)
    return length > (high - low) * 0.5


def _cell_text(glyphs: Glyphs, indices: Sequence[int], font_of: FontOf) -> str:
    return tidy(joined(line.text for line in lines_of(runs_of(glyphs, indices, font_of)))) if indices else ""


def _table(
    texts: Sequence[Sequence[str]], box: tuple[float, float, float, float], taken: Sequence[int]
) -> Table | None:
    """Rows and columns that hold nothing are left out; what then is one column, or one line of two, is no table."""
    used = [column for column in range(len(texts[0])) if any(row[column] for row in texts)] if texts else []
    rows = [[row[column] for column in used] for row in texts if any(row)]
    if len(used) < 2 or len(rows) + len(used) < 4:
        return None
    return Table(tuple(table_row(row) for row in rows), box, tuple(taken))


def _stacked(glyphs: Glyphs, stack: Sequence[Rule], free: set[int], font_of: FontOf) -> Iterator[Table]:
    """Tables between horizontal lines: runs of bands that share a white stripe."""
    left, right = stack[0].start - 2, stack[0].end + 2
    levels = [-rule.at for rule in stack]
    bands: list[list[int]] = [[] for _ in stack[1:]]
    for index, _, y in _inside(glyphs, free, (left, stack[-1].at, right, stack[0].at)):
        bands[min(max(bisect_right(levels, -y) - 1, 0), len(bands) - 1)].append(index)
    runs = [runs_of(glyphs, band, font_of, _COLUMN_GAP) for band in bands]
    start = 0
    while start < len(bands):
        stop, common = start, [(left, right)]
        while stop < len(bands):
            white = gaps_of(runs[stop], (left, right), glyphs.common * _COLUMN_GAP)
            narrowed = overlap(common, white, glyphs.common * _COLUMN_GAP) if runs[stop] else common
            between = any(run.size > glyphs.common * _HEADING_SIZE for run in runs[stop])
            if between or not _inner(narrowed, [run for band in runs[start : stop + 1] for run in band]):
                break
            common, stop = narrowed, stop + 1
        if stop - start >= 2:
            taken = [index for band in bands[start:stop] for index in band]
            edges = [rule.at for rule in stack[start : stop + 1]]
            table = _banded(glyphs, sorted(taken), edges, (left, right), font_of)
            if table is not None:
                yield table
        start = max(stop, start + 1)


def _inner(gaps: Sequence[Gap], runs: Sequence[Run]) -> list[Gap]:
    """The stripes that have text on both sides."""
    return [
        gap
        for gap in gaps
        if any(run.x1 <= gap[0] + 0.1 for run in runs) and any(run.x0 >= gap[1] - 0.1 for run in runs)
    ]


def _banded(glyphs: Glyphs, taken: Sequence[int], edges: Sequence[float], bounds: Gap, font_of: FontOf) -> Table | None:
    """A table whose columns only white divides: one row a band, or one a line where bands hold many."""
    runs = runs_of(glyphs, taken, font_of, _COLUMN_GAP)
    if not runs:
        return None
    em = glyphs.common
    gaps = _inner(gaps_of(runs, bounds, em * _COLUMN_GAP), runs)
    cuts = [(low + high) / 2 for low, high in gaps]
    if not cuts or _is_text(runs, cuts):
        return None
    levels = [-edge for edge in edges]
    bands: dict[int, list[Run]] = defaultdict(list)
    for run in runs:
        bands[bisect_right(levels, -(run.y + run.size * 0.3))].append(run)
    many = max(len({round(run.y) for run in band}) for band in bands.values()) > 3 and len(bands) <= 3
    texts: list[list[str]] = []
    for _, band in sorted(bands.items()):
        lines = lines_of(band)
        for group in [[line] for line in lines] if many else [lines]:
            row = _row([run for line in group for run in line.runs], cuts)
            if many and texts and not row[0]:  # goes on from the line above
                texts[-1] = [
                    joined([old, new]) if old and new else old or new for old, new in zip(texts[-1], row, strict=True)
                ]
            else:
                texts.append(row)
    return _table(texts, (bounds[0], min(edges), bounds[1], max(edges)), taken)


def _row(runs: Sequence[Run], cuts: Sequence[float]) -> list[str]:
    cells: list[list[Run]] = [[] for _ in range(len(cuts) + 1)]
    for run in runs:
        cells[bisect_right(cuts, (run.x0 + run.x1) / 2)].append(run)
    return [tidy(joined(line.text for line in lines_of(cell))) if cell else "" for cell in cells]


def _is_text(runs: Sequence[Run], cuts: Sequence[float]) -> bool:
    """True for columns of running text that happen to stand between two lines."""
    sides: dict[int, list[Run]] = defaultdict(list)
    for run in runs:
        sides[bisect_right(cuts, (run.x0 + run.x1) / 2)].append(run)
    return all(len(side) >= 4 and is_prose(side) for side in sides.values())


def aligned_rows(lines: Sequence[Line], em: float) -> Iterator[tuple[list[Line], tuple[str, ...]]]:
    """Stretches of lines; with rows where at least three in a row share the white between their cells."""
    start = 0
    while start < len(lines):
        stop, common = start, None
        while stop < len(lines) and not lines[stop].table and len(segments(lines[stop])) > 1:
            white = gaps_of(lines[stop].runs, (lines[stop].x0, lines[stop].x1), em * _COLUMN_GAP)
            narrowed = white if common is None else overlap(common, white, em * _COLUMN_GAP)
            if not narrowed:
                break
            common, stop = narrowed, stop + 1
        if stop - start >= _ALIGNED_MIN and common and _regular(lines[start:stop]):
            cuts = [(low + high) / 2 for low, high in common]
            yield list(lines[start:stop]), tuple(table_row(_row(line.runs, cuts)) for line in lines[start:stop])
            start = stop
        else:
            yield [lines[start]], ()
            start += 1


def _regular(lines: Sequence[Line]) -> bool:
    """Most lines have the same number of cells."""
    counts = Counter(len(segments(line)) for line in lines)
    return counts.most_common(1)[0][1] * 2 >= len(lines)
