"""Tables of HTML as rows: spans filled, tables that only lay out a page told apart."""

import re
from collections.abc import Iterator

from selectolax.lexbor import LexborNode

from appliance.knowledge.extract.characters import tidy
from appliance.knowledge.extract.contract import table_row

_SPAN_MAX = 100
_BREAKS = re.compile(r"\s+")


def is_layout(table: LexborNode) -> bool:
    """True for a table that holds the page's structure and no data: other tables, or one single cell."""
    attributes = table.attributes
    if attributes.get("role") in ("presentation", "none"):
        return True
    if len(table.css("table")) > 1 or table.css_first("h1,h2,h3") is not None:
        return True
    return len(table.css("td,th")) <= 1


def table_rows(table: LexborNode) -> list[str]:
    """The rows in order; a cell over several columns or rows fills the first and leaves the others blank."""
    rows: list[str] = []
    below: dict[int, int] = {}
    for row in table.css("tr"):
        cells: list[str] = []
        for cell in _cells(row):
            _fill_from_above(cells, below)
            for ruby in cell.css("rt, rp, script, style"):
                ruby.decompose()
            columns, deep = _span(cell, "colspan"), _span(cell, "rowspan")
            place = len(cells)
            cells.append(tidy(_BREAKS.sub(" ", cell.text(separator=" ") or "")))
            cells.extend("" for _ in range(columns - 1))
            if deep > 1:
                below.update({place + offset: deep for offset in range(columns)})
        _fill_from_above(cells, below)
        below = {place: left - 1 for place, left in below.items() if left > 1}
        if any(cells):
            rows.append(table_row(cells))
    return rows


def _cells(row: LexborNode) -> Iterator[LexborNode]:
    node = row.first_child
    while node is not None:
        if node.tag in ("td", "th"):
            yield node
        node = node.next


def _fill_from_above(cells: list[str], below: dict[int, int]) -> None:
    """Blanks where a cell of an earlier row reaches down; `below` counts this row's rest too."""
    while below.get(len(cells), 0) > 0 and len(cells) < _SPAN_MAX * 10:
        cells.append("")


def _span(cell: LexborNode, name: str) -> int:
    value = cell.attributes.get(name) or "1"
    return min(max(int(value), 1), _SPAN_MAX) if value.isdigit() and len(value) < 5 else 1
