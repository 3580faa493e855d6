"""CSV and TSV: own guess of the separator, 50 rows a page, the header repeated on each."""

import csv
import io
from collections import Counter
from collections.abc import Iterator

from appliance.errors import DamagedDocumentError, DocumentTooLargeError
from appliance.knowledge.extract.characters import repair
from appliance.knowledge.extract.contract import (
    FIELDS_UNBALANCED,
    PARTLY_UNREADABLE,
    Block,
    Extracted,
    ExtractLimits,
    Page,
    Progress,
    choose_title,
    table_row,
    too_many_pages,
)
from appliance.knowledge.extract.encodings import Decoded

ROWS_PER_PAGE = 50
_FIELD_CHARACTERS = 1 << 20
_SEPARATORS = ",\t;|"


def extract_csv(decoded: Decoded, name: str, limits: ExtractLimits, progress: Progress) -> Extracted:
    """A table of separated values."""
    text = repair(decoded.text)
    separator = _separator(text)
    warnings = [f"{PARTLY_UNREADABLE}:{decoded.unreadable}"] if decoded.unreadable else []
    quoted = text.count('"') % 2 == 0
    if not quoted:  # an opening quote that never closes would swallow the rest of the file
        warnings.append(FIELDS_UNBALANCED)
    try:
        rows = _rows(text, separator, csv.QUOTE_MINIMAL if quoted else csv.QUOTE_NONE)
        pages = _pages(rows, limits, progress, len(text))
    except csv.Error as error:
        raise DamagedDocumentError(f"csv: {error}") from error
    return Extracted("csv", choose_title([], [], name), pages, tuple(warnings))


def _separator(text: str) -> str:
    """The one that cuts the first lines into the same number of fields most often."""
    lines = [line for line in text[:65536].split("\n")[:50] if line.strip()]
    best, best_score = ",", 0.0
    for separator in _SEPARATORS:
        counts = Counter(line.count(separator) for line in lines if separator in line)
        if counts:
            columns, agreeing = counts.most_common(1)[0]
            score = agreeing / len(lines) + min(columns, 20) / 100
            if score > best_score:
                best, best_score = separator, score
    return best


def _rows(text: str, separator: str, quoting: int) -> Iterator[list[str]]:
    csv.field_size_limit(_FIELD_CHARACTERS)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, quoting=quoting)  # type: ignore[arg-type]
    for row in reader:
        if any(cell.strip() for cell in row):
            yield row


def _pages(rows: Iterator[list[str]], limits: ExtractLimits, progress: Progress, total: int) -> tuple[Page, ...]:
    pages: list[Page] = []
    header = ""
    lines: list[str] = []
    done = 0
    for row in rows:
        if len(row) > limits.columns:
            raise DocumentTooLargeError("csv columns", limit=f"{limits.columns} col.")
        done += sum(map(len, row)) + len(row)
        line = table_row(row)
        if not header:
            header = line
        else:
            lines.append(line)
        if len(lines) == ROWS_PER_PAGE:
            if len(pages) >= limits.pages:
                raise too_many_pages(limits)
            pages.append(_page(len(pages) + 1, header, lines))
            lines = []
            progress(min(done, total), total)
    if lines or (header and not pages):
        pages.append(_page(len(pages) + 1, header, lines))
    return tuple(pages)


def _page(number: int, header: str, lines: list[str]) -> Page:
    return Page(number, (Block("table", "\n".join([header, *lines])),))
