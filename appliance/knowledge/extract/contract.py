"""What every reader of documents takes and gives: limits in, pages of blocks out."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias, get_args

from appliance.errors import DocumentTooLargeError, EmptyDocumentError

BlockKind: TypeAlias = Literal["heading", "paragraph", "list", "table", "code"]
Format: TypeAlias = Literal["pdf", "docx", "md", "html", "txt", "csv"]
Progress: TypeAlias = Callable[[int, int], None]
"""Called with (done, total) in units of the reader's choice."""

BLOCK_KINDS: frozenset[str] = frozenset(get_args(BlockKind))
FORMATS: frozenset[str] = frozenset(get_args(Format))
TITLE_CHARACTERS = 300
WARNINGS_MAX = 20

# Warnings: stable codes, some with a count after a colon.
PARTLY_UNREADABLE = "characters-unreadable"
PAGES_WITHOUT_TEXT = "pages-without-text"
FIELDS_UNBALANCED = "csv-quotes-unbalanced"


@dataclass(frozen=True, slots=True)
class Block:
    """One heading, paragraph, list, table (rows as `| a | b |`) or piece of code."""

    kind: BlockKind
    text: str
    level: int = 0
    """Of a heading, 1 to 6; else 0."""


@dataclass(frozen=True, slots=True)
class Page:
    """A page of a paged format, else a section; numbered from 1."""

    number: int
    blocks: tuple[Block, ...]


@dataclass(frozen=True, slots=True)
class Extracted:
    """A whole document as text."""

    format: Format
    title: str
    pages: tuple[Page, ...]
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ExtractLimits:
    """What one document may cost. Over any of them it is refused, never silently cut."""

    pages: int = 5000
    text_bytes: int = 50 << 20
    member_bytes: int = 100 << 20
    """One unpacked file inside an archive."""
    columns: int = 1000
    """Of a table in a CSV file."""


def ensure_text(document: Extracted, limits: ExtractLimits) -> Extracted:
    """The document itself if it has text and stays inside the limits.

    Raises:
        EmptyDocumentError: not one character that a reader could see.
        DocumentTooLargeError: too many pages or too much text.
    """
    if len(document.pages) > limits.pages:
        raise too_many_pages(limits)
    size = 0
    for page in document.pages:
        size += sum(len(block.text.encode("utf-8", "replace")) for block in page.blocks)
        if size > limits.text_bytes:
            raise DocumentTooLargeError("extracted text", limit=f"{limits.text_bytes >> 20} MB")
    if size == 0:
        raise EmptyDocumentError(document.format)
    return replace(document, title=document.title[:TITLE_CHARACTERS], warnings=document.warnings[:WARNINGS_MAX])


def too_many_pages(limits: ExtractLimits) -> DocumentTooLargeError:
    """The error for a document with more pages than allowed."""
    return DocumentTooLargeError("pages", limit=f"{limits.pages} p.")


def table_row(cells: Sequence[str]) -> str:
    """One row of a table block: line breaks become spaces, bars inside a cell are escaped."""
    return "| " + " | ".join(" ".join(cell.split()).replace("|", "\\|") for cell in cells) + " |"


def choose_title(candidates: Sequence[str], blocks: Sequence[Block], name: str) -> str:
    """The first usable of: what the document calls itself, its first top heading, its file name."""
    for candidate in candidates:
        title = " ".join(candidate.split())
        if title and "\ufffd" not in title:
            return title
    for block in blocks:
        if block.kind == "heading" and block.level <= 2:
            return " ".join(block.text.split())
    stem, _, extension = name.rpartition(".")
    return stem if stem and len(extension) <= 8 else name
