"""Documents made by hand: PDF and DOCX as people have them, and the hostile kinds."""

import hashlib
import io
import zipfile
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import pytest

from appliance.config import REPOSITORY
from appliance.knowledge.extract.contract import Block, Extracted, ExtractLimits
from appliance.knowledge.extract.dispatch import extract

A4 = (595.0, 842.0)
_PAD = bytes.fromhex("28bf4e5e4e758a4164004e56fffa01082e2e00b6d0683e802f0ca9fe6453697a")
_W = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
_LATIN = "<</Type/Font/Subtype/Type1/BaseFont/{}/Encoding/WinAnsiEncoding>>"


@dataclass(frozen=True)
class Words:
    """Text at a place; Japanese in a font that is not in the file, as many real files have it."""

    text: str
    x: float
    y: float
    size: float = 10.0
    font: str = "ja"
    """ja, down (Japanese from top to bottom), sans, bold, mono."""
    spacing: float = 0.0


@dataclass(frozen=True)
class Rule:
    """A straight line."""

    x0: float
    y0: float
    x1: float
    y1: float


@dataclass(frozen=True)
class Box:
    """A filled rectangle: left, bottom, width, height."""

    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True)
class Code:
    """Operators as they stand."""

    operators: str


Mark = Words | Rule | Box | Code


def shared_documents() -> Path:
    """The folder of real Japanese documents beside the checkout; the test is skipped where there is none."""
    folder = REPOSITORY.parent / "shared" / "data" / "docs"
    if not folder.is_dir():
        pytest.skip("no shared documents beside this checkout")
    return folder


def read(data: bytes, name: str, limits: ExtractLimits | None = None) -> Extracted:
    """A document read in this very process."""
    return extract(io.BytesIO(data), name, limits or ExtractLimits(), lambda _done, _total: None)


def filling(data: bytes) -> Callable[[BinaryIO], None]:
    """What a `DocumentReader` is given to write a document with."""

    def fill(file: BinaryIO) -> None:
        file.write(data)

    return fill


def blocks(document: Extracted) -> list[Block]:
    """All of its blocks."""
    return [block for page in document.pages for block in page.blocks]


def shapes(document: Extracted) -> list[tuple[str, str]]:
    """Kind and text of all of its blocks; headings with their level: `h1`."""
    return [(f"h{block.level}" if block.level else block.kind, block.text) for block in blocks(document)]


def column(lines: Sequence[str], x: float, y: float, size: float = 10.0, pitch: float = 16.0) -> list[Mark]:
    """Lines of text below each other."""
    return [Words(line, x, y - place * pitch, size) for place, line in enumerate(lines)]


def grid(
    rows: Sequence[Sequence[str]], x: float, y: float, widths: Sequence[float], height: float = 18.0
) -> list[Mark]:
    """A ruled table whose top left corner is at x, y."""
    marks: list[Mark] = []
    right, bottom = x + sum(widths), y - height * len(rows)
    marks += [Rule(x, y - height * row, right, y - height * row) for row in range(len(rows) + 1)]
    marks += [Rule(x + sum(widths[:place]), y, x + sum(widths[:place]), bottom) for place in range(len(widths) + 1)]
    for row, cells in enumerate(rows):
        for place, cell in enumerate(cells):
            marks.append(Words(cell, x + sum(widths[:place]) + 4, y - height * (row + 1) + 5))
    return marks


def make_pdf(
    pages: Sequence[Sequence[Mark]],
    *,
    info: Mapping[str, str] | None = None,
    password: str | None = None,
    size: tuple[float, float] = A4,
    rotate: int = 0,
) -> bytes:
    """A PDF. With `password`, only who knows it can open the file; an empty one opens for everybody."""
    fonts = {
        "ja": _japanese("UniJIS-UCS2-H"),
        "down": _japanese("UniJIS-UCS2-V"),
        "sans": _LATIN.format("Helvetica"),
        "bold": _LATIN.format("Helvetica-Bold"),
        "mono": _LATIN.format("Courier"),
    }
    numbers = {name: 4 + place for place, name in enumerate(fonts)}
    first = 4 + len(fonts)
    kids = " ".join(f"{first + 2 * place} 0 R" for place in range(len(pages)))
    resources = "<</Font<<" + "".join(f"/{name} {number} 0 R" for name, number in numbers.items()) + ">>>>"
    objects: list[bytes] = [
        b"<</Type/Catalog/Pages 2 0 R>>",
        f"<</Type/Pages/Kids[{kids}]/Count {len(pages)}>>".encode(),
        b"<<" + b"".join(f"/{key}".encode() + _string(value) for key, value in (info or {}).items()) + b">>",
        *(font.encode() for font in fonts.values()),
    ]
    for place, marks in enumerate(pages):
        turn = f"/Rotate {rotate}" if rotate else ""
        objects.append(
            f"<</Type/Page/Parent 2 0 R/MediaBox[0 0 {size[0]} {size[1]}]{turn}/Resources {resources}"
            f"/Contents {first + 2 * place + 1} 0 R>>".encode()
        )
        objects.append(stream("\n".join(map(_operators, marks)).encode()))
    if password is not None:
        return _assemble(objects, password)
    return assemble(objects)


