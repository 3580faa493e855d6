"""Ruled lines of a PDF page, and the grids that they make."""

import ctypes
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pypdfium2.raw as pdfium

from appliance.knowledge.extract.pdf_glyphs import Box, turn_box

_THIN = 2.5
_NEAR = 3.0
"""Lines closer than this (points) are one; ends that miss each other by less meet."""
_LENGTH_MIN = 4.0
_OBJECTS_MAX = 20_000
_RULES_MAX = 1500
"""More of either is a drawing, not a table."""
_SEGMENTS_MAX = 200
_FORM_DEPTH = 4

Matrix = tuple[float, float, float, float, float, float]
_IDENTITY: Matrix = (1, 0, 0, 1, 0, 0)


@dataclass(frozen=True, slots=True)
class Rule:
    """A straight line along one axis: at `at`, from `start` to `end`."""

    at: float
    start: float
    end: float


@dataclass(frozen=True, slots=True)
class Rules:
    """All of a page."""

    horizontal: tuple[Rule, ...]
    vertical: tuple[Rule, ...]


@dataclass(frozen=True, slots=True)
class Grid:
    """Lines that touch each other: columns between `xs`, rows between `ys` (from the top)."""

    xs: tuple[float, ...]
    ys: tuple[float, ...]
    horizontal: tuple[Rule, ...]
    vertical: tuple[Rule, ...]


def read_rules(page: ctypes.c_void_p, flow: int) -> Rules:
    """The ruled lines of a page that is turned so that its text runs to the right."""
    horizontal: list[Rule] = []
    vertical: list[Rule] = []
    budget = _OBJECTS_MAX
    for box in _boxes(page):
        budget -= 1
        if budget < 0 or len(horizontal) > _RULES_MAX * 8 or len(vertical) > _RULES_MAX * 8:
            return Rules((), ())
        left, bottom, right, top = turn_box(box, flow)
        wide, high = right - left, top - bottom
        if high <= _THIN:
            if wide >= _LENGTH_MIN:
                horizontal.append(Rule((bottom + top) / 2, left, right))
        elif wide <= _THIN:
            if high >= _LENGTH_MIN:
                vertical.append(Rule((left + right) / 2, bottom, top))
        else:
            horizontal += [Rule(bottom, left, right), Rule(top, left, right)]
            vertical += [Rule(left, bottom, top), Rule(right, bottom, top)]
    rules = Rules(_merged(horizontal), _merged(vertical))
    return rules if len(rules.horizontal) + len(rules.vertical) <= _RULES_MAX else Rules((), ())


def grids_of(rules: Rules) -> list[Grid]:
    """Groups of lines that touch, with at least two columns and one row each, or the other way round."""
    grids: list[Grid] = []
    for horizontal, vertical in _groups(rules):
        if not horizontal or not vertical:
            continue
        xs = _places([rule.at for rule in vertical] + [edge for rule in horizontal for edge in (rule.start, rule.end)])
        ys = _places([rule.at for rule in horizontal] + [edge for rule in vertical for edge in (rule.start, rule.end)])
        if len(xs) >= 2 and len(ys) >= 2 and len(xs) + len(ys) >= 5:
            grids.append(Grid(tuple(xs), tuple(reversed(ys)), tuple(horizontal), tuple(vertical)))
    return grids


def stacks_of(rules: Rules) -> list[list[Rule]]:
    """Horizontal lines of the same extent above each other, each stack from the top, at least three lines."""
    stacks: list[list[Rule]] = []
    for rule in sorted(rules.horizontal, key=lambda rule: -rule.at):
        for stack in stacks:
            if abs(stack[0].start - rule.start) <= 2 * _NEAR and abs(stack[0].end - rule.end) <= 2 * _NEAR:
                stack.append(rule)
                break
        else:
            stacks.append([rule])
    return [stack for stack in stacks if len(stack) >= 3]


def _boxes(page: ctypes.c_void_p) -> Iterator[Box]:
    """Straight edges and rectangles that the page draws, as boxes, those inside forms included."""
    left, bottom, right, top = (ctypes.c_float() for _ in range(4))
    matrix = pdfium.FS_MATRIX()
    pending: list[tuple[ctypes.c_void_p, Matrix, int]] = []
    visited = number = 0
    total = pdfium.FPDFPage_CountObjects(page)
    while (pending or number < total) and visited <= _OBJECTS_MAX:
        if pending:
            item, outer, depth = pending.pop()
        else:
            item, outer, depth = pdfium.FPDFPage_GetObject(page, number), _IDENTITY, 0
            number += 1
        visited += 1
        kind = pdfium.FPDFPageObj_GetType(item)
        if kind == pdfium.FPDF_PAGEOBJ_FORM and depth < _FORM_DEPTH:
            pdfium.FPDFPageObj_GetMatrix(item, matrix)
            inner = _times(_values(matrix), outer)
            count = min(pdfium.FPDFFormObj_CountObjects(item), _OBJECTS_MAX)
            pending += [(pdfium.FPDFFormObj_GetObject(item, number), inner, depth + 1) for number in range(count)]
        elif kind == pdfium.FPDF_PAGEOBJ_PATH and _is_drawn(item):
            pdfium.FPDFPageObj_GetBounds(item, left, bottom, right, top)
            bounds = (left.value, bottom.value, right.value, top.value)
            if bounds[2] - bounds[0] <= _THIN or bounds[3] - bounds[1] <= _THIN:
                yield _turned(bounds, outer)
            else:
                pdfium.FPDFPageObj_GetMatrix(item, matrix)
                yield from _edges(item, _times(_values(matrix), outer))


