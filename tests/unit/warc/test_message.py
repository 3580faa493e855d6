"""The answer in a record: its head, and its content however a crawler left it."""

import gzip
import zlib

import pytest

from appliance.warc.message import content, parse
from appliance.warc.records import WarcError, WarcTooLargeError
from tests.simulators.warcs import answer

TEXT = b"<h1>Hello</h1>"
BARE = zlib.compressobj(wbits=-15)


def chunked(body: bytes) -> bytes:
    pieces = [body[start : start + 5] for start in range(0, len(body), 5)]
    return b"".join(b"%x;x=y\r\n%s\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"


def test_a_head_is_read():
    said = parse(b"HTTP/1.1 404 Not Found\r\nContent-Type: Text/HTML; charset=x\r\nX: 1\r\nX: 2\r\n\r\nbody")
    assert (said.status, said.mime, said.headers["x"], said.body) == (404, "text/html", "1", b"body")
    assert parse(b"HTTP/2 200 \r\n\r\n").status == 200


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        (TEXT, {}),
        (gzip.compress(TEXT, mtime=0), {"Content_Encoding": "gzip"}),
        (zlib.compress(TEXT), {"Content_Encoding": "deflate"}),
        (BARE.compress(TEXT) + BARE.flush(), {"Content_Encoding": "deflate"}),
        (chunked(TEXT), {"Transfer_Encoding": "chunked"}),
        (chunked(gzip.compress(TEXT, mtime=0)), {"Transfer_Encoding": "chunked", "Content_Encoding": "gzip"}),
        (TEXT, {"Transfer_Encoding": "chunked"}),  # only the field was kept
        (TEXT, {"Content_Encoding": "identity"}),
        (gzip.compress(gzip.compress(TEXT, mtime=0), mtime=0), {"Content_Encoding": "gzip, gzip"}),
    ],
)
def test_content_is_taken_out_of_its_wrappings(body: bytes, fields: dict[str, str]):
    assert content(parse(answer(body, **fields)), 1000) == TEXT


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        (b"\x0b\x02\x80", {"Content_Encoding": "br"}),
        (b"no gzip", {"Content_Encoding": "gzip"}),
        (chunked(TEXT)[:-9] + b"zz\r\n", {"Transfer_Encoding": "chunked"}),
        (b"5\r\nab", {"Transfer_Encoding": "chunked", "Content_Encoding": "gzip"}),
    ],
)
def test_damaged_content_is_refused(body: bytes, fields: dict[str, str]):
    with pytest.raises(WarcError):
        content(parse(answer(body, **fields)), 1000)


def test_a_small_answer_does_not_become_a_large_one():
    once = gzip.compress(b"\0" * 1_000_000, mtime=0)
    for body, way in ((once, "gzip"), (gzip.compress(once, mtime=0), "gzip, gzip"), (b"a" * 2000, "identity")):
        with pytest.raises(WarcTooLargeError):
            content(parse(answer(body, Content_Encoding=way)), 1000)


@pytest.mark.parametrize(
    "block",
    [b"", b"HTTP/1.1 200 OK\r\n", b"GET / HTTP/1.1\r\n\r\n", b"HTTP/1.1 OK\r\n\r\n", b"a" * 300_000 + b"\r\n\r\n"],
)
def test_what_is_no_answer_is_refused(block: bytes):
    with pytest.raises(WarcError):
        parse(block)


def test_an_answer_of_a_thousand_fields_is_refused():
    with pytest.raises(WarcError):
        parse(b"HTTP/1.1 200 OK\r\n" + b"X: 1\r\n" * 1000 + b"\r\n")
