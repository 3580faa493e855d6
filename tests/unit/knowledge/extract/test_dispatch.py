"""The door to all readers: the right one, and only errors that a user can be told."""

import io
from typing import BinaryIO

import pytest

from appliance.errors import CancelledError, DamagedDocumentError, DocumentTooLargeError
from appliance.knowledge.extract import dispatch
from appliance.knowledge.extract.contract import Extracted, ExtractLimits, Progress
from tests.simulators.documents import Words, make_docx, make_pdf, paragraph, read


@pytest.mark.parametrize(
    ("data", "name", "expected"),
    [
        (make_pdf([[Words("本文", 50, 700)]]), "a.pdf", "pdf"),
        (make_docx(paragraph("本文")), "a.docx", "docx"),
        ("<html><p>本文".encode(), "a.html", "html"),
        ("本文".encode(), "a.md", "md"),
        ("本文".encode(), "a.csv", "csv"),
        ("本文".encode(), "a.txt", "txt"),
    ],
)
def test_each_kind_finds_its_reader(data: bytes, name: str, expected: str) -> None:
    document = read(data, name)
    assert document.format == expected
    assert "本文" in document.pages[0].blocks[0].text


def test_more_text_than_allowed_is_refused() -> None:
    with pytest.raises(DocumentTooLargeError):
        read(b"word " * 1000, "a.txt", ExtractLimits(text_bytes=1000))


@pytest.mark.parametrize("trouble", [RecursionError(), ValueError("本文"), KeyError("本文")])
def test_a_reader_that_stumbles_blames_the_file_without_quoting_it(
    monkeypatch: pytest.MonkeyPatch, trouble: Exception
) -> None:
    def stumble(_stream: BinaryIO, _name: str, _limits: ExtractLimits, _progress: Progress) -> Extracted:
        raise trouble

    monkeypatch.setattr(dispatch, "extract_pdf", stumble)
    with pytest.raises(DamagedDocumentError) as caught:
        read(make_pdf([[]]), "a.pdf")
    assert "本文" not in str(caught.value)


def test_cancelling_from_the_progress_passes_through() -> None:
    def cancel(_done: int, _total: int) -> None:
        raise CancelledError

    with pytest.raises(CancelledError):
        dispatch.extract(io.BytesIO(make_pdf([[]])), "a.pdf", ExtractLimits(), cancel)


def test_running_out_of_memory_is_not_taken_for_damage(monkeypatch: pytest.MonkeyPatch) -> None:
    def swell(_stream: BinaryIO, _name: str, _limits: ExtractLimits, _progress: Progress) -> Extracted:
        raise MemoryError

    monkeypatch.setattr(dispatch, "extract_pdf", swell)
    with pytest.raises(MemoryError):
        read(make_pdf([[]]), "a.pdf")
