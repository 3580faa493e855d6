"""What a document really is."""

import io

import pytest

from appliance.errors import DamagedDocumentError, EmptyDocumentError, LockedDocumentError, UnknownFormatError
from appliance.knowledge.extract.sniff import ending, sniff
from tests.simulators.documents import make_docx, make_pdf, paragraph


def kind(data: bytes, name: str) -> str:
    return sniff(io.BytesIO(data), name)[0]


@pytest.mark.parametrize(
    ("data", "name", "expected"),
    [
        (make_pdf([[]]), "report.txt", "pdf"),
        (b"\n\n" + make_pdf([[]]), "report", "pdf"),
        (make_docx(paragraph("x")), "report.pdf", "docx"),
        (b"<!DOCTYPE html><p>x", "page", "html"),
        (b"<?xml version='1.0'?><!-- c --><html><p>x", "page.txt", "html"),
        (b"# a", "a.MD", "md"),
        (b"a,b", "a.csv", "csv"),
        (b"a\tb", "a.tsv", "csv"),
        (b"text", "a.log", "txt"),
        ("本文".encode("cp932"), "README", "txt"),
        ("本文".encode("utf-16"), "a.txt", "txt"),
    ],
)
def test_the_content_decides_and_the_name_only_helps(data: bytes, name: str, expected: str) -> None:
    assert kind(data, name) == expected


@pytest.mark.parametrize("data", [b"", b"  \n\n", "\u3000\n".encode(), b"\xef\xbb\xbf"])
def test_nothing_is_empty(data: bytes) -> None:
    with pytest.raises(EmptyDocumentError):
        kind(data, "a.txt")


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (bytes(range(256)) * 20, "a.txt"),
        (b"\x89PNG\r\n\x1a\n" + bytes(100), "a.png"),
        (b"{\\rtf1 text}", "a.rtf"),
        (b"PK\x05\x06" + bytes(18), "a.zip"),
        (bytes.fromhex("d0cf11e0a1b11ae1") + bytes(600), "a.doc"),
        (b"-----BEGIN PRIVATE KEY-----\nabc", "key.txt"),
    ],
)
def test_what_nobody_reads_as_text_is_of_an_unknown_kind(data: bytes, name: str) -> None:
    with pytest.raises(UnknownFormatError) as caught:
        kind(data, name)
    assert caught.value.params == {"name": name}


def test_an_office_file_under_a_password_is_locked() -> None:
    data = bytes.fromhex("d0cf11e0a1b11ae1") + bytes(600) + "EncryptedPackage".encode("utf-16-le")
    with pytest.raises(LockedDocumentError):
        kind(data, "a.docx")


@pytest.mark.parametrize("name", ["a.pdf", "a.docx"])
def test_noise_under_a_known_name_is_damaged(name: str) -> None:
    with pytest.raises(DamagedDocumentError):
        kind(bytes(range(256)) * 20, name)


def test_the_ending_is_what_follows_the_last_dot() -> None:
    assert (ending("a.b.PDF"), ending("README")) == ("pdf", "")
