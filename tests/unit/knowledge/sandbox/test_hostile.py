"""Hostile documents through the real reader: each ends in a reason, and the next document is read."""

import pytest

from appliance.errors import (
    BombDocumentError,
    DamagedDocumentError,
    DocumentError,
    DocumentTooLargeError,
    EmptyDocumentError,
    LockedDocumentError,
)
from appliance.knowledge.sandbox.reader import DocumentReader
from tests.simulators import documents
from tests.simulators.documents import Words, filling, make_pdf, shapes

GOOD = make_pdf([[Words("open", 50, 700, font="sans")]])
TOO_LARGE, DAMAGED, EMPTY = DocumentTooLargeError, DamagedDocumentError, EmptyDocumentError


@pytest.mark.parametrize(
    ("data", "name", "expected"),
    [
        (documents.pdf_flate_bomb(), "a.pdf", (TOO_LARGE, DAMAGED)),
        (documents.pdf_flate_bomb(1 << 30), "a.pdf", (TOO_LARGE, DAMAGED)),
        (documents.pdf_page_cycle(), "a.pdf", (DAMAGED,)),
        (documents.pdf_forms(), "a.pdf", (TOO_LARGE, DAMAGED)),
        (documents.pdf_deep_array(), "a.pdf", (EMPTY, DAMAGED)),
        (documents.pdf_many_words(3_000_000), "a.pdf", (TOO_LARGE,)),
        (documents.pdf_many_pages(200_000), "a.pdf", (TOO_LARGE,)),
        (documents.pdf_claims_pages(200_000), "a.pdf", (TOO_LARGE,)),
        (documents.without_index(GOOD), "a.pdf", (DAMAGED,)),
        (GOOD[: len(GOOD) // 2], "a.pdf", (DAMAGED,)),
        (make_pdf([[]], password="open sesame"), "a.pdf", (LockedDocumentError,)),
        (documents.docx_bomb(), "a.docx", (BombDocumentError,)),
        (b"[" * 2_000, "a.md", ()),
        (b"<div>" * 100_000 + b"x", "a.html", ()),
        (b'"' + b"a," * 3_000_000, "a.csv", (TOO_LARGE, DAMAGED)),
    ],
    ids=[
        "flate-8g", "flate-1g", "cycle", "forms", "deep-array", "words", "pages", "claim", "no-index", "half", "locked",
        "docx-bomb", "md-brackets", "html-depth", "csv-quote",
    ],
)  # fmt: skip
def test_a_hostile_document_ends_in_a_reason(
    reader: DocumentReader, data: bytes, name: str, expected: tuple[type[DocumentError], ...]
) -> None:
    def read() -> None:
        reader.read(filling(data), name, lambda _done, _total: None)

    if expected:
        with pytest.raises(DocumentError) as caught:
            read()
        assert type(caught.value) in expected
    else:
        read()
    good = reader.read(filling(GOOD), "b.pdf", lambda _done, _total: None)
    assert shapes(good) == [("paragraph", "open")]