def stream(data: bytes, entries: str = "") -> bytes:
    """A stream object."""
    return f"<</Length {len(data)}{entries}>>stream\n".encode() + data + b"\nendstream"


def assemble(objects: Sequence[bytes], trailer: str = "/Root 1 0 R/Info 3 0 R") -> bytes:
    """Objects, numbered from 1, with a table of where they are."""
    out = bytearray(b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n")
    places = []
    for number, body in enumerate(objects, 1):
        places.append(len(out))
        out += f"{number} 0 obj\n".encode() + body + b"\nendobj\n"
    start = len(out)
    out += f"xref\n0 {len(objects) + 1}\n0000000000 65535 f \n".encode()
    out += b"".join(f"{place:010d} 00000 n \n".encode() for place in places)
    out += f"trailer<</Size {len(objects) + 1}{trailer}>>\nstartxref\n{start}\n%%EOF\n".encode()
    return bytes(out)


def _japanese(encoding: str) -> str:
    return (
        f"<</Type/Font/Subtype/Type0/BaseFont/HeiseiMin-W3/Encoding/{encoding}/DescendantFonts[<</Type/Font"
        "/Subtype/CIDFontType0/BaseFont/HeiseiMin-W3/CIDSystemInfo<</Registry(Adobe)/Ordering(Japan1)/Supplement 2>>"
        "/DW 1000/W[1 94 500 231 632 500]/FontDescriptor<</Type/FontDescriptor/FontName/HeiseiMin-W3/Flags 4"
        "/FontBBox[0 -200 1000 900]/ItalicAngle 0/Ascent 880/Descent -120/CapHeight 700/StemV 80>>>>]>>"
    )


def _string(text: str) -> bytes:
    return b"<feff" + text.encode("utf-16-be").hex().encode() + b">"


def _operators(mark: Mark) -> str:
    if isinstance(mark, Rule):
        return f"0.5 w {mark.x0} {mark.y0} m {mark.x1} {mark.y1} l S"
    if isinstance(mark, Box):
        return f"0.9 g {mark.x} {mark.y} {mark.width} {mark.height} re f 0 g"
    if isinstance(mark, Code):
        return mark.operators
    encoded = mark.text.encode("utf-16-be" if mark.font in ("ja", "down") else "cp1252").hex()
    return f"BT /{mark.font} {mark.size} Tf {mark.spacing} Tc {mark.x} {mark.y} Td <{encoded}> Tj ET"


# -- passwords


def _rc4(key: bytes, data: bytes) -> bytes:
    box = list(range(256))
    j = 0
    for i in range(256):
        j = (j + box[i] + key[i % len(key)]) & 255
        box[i], box[j] = box[j], box[i]
    out = bytearray()
    i = j = 0
    for byte in data:
        i = (i + 1) & 255
        j = (j + box[i]) & 255
        box[i], box[j] = box[j], box[i]
        out.append(byte ^ box[(box[i] + box[j]) & 255])
    return bytes(out)


def _assemble(objects: list[bytes], password: str) -> bytes:
    """The same with the format's first encryption (RC4, 40 bits): streams only, which is all these files need."""
    user = (password.encode() + _PAD)[:32]
    owner = _rc4(hashlib.md5((b"owner" + _PAD)[:32]).digest()[:5], user)
    key = hashlib.md5(user + owner + (-4 & 0xFFFFFFFF).to_bytes(4, "little") + b"id").digest()[:5]
    check = _rc4(key, _PAD)
    locked = []
    for number, body in enumerate(objects, 1):
        head, mark, rest = body.partition(b"stream\n")
        if mark:
            data = rest.removesuffix(b"\nendstream")
            salted = hashlib.md5(key + number.to_bytes(3, "little") + b"\0\0").digest()[:10]
            body = head + mark + _rc4(salted, data) + b"\nendstream"  # noqa: PLW2901
        locked.append(body)
    encrypt = f"/Root 1 0 R/ID[<{b'id'.hex()}><{b'id'.hex()}>]/Encrypt<</Filter/Standard/V 1/R 2/P -4"
    return assemble(locked, f"{encrypt}/O<{owner.hex()}>/U<{check.hex()}>>>")


# -- hostile PDFs


def _one_page(contents: bytes, resources: str = "<<>>", *more: bytes) -> bytes:
    """A page from object 3 on; `more` is numbered from 5."""
    page = f"<</Type/Page/Parent 2 0 R/MediaBox[0 0 595 842]/Contents 4 0 R/Resources {resources}>>"
    tree = b"<</Type/Pages/Kids[3 0 R]/Count 1>>"
    return assemble([b"<</Type/Catalog/Pages 2 0 R>>", tree, page.encode(), contents, *more], "/Root 1 0 R")


def zeros(size: int) -> bytes:
    """So many (a multiple of 1 MiB) zero bytes, deflated; made without ever having them."""
    packer = zlib.compressobj(9)
    block = bytes(1 << 20)
    first = packer.compress(block) + packer.flush(zlib.Z_FULL_FLUSH)
    again = packer.compress(block) + packer.flush(zlib.Z_FULL_FLUSH)
    return first + again * (size // (1 << 20) - 1) + packer.flush(zlib.Z_FINISH)


def pdf_flate_bomb(size: int = 8 << 30) -> bytes:
    """A page whose contents unpack twice, to 8 GiB."""
    inner = zlib.compress(zeros(size), 9)
    return _one_page(stream(inner, "/Filter[/FlateDecode/FlateDecode]"))


def pdf_page_cycle() -> bytes:
    """A tree of pages that is its own child."""
    tree = b"<</Type/Pages/Kids[2 0 R 2 0 R]/Count 1000>>"
    return assemble([b"<</Type/Catalog/Pages 2 0 R>>", tree], "/Root 1 0 R")


def pdf_forms(depth: int = 23) -> bytes:
    """Forms that each draw the next one twice: 2^23 words from four kilobytes."""
    forms = []
    for level in range(depth):
        last = level == depth - 1
        inner = b"BT /F 9 Tf 9 9 Td (word) Tj ET" if last else b"/N Do /N Do"
        resources = "<</Font<</F 5 0 R>>>>" if last else f"<</XObject<</N {7 + level} 0 R>>>>"
        forms.append(stream(inner, f"/Type/XObject/Subtype/Form/BBox[0 0 595 842]/Resources {resources}"))
    return _one_page(stream(b"/N Do /N Do"), "<</XObject<</N 6 0 R>>>>", _LATIN.format("Helvetica").encode(), *forms)


def pdf_deep_array(depth: int = 200_000) -> bytes:
    """Brackets in brackets, in the contents and in an object."""
    return _one_page(stream(b"[" * depth), "<</Font 5 0 R>>", b"[" * depth + b"]" * depth)


def pdf_many_words(count: int) -> bytes:
    """A page with so many words."""
    words = b"BT /F 9 Tf 9 9 Td " + b"(word) Tj " * count + b"ET"
    return _one_page(stream(zlib.compress(words), "/Filter/FlateDecode"), "<</Font<</F 5 0 R>>>>",
                     _LATIN.format("Helvetica").encode())  # fmt: skip


def pdf_many_pages(count: int) -> bytes:
    """One page, listed so many times."""
    tree = b"<</Type/Pages/Kids[" + b"3 0 R " * count + f"]/Count {count}>>".encode()
    page = b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 595 842]>>"
    return assemble([b"<</Type/Catalog/Pages 2 0 R>>", tree, page], "/Root 1 0 R")


def pdf_claims_pages(count: int) -> bytes:
    """One page that says it is many."""
    return pdf_many_pages(1).replace(b"/Count 1", f"/Count {count}".encode())


def without_index(data: bytes) -> bytes:
    """The same without the table of objects and without a trailer."""
    return data[: data.rindex(b"xref\n0 ")]


# -- Word


def paragraph(text: str, style: str = "", properties: str = "") -> str:
    """A paragraph of a DOCX."""
    named = f'<w:pStyle w:val="{style}"/>' if style else ""
    return f"<w:p><w:pPr>{named}{properties}</w:pPr><w:r><w:t>{text}</w:t></w:r></w:p>"


def make_docx(body: str, parts: Mapping[str, str] | None = None, title: str = "") -> bytes:
    """A DOCX around a body; `parts` are further ones by name: styles, numbering, footnotes …"""
    members = {
        "[Content_Types].xml": "<Types xmlns='http://schemas.openxmlformats.org/package/2006/content-types'/>",
        "word/document.xml": f"<w:document xmlns:w='{_W}'><w:body>{body}</w:body></w:document>",
        "word/_rels/document.xml.rels": "<Relationships>"
        + "".join(
            f"<Relationship Id='r{place}' Type='http://x/relationships/{name}' Target='{name}.xml'/>"
            for place, name in enumerate(parts or {})
        )
        + "</Relationships>",
        "docProps/core.xml": f"<p:core xmlns:p='p' xmlns:dc='d'><dc:title>{title}</dc:title></p:core>",
    }
    for name, inner in (parts or {}).items():
        members[f"word/{name}.xml"] = f"<w:{name} xmlns:w='{_W}'>{inner}</w:{name}>"
    return make_zip({name: text.encode() for name, text in members.items()})


def make_zip(members: Mapping[str, bytes]) -> bytes:
    """An archive."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return out.getvalue()


def docx_bomb(size: int = 200 << 20) -> bytes:
    """A DOCX whose main part unpacks to so many bytes of blanks."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        archive.writestr("[Content_Types].xml", "<Types/>")
        with archive.open("word/document.xml", "w", force_zip64=True) as member:
            block = b" " * (1 << 20)
            for _ in range(size >> 20):
                member.write(block)
    return out.getvalue()
