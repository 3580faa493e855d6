"""WARC files are read as they are written, and nothing that a hostile one says of itself is believed."""

import gzip
import io
import zlib

import pytest

from appliance.warc.records import Bounds, Record, Records, WarcError, WarcTooLargeError
from tests.simulators.warcs import answer, packed, record

USUAL = Bounds()
PAGE = answer(b"<h1>x</h1>")


def blocks(data: bytes, bounds: Bounds = USUAL) -> list[bytes]:
    return [each.read(each.length) for each in Records(io.BytesIO(data), bounds)]


def test_records_are_read_one_after_another_packed_or_not():
    two = [record(PAGE, WARC_Target_URI="http://a.example/"), record(b"")]
    for data in (b"".join(two), b"".join(packed(each) for each in two), packed(b"".join(two))):
        assert blocks(data) == [PAGE, b""]


def test_a_block_need_not_be_read_and_heads_may_be_written_either_way():
    data = record(PAGE).replace(b"WARC-Type", b"warc-TYPE").replace(b"Content-Type:", b"Content-Type:\r\n ", 1)
    found: list[Record] = list(Records(io.BytesIO(data + record(PAGE))))
    assert [each.kind for each in found] == ["response", "response"]
    assert found[0].headers["content-type"].strip() == "application/http; msgtype=response"


def test_what_is_left_of_a_block_stays_with_its_record():
    records = iter(Records(io.BytesIO(record(b"abcdef") + record(b"gh"))))
    assert next(records).read(2) == b"ab"
    assert next(records).read(100) == b"gh"


def test_the_position_tells_how_much_of_the_file_is_read():
    data = packed(record(PAGE))
    records = Records(io.BytesIO(data))
    list(records)
    assert records.position == len(data)


@pytest.mark.parametrize("shift", [-1, 1, 40, 10**6])
def test_a_lying_length_is_refused(shift: int):
    for data in (record(PAGE, length=len(PAGE) + shift), packed(record(PAGE, length=len(PAGE) + shift))):
        with pytest.raises(WarcError):
            blocks(data + data)


@pytest.mark.parametrize(
    "data",
    [
        b"not a WARC at all\n",
        b"WARC/2.0\r\nContent-Length: 0\r\n\r\n\r\n\r\n",
        b"WARC/1.0\r\n\r\n\r\n\r\n",
        b"WARC/1.0\r\nContent-Length: -1\r\n\r\n\r\n\r\n",
        b"WARC/1.0\r\nContent-Length: 9e9\r\n\r\n\r\n\r\n",
        b"WARC/1.0\r\nContent-Length: 0\r\nContent-Length: 5\r\n\r\n\r\n\r\n",
        b"WARC/1.0\r\nno colon\r\nContent-Length: 0\r\n\r\n\r\n\r\n",
        b"WARC/1.0\r\nna me: x\r\nContent-Length: 0\r\n\r\n\r\n\r\n",
        b"WARC/1.0\r\nContent-Length: 0",
        record(PAGE)[:-4],
        packed(record(PAGE))[:-9],
        packed(record(PAGE))[:30] + b"\xff" * 30,
        packed(record(PAGE)) + b"rubbish behind it",
        gzip.compress(b"\x1f\x8b", mtime=0),
    ],
)
def test_what_is_no_warc_is_refused(data: bytes):
    with pytest.raises(WarcError):
        blocks(data)


def test_a_head_may_not_grow_without_end():
    long_line = b"WARC/1.0\r\nX-Long: " + b"a" * 200_000 + b"\r\nContent-Length: 0\r\n\r\n\r\n\r\n"
    many = b"WARC/1.0\r\n" + b"".join(b"X-%d: a\r\n" % n for n in range(5000)) + b"Content-Length: 0\r\n\r\n\r\n\r\n"
    folded = b"WARC/1.0\r\nX: a\r\n" + b" a\r\n" * 50_000 + b"Content-Length: 0\r\n\r\n\r\n\r\n"
    endless = b"WARC/1.0" + b"a" * 200_000
    for data in (long_line, many, folded, endless):
        for each in (data, packed(data)):
            with pytest.raises(WarcError):
                blocks(each)


def test_a_bomb_is_not_blown_up():
    zeros = zlib.compressobj(9, wbits=31)
    bomb = zeros.compress(record(b"\0" * (3 << 20)))
    with pytest.raises(WarcTooLargeError):
        list(Records(io.BytesIO(bomb + zeros.flush()), Bounds(spare_bytes=1 << 20)))


def test_every_bound_holds():
    data = record(PAGE) * 3
    for bounds in (
        Bounds(records=2),
        Bounds(record_bytes=10),
        Bounds(inflated_bytes=100),
        Bounds(ratio=0, spare_bytes=100),
    ):
        with pytest.raises(WarcTooLargeError):
            blocks(data, bounds)


def test_nothing_at_all_has_no_records():
    assert blocks(b"") == []
