"""PDF: text by pdfium's glyphs and an own layout; pages without text are counted, never silently passed over."""

import ctypes
import re
from collections.abc import Callable
from typing import BinaryIO

import pypdfium2
import pypdfium2.raw as pdfium

from appliance.errors import DamagedDocumentError, DocumentTooLargeError, LockedDocumentError
from appliance.knowledge.extract.contract import (
    PAGES_WITHOUT_TEXT,
    PARTLY_UNREADABLE,
    Extracted,
    ExtractLimits,
    Page,
    Progress,
    choose_title,
    too_many_pages,
)
from appliance.knowledge.extract.pdf_blocks import blocks_of, body_of, pieces_of
from appliance.knowledge.extract.pdf_glyphs import read_glyphs, turn_box
from appliance.knowledge.extract.pdf_rules import read_rules
from appliance.knowledge.extract.pdf_running import Sheet, drop_running
from appliance.knowledge.extract.pdf_runs import runs_of
from appliance.knowledge.extract.pdf_tables import as_run, find_tables

_SIDE_MAX = 14_400.0
"""The largest page that the format allows, in points."""
_PASSWORD = 4
_BOLD = re.compile(r"bold|heavy|black|-W[6-9]\b|-[DE]?B\b", re.IGNORECASE)
_MONO = re.compile(r"mono|nimbusmon|courier|consolas|menlo|typewriter|CM[A-Z]*TT|LMTT", re.IGNORECASE)
_FIXED_PITCH = 1
_NO_TITLE = re.compile(
    r"\(?(?:anonymous|untitled|unspecified|no title|無題|名称未設定)\)?|.*\.(?:docx?|xlsx?|pptx?|indd|ai|tex|jtd|odt)",
    re.IGNORECASE,
)
_MADE_BY = re.compile(r"^Microsoft (?:Word|PowerPoint|Excel) - ", re.IGNORECASE)


def extract_pdf(stream: BinaryIO, name: str, limits: ExtractLimits, progress: Progress) -> Extracted:
    """A PDF file.

    Raises:
        LockedDocumentError: it opens with a password only.
        DamagedDocumentError: pdfium can't make sense of it.
        DocumentTooLargeError: too many pages, or too much text.
    """
    document = _open(stream.read())
    try:
        count = len(document)
        if count > limits.pages:
            raise too_many_pages(limits)
        sheets: list[Sheet] = []
        unreadable = broken = size = 0
        for number in range(1, count + 1):
            progress(number - 1, count)
            try:
                sheet, missing = _read_page(document, number, limits)
            except pypdfium2.PdfiumError:
                broken += 1
                sheet, missing = Sheet(number, []), 0
            sheets.append(sheet)
            unreadable += missing
            size += sum(len(run.text) for run in sheet.runs)
            if size > limits.text_bytes:
                raise _too_much_text(limits)
        if broken and broken == count:
            raise DamagedDocumentError("no page can be loaded")
        title = _title(document)
    finally:
        document.close()
    return _assemble(sheets, title, name, unreadable)


def _open(data: bytes) -> pypdfium2.PdfDocument:
    try:
        return pypdfium2.PdfDocument(data)
    except pypdfium2.PdfiumError as error:
        if getattr(error, "err_code", None) == _PASSWORD:
            raise LockedDocumentError("password needed") from error
        raise DamagedDocumentError(f"pdfium {getattr(error, 'err_code', '?')}") from error


def _read_page(document: pypdfium2.PdfDocument, number: int, limits: ExtractLimits) -> tuple[Sheet, int]:
    """The page's runs and tables, and how many of its characters no font could name."""
    page = _with_forms(document, number)
    try:
        width, height = page.get_size()
        if not (0 < width <= _SIDE_MAX and 0 < height <= _SIDE_MAX):
            raise DamagedDocumentError("impossible page size")
        text_page = page.get_textpage()
        try:
            count = text_page.count_chars()
            if count > limits.text_bytes:
                raise _too_much_text(limits)
            glyphs = read_glyphs(text_page.raw, count)
            if not glyphs.chars:
                return Sheet(number, []), glyphs.unreadable
            font_of = _font_reader(text_page.raw)
            tables = [] if glyphs.vertical else find_tables(glyphs, read_rules(page.raw, glyphs.flow), font_of)
            taken = {index for table in tables for index in table.taken}
            free = [index for index in range(len(glyphs.chars)) if index not in taken]
            runs = runs_of(glyphs, free, font_of) + [as_run(table, glyphs) for table in tables]
        finally:
            text_page.close()
        left, bottom, right, top = turn_box(page.get_bbox(), glyphs.flow)
        low, high = (-right, -left) if glyphs.vertical else (bottom, top)
        return Sheet(number, runs, glyphs.common, glyphs.vertical, low, high), glyphs.unreadable
    finally:
        page.close()


def _with_forms(document: pypdfium2.PdfDocument, number: int) -> pypdfium2.PdfPage:
    """The page, what was filled into its form fields being part of it."""
    page = document[number - 1]
    if pdfium.FPDFPage_GetAnnotCount(page.raw) > 0:
        changed = pdfium.FPDFPage_Flatten(page.raw, pdfium.FLAT_NORMALDISPLAY) == pdfium.FLATTEN_SUCCESS
        if changed:
            page.close()
            page = document[number - 1]
    return page


def _font_reader(text_page: ctypes.c_void_p) -> Callable[[int], tuple[bool, bool]]:
    buffer = ctypes.create_string_buffer(128)
    flags = ctypes.c_int()

    def font_of(index: int) -> tuple[bool, bool]:
        length = pdfium.FPDFText_GetFontInfo(text_page, index, buffer, len(buffer), flags)
        name = buffer.value.decode("utf-8", "replace") if 0 < length <= len(buffer) else ""
        heavy = pdfium.FPDFText_GetFontWeight(text_page, index) >= 600
        mono = bool(flags.value & _FIXED_PITCH) or _MONO.search(name) is not None
        return heavy or _BOLD.search(name) is not None, mono

    return font_of


def _too_much_text(limits: ExtractLimits) -> DocumentTooLargeError:
    return DocumentTooLargeError("extracted text", limit=f"{limits.text_bytes >> 20} MB")


def _title(document: pypdfium2.PdfDocument) -> str:
    """What the file calls itself, unless its maker only put something there."""
    title = _MADE_BY.sub("", document.get_metadata_value("Title").strip("\x00 "))
    return "" if _NO_TITLE.fullmatch(title) else title


def _assemble(sheets: list[Sheet], title: str, name: str, unreadable: int) -> Extracted:
    drop_running(sheets)
    body = body_of(sheets)
    pages = blocks_of([pieces_of(sheet, body) for sheet in sheets], body)
    warnings = []
    if unreadable:
        warnings.append(f"{PARTLY_UNREADABLE}:{unreadable}")
    empty = sum(1 for sheet in sheets if not sheet.runs)
    if empty:
        warnings.append(f"{PAGES_WITHOUT_TEXT}:{empty}")
    blocks = [block for page in pages for block in page]
    numbered = tuple(Page(sheet.number, tuple(page)) for sheet, page in zip(sheets, pages, strict=True))
    return Extracted("pdf", choose_title([title], blocks, name), numbered, tuple(warnings))
