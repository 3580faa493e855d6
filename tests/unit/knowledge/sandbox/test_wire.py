"""What the parent believes of a child: nothing that doesn't fit."""

import struct

import pytest

from appliance.errors import DocumentTooLargeError, EmptyDocumentError, UnknownFormatError
from appliance.knowledge.extract.contract import Block, Extracted, ExtractLimits, Page
from appliance.knowledge.sandbox import wire
from appliance.knowledge.sandbox.wire import LieError, Receiver, frame

LIMITS = ExtractLimits(pages=3, text_bytes=100)
DOCUMENT = Extracted(
    "pdf",
    "規程",
    (
        Page(1, (Block("heading", "総則", 2), Block("table", "| a |\n| b |"))),
        Page(2, ()),
        Page(3, (Block("code", "x"),)),
    ),
    ("pages-without-text:1",),
)
HEADER = frame(wire.HEADER, b"pdf\ntitle")


def block(kind: int, level: int, text: bytes, length: int | None = None) -> bytes:
    return struct.pack(">BBI", kind, level, len(text) if length is None else length) + text


def received(data: bytes, step: int = 1 << 20) -> Receiver:
    receiver = Receiver(LIMITS, "a.pdf")
    for place in range(0, len(data), step):
        receiver.feed(data[place : place + step])
    return receiver


@pytest.mark.parametrize("step", [1, 7, 1 << 20])
def test_a_document_comes_out_as_it_went_in_however_it_is_cut(step: int) -> None:
    assert received(b"".join(wire.result_frames(DOCUMENT)), step).document == DOCUMENT


def test_characters_that_are_no_text_do_not_break_the_way() -> None:
    document = Extracted("txt", "a\ud800\nb", (Page(1, (Block("paragraph", "x\udfffy"),)),))
    result = received(b"".join(wire.result_frames(document))).document
    assert result == Extracted("txt", "a? b", (Page(1, (Block("paragraph", "x?y"),)),))


def test_the_latest_progress_counts() -> None:
    receiver = received(wire.progress_frame(1, 9) + wire.progress_frame(4, 9))
    assert (receiver.progress, receiver.finished) == ((4, 9), False)


def test_an_error_arrives_with_its_parameter() -> None:
    receiver = received(wire.error_frame(DocumentTooLargeError("pages", limit="5000 p.")))
    assert isinstance(receiver.error, DocumentTooLargeError)
    assert receiver.error.params == {"limit": "5000 p."}


def test_the_name_in_an_error_is_the_one_known_outside() -> None:
    receiver = received(wire.error_frame(UnknownFormatError("zip", name="<script>")))
    assert receiver.error is not None
    assert receiver.error.params == {"name": "a.pdf"}


def test_a_detail_loses_what_could_quote_a_document() -> None:
    receiver = received(wire.error_frame(EmptyDocumentError("Bad CRC of 'word/秘密.xml'\n")))
    assert receiver.error is not None
    assert receiver.error.detail == "Bad CRC of _word___.xml__"


def test_running_out_of_memory_is_told() -> None:
    assert received(frame(wire.ERROR, wire.MEMORY)).out_of_memory


def test_more_blocks_than_a_document_has_are_not_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "BLOCKS_MAX", 2)
    with pytest.raises(DocumentTooLargeError):
        list(wire.result_frames(DOCUMENT))


@pytest.mark.parametrize(
    "data",
    [
        b"X" + bytes(4),
        frame(wire.HEADER, b"exe\ntitle"),
        frame(wire.HEADER, b"pdf"),
        frame(wire.HEADER, b"pdf\n" + b"t" * 301),
        frame(wire.HEADER, b"pdf\ntitle\nnot a warning!"),
        frame(wire.HEADER, b"pdf\ntitle" + b"\nw" * 21),
        frame(wire.HEADER, b"pdf\n\xff"),
        HEADER + HEADER,
        frame(wire.PAGE, b""),
        frame(wire.END, b""),
        HEADER + frame(wire.END, b"x"),
        HEADER + frame(wire.PAGE, block(9, 0, b"x")),
        HEADER + frame(wire.PAGE, block(0, 7, b"x")),
        HEADER + frame(wire.PAGE, block(1, 2, b"x")),
        HEADER + frame(wire.PAGE, block(1, 0, b"x", 50)),
        HEADER + frame(wire.PAGE, block(1, 0, b"\xff")),
        HEADER + frame(wire.PAGE, block(1, 0, b"x") + b"\0"),
        HEADER + frame(wire.PAGE, b"") * 4,
        HEADER + frame(wire.PAGE, block(1, 0, b"x" * 60)) * 2,
        HEADER + struct.pack(">BI", wire.PAGE, 1 << 31),
        struct.pack(">BI", wire.PROGRESS, 1 << 31),
        frame(wire.PROGRESS, bytes(15)),
        frame(wire.PROGRESS, struct.pack(">QQ", 2, 1)),
        frame(wire.PROGRESS, struct.pack(">QQ", 0, 0)),
        frame(wire.PROGRESS, struct.pack(">QQ", 0, 1 << 60)),
        frame(wire.JAILED, b"limits freedom"),
        frame(wire.JAILED, b"limits") * 2,
        frame(wire.ERROR, b"HK-BOX-001\n\n"),
        frame(wire.ERROR, b"HK-DOC-013\n<b>1</b>\n"),
        frame(wire.ERROR, "HK-DOC-012\n\n秘密".encode()),
        frame(wire.ERROR, b"\xff"),
    ],
)
def test_a_lie_is_refused(data: bytes) -> None:
    with pytest.raises(LieError):
        received(data)


def test_nothing_counts_after_the_end() -> None:
    whole = b"".join(wire.result_frames(DOCUMENT))
    assert received(whole + b"garbage" * 9).document == DOCUMENT