def _is_drawn(path: ctypes.c_void_p) -> bool:
    fill, stroke = ctypes.c_int(), ctypes.c_int()
    pdfium.FPDFPath_GetDrawMode(path, fill, stroke)
    return bool(fill.value or stroke.value)


def _edges(path: ctypes.c_void_p, matrix: Matrix) -> Iterator[Box]:
    """The straight lines along an axis in a path that has some extent both ways."""
    count = pdfium.FPDFPath_CountSegments(path)
    if count > _SEGMENTS_MAX:
        return
    x, y = ctypes.c_float(), ctypes.c_float()
    start = last = (0.0, 0.0)
    for number in range(count):
        segment = pdfium.FPDFPath_GetPathSegment(path, number)
        pdfium.FPDFPathSegment_GetPoint(segment, x, y)
        point = _point(x.value, y.value, matrix)
        kind = pdfium.FPDFPathSegment_GetType(segment)
        if kind == pdfium.FPDF_SEGMENT_MOVETO:
            start = point
        elif kind == pdfium.FPDF_SEGMENT_LINETO:
            yield from _straight(last, point)
        last = point
        if pdfium.FPDFPathSegment_GetClose(segment):
            yield from _straight(last, start)
            last = start


def _straight(first: tuple[float, float], second: tuple[float, float]) -> Iterator[Box]:
    wide, high = abs(first[0] - second[0]), abs(first[1] - second[1])
    if min(wide, high) <= 0.5 and max(wide, high) >= _LENGTH_MIN:
        (left, right), (bottom, top) = sorted((first[0], second[0])), sorted((first[1], second[1]))
        yield left, bottom, right, top


def _values(matrix: "pdfium.FS_MATRIX") -> Matrix:
    return matrix.a, matrix.b, matrix.c, matrix.d, matrix.e, matrix.f


def _times(inner: Matrix, outer: Matrix) -> Matrix:
    a, b, c, d, e, f = inner
    g, h, i, j, k, m = outer
    return a * g + b * i, a * h + b * j, c * g + d * i, c * h + d * j, e * g + f * i + k, e * h + f * j + m


def _point(x: float, y: float, matrix: Matrix) -> tuple[float, float]:
    a, b, c, d, e, f = matrix
    return a * x + c * y + e, b * x + d * y + f


def _turned(box: Box, matrix: Matrix) -> Box:
    if matrix is _IDENTITY:
        return box
    (x0, y0), (x1, y1) = _point(box[0], box[1], matrix), _point(box[2], box[3], matrix)
    return min(x0, x1), min(y0, y1), max(x0, x1), max(y0, y1)


def _merged(rules: Sequence[Rule]) -> tuple[Rule, ...]:
    """Pieces of one line as one: cells are often drawn each for itself."""
    merged: list[Rule] = []
    group: list[Rule] = []
    for rule in [*sorted(rules, key=lambda rule: rule.at), None]:
        if group and (rule is None or rule.at - group[0].at > _NEAR):
            at = sum(piece.at for piece in group) / len(group)
            start, end = None, 0.0
            for piece in sorted(group, key=lambda piece: piece.start):
                if start is None:
                    start, end = piece.start, piece.end
                elif piece.start <= end + _NEAR:
                    end = max(end, piece.end)
                else:
                    merged.append(Rule(at, start, end))
                    start, end = piece.start, piece.end
            if start is not None:
                merged.append(Rule(at, start, end))
            group = []
        if rule is not None:
            group.append(rule)
    return tuple(merged)


def _groups(rules: Rules) -> list[tuple[list[Rule], list[Rule]]]:
    """Lines that reach each other, directly or through others."""
    lines = [(True, rule) for rule in rules.horizontal] + [(False, rule) for rule in rules.vertical]
    parent = list(range(len(lines)))

    def root(place: int) -> int:
        while parent[place] != place:
            parent[place] = parent[parent[place]]
            place = parent[place]
        return place

    for first, across in enumerate(rules.horizontal):
        for second, down in enumerate(rules.vertical, len(rules.horizontal)):
            meets = across.start - _NEAR <= down.at <= across.end + _NEAR
            if meets and down.start - _NEAR <= across.at <= down.end + _NEAR:
                parent[root(second)] = root(first)
    groups: dict[int, tuple[list[Rule], list[Rule]]] = {}
    for place, (is_horizontal, rule) in enumerate(lines):
        groups.setdefault(root(place), ([], []))[0 if is_horizontal else 1].append(rule)
    return list(groups.values())


def _places(values: Sequence[float]) -> list[float]:
    """The values in order, those nearer than two lines can be taken together."""
    places: list[float] = []
    for value in sorted(values):
        if not places or value - places[-1] > 1.5 * _NEAR:
            places.append(value)
    return places
