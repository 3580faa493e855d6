"""What is written can be read again, and a cut-off file is gone on with where it was whole."""

import io
from pathlib import Path

import pytest

from appliance.warc import writer
from appliance.warc.records import Records
from appliance.warc.writer import Place, WarcWriter
from tests.simulators.warcs import exchange

PAGE = exchange("/", "text/html", b"<h1>x</h1>")
ABOUT = [("software", "test\r\nX-Smuggled: yes")]


def kinds(file: Path) -> list[str]:
    return [each.kind for each in Records(io.BytesIO(file.read_bytes()))]


def test_an_exchange_becomes_two_records_behind_one_about_the_file(tmp_path: Path):
    with WarcWriter(tmp_path, "a", ABOUT) as opened:
        place = opened.write(PAGE)
    file = tmp_path / "a-00000.warc.gz"
    assert (place, kinds(file)) == (Place(0, file.stat().st_size), ["warcinfo", "response", "request"])
    about, response, _request = (
        (each.headers, each.read(each.length)) for each in Records(io.BytesIO(file.read_bytes()))
    )
    assert about[1] == b"software: test X-Smuggled: yes\r\n"
    assert response[0]["warc-target-uri"] == "http://city.example/"
    assert response[0]["warc-date"] == "2026-09-21T14:13:20.000Z"
    assert response[1] == PAGE.head + PAGE.body


def test_what_was_half_written_is_cut_off(tmp_path: Path):
    with WarcWriter(tmp_path, "a", ABOUT) as opened:
        place = opened.write(PAGE)
        opened.write(PAGE)
    file = tmp_path / "a-00000.warc.gz"
    file.write_bytes(file.read_bytes()[:-7])
    (tmp_path / "a-00001.warc.gz").write_bytes(b"begun, and nothing in it counts")
    with WarcWriter(tmp_path, "a", ABOUT, place) as opened:
        opened.write(PAGE)
    assert kinds(file) == ["warcinfo", *["response", "request"] * 2]
    assert not (tmp_path / "a-00001.warc.gz").exists()


def test_a_full_file_is_followed_by_the_next(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(writer, "FILE_BYTES", 500)
    with WarcWriter(tmp_path, "a", ABOUT) as opened:
        opened.write(PAGE)
        assert opened.write(PAGE).number == 1
    assert kinds(tmp_path / "a-00001.warc.gz") == ["warcinfo", "response", "request"]
