"""What a PDF repeats on its pages: running heads and feet, page numbers; found and left out."""

import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from appliance.knowledge.extract.pdf_runs import Run

_MARGIN = 0.12
"""Share of a page's height, at the top and at the bottom, where such lines stand."""
_STEP = 4.0
_PAGE_NUMBER = re.compile(
    r"[\s\-‐–—―・.(（\[【<〈《~〜|]*(?:p(?:age)?\.?\s*|第\s*)?([0-9０-９]{1,4}|[ivxl]{1,6})"
    r"(?:\s*(?:/|／|of)\s*[0-9０-９]{1,4}|\s*(?:ページ|頁))?[\s\-‐–—―・.)）\]】>〉》~〜|]*",
    re.IGNORECASE,
)


@dataclass(slots=True)
class Sheet:
    """A page before its lines are joined."""

    number: int
    runs: list[Run]
    em: float = 10.0
    """The commonest size of its glyphs."""
    vertical: bool = False
    low: float = 0.0
    """Where the page ends and starts, as a reader sees it."""
    high: float = 0.0

    def height(self, run: Run) -> float:
        """How far up the page a run stands, as a reader sees it."""
        return -run.x0 if self.vertical else run.y

    def offset(self, run: Run) -> float:
        """How far to the right it stands."""
        return run.y if self.vertical else run.x0


def drop_running(sheets: Sequence[Sheet]) -> None:
    """Take heads, feet and page numbers out of the sheets."""
    marginal = [[run for run in sheet.runs if _is_marginal(sheet, run)] for sheet in sheets]
    dropped = _repeated(sheets, marginal) | _page_numbers(sheets, marginal)
    for sheet in sheets:
        sheet.runs = [run for run in sheet.runs if id(run) not in dropped]


def _is_marginal(sheet: Sheet, run: Run) -> bool:
    if run.table or sheet.high <= sheet.low:
        return False
    share = (sheet.height(run) - sheet.low) / (sheet.high - sheet.low)
    return share <= _MARGIN or share >= 1 - _MARGIN


def _repeated(sheets: Sequence[Sheet], marginal: Sequence[Sequence[Run]]) -> set[int]:
    """Runs of the same words at the same place of most pages, or of every second one."""
    places: dict[tuple[str, int, int], list[tuple[int, Run]]] = defaultdict(list)
    for sheet, runs in zip(sheets, marginal, strict=True):
        for run in runs:
            # Neighbouring steps overlap: a place just beside the border of one is the same place.
            across, up = int(sheet.offset(run) // _STEP), int(sheet.height(run) // _STEP)
            for step in ((across, up), (across, up + 1), (across + 1, up), (across + 1, up + 1)):
                places[run.text.strip(), *step].append((sheet.number, run))
    dropped: set[int] = set()
    for found in places.values():
        if _is_running({number for number, _ in found}, len(sheets)):
            dropped.update(id(run) for _, run in found)
    return dropped


def _is_running(numbers: set[int], pages: int) -> bool:
    count, span = len(numbers), max(numbers) - min(numbers) + 1
    if count < 3:
        return False
    if count * 2 >= pages:
        return True
    one_side = len({number % 2 for number in numbers}) == 1
    return (one_side and count * 4 >= pages) or (count >= 4 and count * 2 >= span)


def _page_numbers(sheets: Sequence[Sheet], marginal: Sequence[Sequence[Run]]) -> set[int]:
    """Numbers that grow with the pages."""
    found: list[tuple[int | None, Run]] = []
    for sheet, runs in zip(sheets, marginal, strict=True):
        for run in runs:
            match = _PAGE_NUMBER.fullmatch(run.text.strip())
            if match:
                found.append((int(match[1]) - sheet.number if match[1].isdecimal() else None, run))
    offsets = Counter(offset for offset, _ in found)
    needed = 2 if len(sheets) <= 4 else max(3, len(sheets) // 10)
    return {id(run) for offset, run in found if offsets[offset] >= needed}
