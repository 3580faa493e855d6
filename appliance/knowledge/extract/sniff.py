"""What a document really is: by its first bytes and content; the name's ending is only a hint."""

import re
import zipfile
from typing import BinaryIO

from appliance.errors import DamagedDocumentError, EmptyDocumentError, LockedDocumentError, UnknownFormatError
from appliance.knowledge.extract.contract import Format
from appliance.knowledge.extract.encodings import BOMS, Decoded, decode, is_utf16

_HEAD = 4096
_OLE = bytes.fromhex("d0cf11e0a1b11ae1")
_ENDINGS: dict[str, Format] = {
    "pdf": "pdf",
    "docx": "docx", "docm": "docx", "dotx": "docx",
    "md": "md", "markdown": "md", "mkd": "md",
    "html": "html", "htm": "html", "xhtml": "html",
    "csv": "csv", "tsv": "csv", "tab": "csv",
}  # fmt: skip
_HTML_START = re.compile(
    r"\s*(?:<\?xml[^>]*>\s*)?(?:<!--(?:(?!-->).)*-->\s*)*<(?:!doctype\s+html|html|head|body)\b",
    re.IGNORECASE | re.DOTALL,
)
_HTML_TAG = re.compile(r"</?(?:html|body|p|div|h[1-6]|table|ul|ol|br|span|a)\b[^<>]*>", re.IGNORECASE)
_META_CHARSET = re.compile(rb"<meta[^<>]{0,200}?charset\s*=\s*[\"']?\s*([A-Za-z0-9_.:-]{2,20})", re.IGNORECASE)
_XML_ENCODING = re.compile(rb"^\s*<\?xml[^<>]{0,100}encoding\s*=\s*[\"']([A-Za-z0-9_.:-]{2,20})", re.IGNORECASE)
# Text by its bytes, but nothing that a person would want to read as it stands.
_MARKED_UP = re.compile(r"\s*(?:\{\\rtf|%!PS|<\?xml|<svg\b|-----BEGIN [A-Z ]*PRIVATE KEY)", re.IGNORECASE)
_CONTROLS = re.compile("[\x00-\x08\x0e-\x1a\x1c-\x1f\ufffd]")


def ending(name: str) -> str:
    """The part of a file name after its last dot, in lower case."""
    return name.rpartition(".")[2].lower() if "." in name else ""


def sniff(stream: BinaryIO, name: str) -> tuple[Format, Decoded | None]:
    """The format and, for those that are text, the decoded text.

    Raises:
        EmptyDocumentError: no bytes at all.
        UnknownFormatError: something that no reader here can read.
        LockedDocumentError: an Office file under a password.
        DamagedDocumentError: named as a known format but not even its start is right.
    """
    stream.seek(0)
    head = stream.read(_HEAD)
    if not head:
        raise EmptyDocumentError("0 bytes")
    hint = _ENDINGS.get(ending(name))
    if b"%PDF-" in head[:1024]:
        return "pdf", None
    if head.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return _sniff_zip(stream, name, hint), None
    if head.startswith(_OLE):
        stream.seek(0)
        if "EncryptedPackage".encode("utf-16-le") in stream.read():
            raise LockedDocumentError("encrypted Office package")
        raise UnknownFormatError("old Office file", name=name)
    return _sniff_text(stream, name, hint, head)


def _sniff_zip(stream: BinaryIO, name: str, hint: Format | None) -> Format:
    try:
        with zipfile.ZipFile(stream) as archive:
            names = set(archive.namelist())
    except (zipfile.BadZipFile, ValueError, OSError, NotImplementedError, RuntimeError) as error:
        if hint == "docx":
            raise DamagedDocumentError(f"zip: {error}") from error
        raise UnknownFormatError(f"zip: {error}", name=name) from error
    if "[Content_Types].xml" in names and any(member.startswith("word/") for member in names):
        return "docx"
    raise UnknownFormatError("an archive that is no DOCX", name=name)


def _sniff_text(stream: BinaryIO, name: str, hint: Format | None, head: bytes) -> tuple[Format, Decoded]:
    if _looks_binary(head):
        if hint in ("pdf", "docx"):
            raise DamagedDocumentError(f"no {hint} header")
        raise UnknownFormatError("binary", name=name)
    stream.seek(0)
    data = stream.read()
    label = _META_CHARSET.search(head) or _XML_ENCODING.search(head)
    decoded = decode(data, label[1].decode("ascii") if label else None)
    start = decoded.text[:_HEAD]
    if not start.strip("\ufeff \t\r\n\u3000\x00\f") and not decoded.text.strip():
        raise EmptyDocumentError("blank")
    # Real text has hardly a control character; damaged text has some, other files have them everywhere.
    if len(_CONTROLS.findall(start)) > max(len(start) // 5, 3):
        raise UnknownFormatError("not text", name=name)
    if _HTML_START.match(start):
        return "html", decoded
    if hint == "html" and _HTML_TAG.search(start):
        return "html", decoded
    if _MARKED_UP.match(start) and hint != "md":
        raise UnknownFormatError("marked-up text", name=name)
    return (hint if hint in ("md", "csv") else "txt"), decoded


def _looks_binary(head: bytes) -> bool:
    """True for bytes that are no text in any encoding."""
    if head.startswith(BOMS) or is_utf16(head):
        return False
    controls = sum(1 for byte in head if byte < 0x20 and byte not in b"\t\n\r\f\x1b\x1a")
    return controls > len(head) // 50 + 2
