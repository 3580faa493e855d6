"""Reading order of a PDF page: columns found by the white between them, one zone after the other."""

from collections.abc import Sequence
from itertools import pairwise
from statistics import median
from typing import TypeAlias

from appliance.knowledge.extract.characters import is_unspaced
from appliance.knowledge.extract.pdf_runs import Run

Gap: TypeAlias = tuple[float, float]

_LINES_MIN = 4
"""A column has more than three lines."""
_DEPTH_MAX = 8
_FILLED = 0.7
_PROSE_WIDTH = 9.0


def zones_of(runs: Sequence[Run], em: float, depth: int = 0) -> list[list[Run]]:
    """The runs in groups, each to be read from top to bottom before the next."""
    if len(runs) < 3 or depth > _DEPTH_MAX:
        return [list(runs)] if runs else []
    bands = _bands(runs)
    bounds = (min(run.x0 for run in runs), max(run.x1 for run in runs))
    white = [gaps_of(band, bounds, em) for band in bands]
    zones: list[list[Run]] = []
    plain: list[Run] = []
    start = 0
    while start < len(bands):
        stop, gap = _longest(bands, white, start, em)
        if gap is None:
            plain.extend(bands[start])
            start += 1
            continue
        if plain:
            zones.append(plain)
            plain = []
        middle = (gap[0] + gap[1]) / 2
        section = [run for band in bands[start:stop] for run in band]
        for side in (
            [run for run in section if run.x1 <= middle],
            [run for run in section if run.x1 > middle],
        ):
            zones.extend(zones_of(side, em, depth + 1))
        start = stop
    if plain:
        zones.append(plain)
    return zones


def gaps_of(runs: Sequence[Run], bounds: Gap, width: float) -> list[Gap]:
    """The vertical stripes at least so wide that no run touches."""
    gaps: list[Gap] = []
    reached = bounds[0]
    for run in sorted(runs, key=lambda run: run.x0):
        if run.x0 - reached >= width:
            gaps.append((reached, run.x0))
        reached = max(reached, run.x1)
    if bounds[1] - reached >= width:
        gaps.append((reached, bounds[1]))
    return gaps


def overlap(first: Sequence[Gap], second: Sequence[Gap], width: float) -> list[Gap]:
    """What two lists of stripes have in common, if at least so wide."""
    common = []
    for low, high in first:
        for other_low, other_high in second:
            stripe = (max(low, other_low), min(high, other_high))
            if stripe[1] - stripe[0] >= width:
                common.append(stripe)
    return common


def _bands(runs: Sequence[Run]) -> list[list[Run]]:
    """Runs cut into horizontal bands, from the top, wherever white goes all the way across."""
    bands: list[list[Run]] = []
    floor = 0.0
    for run in sorted(runs, key=lambda run: -run.high):
        if not bands or run.high < floor:
            bands.append([])
            floor = run.low
        bands[-1].append(run)
        floor = min(floor, run.low)
    return bands


def _longest(
    bands: Sequence[Sequence[Run]], white: Sequence[Sequence[Gap]], start: int, em: float
) -> tuple[int, Gap | None]:
    """How far from `start` one white stripe goes that divides two columns, and the stripe."""
    common = list(white[start])
    ends: list[tuple[int, list[Gap]]] = []
    stop = start + 1
    while common and stop < len(bands):
        narrowed = overlap(common, white[stop], em)
        if len(narrowed) < len(common):  # a stripe ends here
            ends.append((stop, common))
        common = narrowed
        stop += 1
    if common:
        ends.append((len(bands), common))
    for end, gaps in reversed(ends):
        section = [run for band in bands[start:end] for run in band]
        divides = [gap for gap in gaps if _divides(section, gap)]
        if divides:
            return end, max(divides, key=lambda gap: gap[1] - gap[0])
    return start, None


def _divides(section: Sequence[Run], gap: Gap) -> bool:
    """True if the page itself treats the two sides as columns: by its order, or because both are running text."""
    middle = (gap[0] + gap[1]) / 2
    left, right = [run for run in section if run.x1 <= middle], [run for run in section if run.x1 > middle]
    if not left or not right:
        return False
    ordered = sorted(section, key=lambda run: run.order)
    sides = [run.x1 <= middle for run in ordered]
    changes = sum(1 for before, here in pairwise(sides) if before != here)
    lines = sorted((_lines_high(left), _lines_high(right)))
    first, second = (left, right) if sides[0] else (right, left)
    jumps_up = max(run.y for run in second) > min(run.y for run in first) + ordered[0].size
    if changes == 1 and lines[1] >= 2 and jumps_up:  # the page's own order
        return True
    if lines[0] < _LINES_MIN or not jumps_up:
        return False
    return changes <= lines[0] // 4 or (is_prose(left) and is_prose(right))


def _lines_high(runs: Sequence[Run]) -> int:
    """Lines of text; a table counts as many as would fit its height."""
    text = len({round(run.y) for run in runs if not run.table})
    return text + sum(int((run.high - run.low) / (run.size * 1.5)) for run in runs if run.table)


def is_prose(runs: Sequence[Run]) -> bool:
    """True for lines that mostly fill their width, which the cells of a table don't."""
    left, right = min(run.x0 for run in runs), max(run.x1 for run in runs)
    filled = [run for run in runs if run.x1 - run.x0 >= (right - left) * _FILLED]
    if len(filled) * 2 < len(runs):
        return False
    return median(_width(run) for run in filled) >= _PROSE_WIDTH


def _width(run: Run) -> float:
    """Characters, where three Latin letters count as one."""
    return sum(1.0 if is_unspaced(char) else 0.34 for char in run.text)
