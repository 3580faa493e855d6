"""ZIM files as openZIM describes them, made byte by byte: in both shapes of names, packed in each way, sound or not."""

import lzma
import struct
from collections.abc import Sequence
from dataclasses import dataclass

import zstandard

MIMES = ("text/html", "image/png", "text/plain", "application/pdf")
PLAIN, XZ, ZSTD, WIDE = 1, 4, 5, 0x10


@dataclass(frozen=True)
class Page:
    """`to`: another one's path, which makes it a redirect."""

    path: str
    body: bytes = b""
    mime: str = "text/html"
    namespace: str = "C"
    title: str = ""
    to: str = ""


def about(**said: str) -> list[Page]:
    return [Page(name, text.encode(), "text/plain", "M") for name, text in said.items()]


def cluster(bodies: Sequence[bytes], way: int, table: Sequence[int] = ()) -> bytes:
    """All of these in one. `table`: where it says that they begin and end."""
    width = 8 if way & WIDE else 4
    places = [(len(bodies) + 1) * width]
    for body in bodies:
        places.append(places[-1] + len(body))
    plain = b"".join(place.to_bytes(width, "little") for place in table or places) + b"".join(bodies)
    packing = {XZ: lzma.compress, ZSTD: zstandard.ZstdCompressor(write_content_size=False).compress}
    return bytes([way]) + packing.get(way & 0x0F, bytes)(plain)


def made(
    pages: Sequence[Page],
    main: str = "",
    ways: Sequence[int] = (ZSTD,),
    *,
    is_new: bool = True,
    table: Sequence[int] = (),
) -> bytes:
    """The file. Pages go into as many clusters as there are `ways`, in turn; `table` as for `cluster`, of each."""
    ordered = sorted(pages, key=lambda page: (page.namespace, page.path.encode()))
    numbers = {page.path: number for number, page in enumerate(ordered)}
    bodies: list[list[bytes]] = [[] for _ in ways]
    entries = []
    for number, page in enumerate(ordered):
        name = page.path.encode() + b"\0" + page.title.encode() + b"\0"
        if page.to:
            entries.append(struct.pack("<HBcII", 0xFFFF, 0, page.namespace.encode(), 0, numbers[page.to]) + name)
            continue
        place = number % len(ways)
        bodies[place].append(page.body)
        about = (MIMES.index(page.mime), 0, page.namespace.encode(), 0, place, len(bodies[place]) - 1)
        entries.append(struct.pack("<HBcIII", *about) + name)
    mimes = b"".join(mime.encode() + b"\0" for mime in MIMES) + b"\0"
    clusters = [cluster(group or [b""], way, table) for group, way in zip(bodies, ways, strict=True)]
    directory = 80 + len(mimes)
    places = directory + 8 * len(entries)
    at, where = places + 8 * len(clusters), b""
    for piece in (*entries, *clusters):
        where += struct.pack("<Q", at)
        at += len(piece)
    counts = (len(entries), len(clusters), directory, directory, places, 80)
    ends = (numbers.get(main, 0xFFFFFFFF), 0xFFFFFFFF, at)
    head = struct.pack("<IHH16sII4QIIQ", 72173914, 6, int(is_new), b"u" * 16, *counts, *ends)
    return head + mimes + where + b"".join((*entries, *clusters)) + b"s" * 16
