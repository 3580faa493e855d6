"""Heads of pictures: what good ones say, and that bombs, cuts and damage are one clear error before any decoder."""

import random
import struct
import zlib
from collections.abc import Callable

import pytest

from appliance.gateway import picture_heads
from appliance.gateway.picture_heads import Head, OversizeError, UnreadableError, look
from tests.simulators import vision

GOOD: dict[str, Callable[[int, int], bytes]] = {
    "png": lambda width, height: vision.png(width=width, height=height),
    "jpeg": vision.jpeg,
    "gif": vision.gif,
    "webp": vision.webp,
}


@pytest.mark.parametrize("kind", GOOD)
def test_a_good_picture_says_its_kind_and_size(kind: str) -> None:
    for width, height in ((1, 1), (24, 16), (300, 7)):
        assert look(GOOD[kind](width, height)) == Head(kind, width, height)


def test_other_heads_of_webp_are_read_too() -> None:
    def webp(name: bytes, body: bytes) -> bytes:
        chunk = name + struct.pack("<I", len(body)) + body
        return b"RIFF" + struct.pack("<I", len(chunk) + 4) + b"WEBP" + chunk

    extended = b"\0\0\0\0" + (639).to_bytes(3, "little") + (479).to_bytes(3, "little")
    assert look(webp(b"VP8X", extended)) == Head("webp", 640, 480)
    assert look(webp(b"VP8 ", b"\0\0\0\x9d\x01\x2a" + struct.pack("<HH", 640, 480))) == Head("webp", 640, 480)
    for name, body in ((b"VP8X", extended[:6]), (b"VP8 ", b"\0" * 10), (b"ALPH", b"\0" * 10)):
        with pytest.raises(UnreadableError):
            look(webp(name, body))


@pytest.mark.parametrize(
    "data", [b"", b"hello", b"BM" + bytes(60), b"%PDF-1.7", b"RIFF\0\0\0\0WAVE", b"\x89PNG\r\n\x1a\n"]
)
def test_what_is_no_picture_is_refused(data: bytes) -> None:
    with pytest.raises(UnreadableError):
        look(data)


@pytest.mark.parametrize("kind", GOOD)
def test_every_cut_is_refused_or_still_the_same_picture(kind: str) -> None:
    whole = GOOD[kind](24, 16)
    for end in range(len(whole)):
        try:
            assert look(whole[:end]) == Head(kind, 24, 16)
        except UnreadableError:
            continue
    with pytest.raises(UnreadableError):
        look(whole[: len(whole) // 3])


@pytest.mark.parametrize("kind", GOOD)
def test_no_damage_brings_about_anything_but_a_head_or_a_refusal(kind: str) -> None:
    chance = random.Random(7)
    whole = GOOD[kind](24, 16)
    for _ in range(3000):
        data = bytearray(whole)
        for _ in range(chance.randint(1, 4)):
            data[chance.randrange(len(data))] = chance.randrange(256)
        try:
            head = look(bytes(data))
        except (UnreadableError, OversizeError):
            continue
        assert 0 < head.pixels <= picture_heads.PIXELS_MAX


@pytest.mark.parametrize(
    "data",
    [
        vision.png_of(1 << 31, 1, b""),
        vision.png_of(20_000, 1, b""),
        vision.png_of(16_000, 16_000, b""),
        vision.jpeg(8, 8).replace(struct.pack(">HH", 8, 8), struct.pack(">HH", 65_535, 65_535)),
        vision.gif(4, 4).replace(b"GIF89a" + struct.pack("<HH", 4, 4), b"GIF89a" + struct.pack("<HH", 60_000, 60_000)),
        vision.webp(16_000, 16_000),
    ],
    ids=["png-side", "png-wide", "png-area", "jpeg", "gif", "webp"],
)
def test_too_many_pixels_are_refused_by_what_the_head_says(data: bytes) -> None:
    with pytest.raises(OversizeError):
        look(data)


def test_rows_that_unpack_to_more_than_the_picture_shows_are_a_bomb() -> None:
    bomb = zlib.compress(bytes(64 << 20), 9)
    assert len(bomb) < 100_000
    with pytest.raises(OversizeError):
        look(vision.png_of(16, 16, bomb))
    with pytest.raises(OversizeError):  # a picture that is really that large, with the colours as fine as can be
        look(vision.png_of(8000, 6000, b"", depth=16, colours=6))


def test_rows_that_are_fewer_or_no_rows_at_all_are_damage() -> None:
    rows = bytes(16 * (1 + 3 * 16))
    assert look(vision.png_of(16, 16, zlib.compress(rows))).pixels == 256
    for data in (zlib.compress(rows[:-1]), b"", b"no deflate", zlib.compress(rows)[:10]):
        with pytest.raises(UnreadableError):
            look(vision.png_of(16, 16, data))


def test_interlaced_rows_are_counted_as_they_lie() -> None:
    # 5 x 5 at one bit: passes of 1, 1, 1x2, 2x2, 1x3 … pixels, each row with its own filter byte.
    passes = ((1, 1), (1, 1), (2, 1), (1, 2), (3, 1), (2, 3), (5, 2))
    rows = sum(lines * (1 + -(-columns // 8)) for columns, lines in passes)
    good = vision.png_of(5, 5, zlib.compress(bytes(rows)), depth=1, colours=0, interlaced=1)
    assert look(good) == Head("png", 5, 5)
    with pytest.raises(UnreadableError):
        look(vision.png_of(5, 5, zlib.compress(bytes(rows - 1)), depth=1, colours=0, interlaced=1))


def test_a_png_in_apples_own_form_or_of_no_known_depth_is_refused() -> None:
    good = vision.png()
    apple = good[:8] + struct.pack(">I4s4sI", 4, b"CgBI", b"\0\0\0\0", 0) + good[8:]
    late = good[:33] + struct.pack(">I4sI", 0, b"CgBI", 0) + good[33:]
    for data in (apple, late, vision.png_of(4, 4, zlib.compress(bytes(99)), depth=3)):
        with pytest.raises(UnreadableError):
            look(data)


def test_a_jpeg_of_endless_scans_or_one_that_hardly_anybody_decodes_is_refused() -> None:
    assert look(vision.jpeg(8, 8, scans=10)).pixels == 64
    with pytest.raises(OversizeError):
        look(vision.jpeg(8, 8, scans=1000))
    for kind in (0xC3, 0xC9, 0xCA):  # lossless, arithmetic
        with pytest.raises(UnreadableError):
            look(vision.jpeg(8, 8, kind=kind))


def test_a_gif_whose_frame_is_endless_or_lies_outside_is_refused() -> None:
    head = b"GIF89a" + struct.pack("<HHBBB", 4, 4, 0, 0, 0)
    frame = b"," + struct.pack("<HHHHB", 0, 0, 4, 4, 0) + b"\x02"
    endless = head + frame + (b"\xff" + bytes(255)) * 9000 + b"\0;"
    with pytest.raises(OversizeError):
        look(endless)
    outside = head + b"," + struct.pack("<HHHHB", 2, 0, 4, 4, 0) + b"\x02\0;"
    with pytest.raises(UnreadableError):
        look(outside)
    commented = head + b"!\xfe\x03abc\0" + frame + b"\x01\x44\0;"
    assert look(commented) == Head("gif", 4, 4)
