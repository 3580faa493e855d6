"""A ZIM file is read within bounds, and its pages become a snapshot that a box reads; damage ends in a sentence."""

import io
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.bundle.publish.web import zim as reader
from appliance.bundle.publish.web.zim import Zim
from appliance.bundle.publish.web.zim_pages import ZimWish, convert
from appliance.cli.main import main
from appliance.config import Limits
from appliance.errors import (
    BadInputError,
    CaptureEmptyError,
    CaptureOtherError,
    ZimDamagedError,
    ZimPackedError,
)
from appliance.knowledge.web.pages import Moved, Read
from appliance.knowledge.web.reading import WarcReader
from appliance.warc.manifest import read as read_manifest
from tests.simulators.zim import PLAIN, WIDE, XZ, ZSTD, Page, about, made

HOME = (
    b"<html><head><title>Home</title></head><body><h1>Home</h1><a href='./%E6%9D%B1%E4%BA%AC'>Tokyo</a></body></html>"
)
TOKYO = "<html><head><title>東京</title></head><body><h1>東京</h1><p>東京は日本の首都です。</p></body></html>".encode()
PAGES = [
    Page("index", HOME, title="Home"),
    Page("東京", TOKYO),
    Page("Tokyo", to="東京"),
    Page("mainPage", to="index", namespace="W"),
    Page("notes", "ただの文章です。".encode(), "text/plain"),
    Page("logo.png", b"\x89PNG", "image/png"),
    *about(Title="小さな百科", Source="https://wiki.example/a/", Date="2026-05-04", Scraper="mwoffliner 1.14"),
]
WISH = ZimWish(name="wiki", licence="CC-BY-SA-4.0", terms="https://wiki.example/terms", by="Carol")


def put(folder: Path, data: bytes) -> Path:
    file = folder / "wiki.zim"
    file.write_bytes(data)
    return file


def found(folder: Path) -> tuple[dict[str, Read], dict[str, str]]:
    """Pages by address, and addresses that lead to others, as a box reads them."""
    pages, moved = {}, {}
    for warc in sorted(folder.glob("*.warc.gz")):
        with warc.open("rb") as file:
            for each in WarcReader(Limits()).read(file.fileno(), warc.name):
                if isinstance(each, Moved):
                    moved[each.url] = each.to
                else:
                    pages[each.url] = each
    return pages, moved


@pytest.mark.parametrize("ways", [(ZSTD,), (XZ,), (PLAIN,), (ZSTD | WIDE, XZ | WIDE, PLAIN | WIDE)])
def test_its_pages_become_a_snapshot_that_a_box_reads(tmp_path: Path, ways: tuple[int, ...]) -> None:
    manifest = convert(put(tmp_path, made(PAGES, "mainPage", ways)), tmp_path / "content", WISH)
    pages, moved = found(tmp_path / "content" / "wiki")
    site, tokyo = "https://wiki.example/a/", "https://wiki.example/a/%E6%9D%B1%E4%BA%AC"
    assert set(pages) == {f"{site}index", tokyo, f"{site}notes"}
    assert pages[tokyo].title == "東京"
    assert [block.text for block in pages[tokyo].blocks] == ["東京", "東京は日本の首都です。"]
    assert pages[f"{site}index"].links == ((tokyo, "Tokyo"),)
    assert moved == {f"{site}Tokyo": tokyo}
    assert pages[tokyo].at == 1_777_852_800.0
    assert manifest == read_manifest((tmp_path / "content" / "wiki" / "snapshot.json").read_bytes())
    assert (manifest.pages, manifest.starts, manifest.title.ja) == (3, (f"{site}index",), "小さな百科")
    assert [path.name for path in (tmp_path / "content").iterdir()] == ["wiki"]


def test_files_of_before_2021_have_a_letter_in_their_addresses(tmp_path: Path) -> None:
    old = [Page(page.path, page.body, page.mime, "A" if page.namespace == "C" else page.namespace, page.title, page.to)
           for page in PAGES]  # fmt: skip
    convert(put(tmp_path, made(old, "index", is_new=False)), tmp_path, WISH)
    pages, moved = found(tmp_path / "wiki")
    assert "https://wiki.example/a/A/notes" in pages
    assert moved == {"https://wiki.example/a/A/Tokyo": "https://wiki.example/a/A/%E6%9D%B1%E4%BA%AC"}
    assert pages["https://wiki.example/a/A/index"].links[0][0] in pages


def test_a_copy_of_whole_sites_keeps_their_hosts(tmp_path: Path) -> None:
    pages = [Page("www.example.org/a/b", HOME), *about(Scraper="zimit 2.0", Source="x")]
    made_of = convert(put(tmp_path, made(pages)), tmp_path, WISH)
    assert made_of.starts == ("https://www.example.org/a/b",)


def test_limits_end_it_and_are_told(tmp_path: Path) -> None:
    pages = [*(Page(f"p{number}", HOME + b"x" * number) for number in range(5)), Page("long", HOME * 9),
             *about(Source="wiki.example")]  # fmt: skip
    file = put(tmp_path, made(pages, "p4"))
    few = convert(file, tmp_path / "few", ZimWish(name="few", licence="x", pages=2))
    assert (few.pages, few.stopped, few.starts) == (2, "pages", ("https://wiki.example/p4",))
    short = convert(file, tmp_path / "short", ZimWish(name="short", licence="x", file_bytes=len(HOME) + 9))
    assert (short.pages, short.left_out) == (5, {"size": 1})
    small = convert(file, tmp_path / "small", ZimWish(name="small", licence="x", total_bytes=len(HOME)))
    assert small.stopped == "size"
    assert small.pages < 6


def test_what_stands_in_its_place_and_what_has_no_page_or_no_address_is_refused(tmp_path: Path) -> None:
    (tmp_path / "wiki").mkdir()
    with pytest.raises(CaptureOtherError):
        convert(put(tmp_path, made(PAGES)), tmp_path, WISH)
    with pytest.raises(CaptureEmptyError):
        convert(put(tmp_path, made([PAGES[-5], *about(Source="wiki.example")])), tmp_path / "b", WISH)
    with pytest.raises(BadInputError):
        convert(put(tmp_path, made([PAGES[0], *about(Source="no address at all")])), tmp_path / "c", WISH)
    assert [list((tmp_path / name).iterdir()) for name in ("b", "c")] == [[], []]
    given_site = ZimWish(name="wiki", licence="x", site="http://intranet/wiki")
    assert convert(tmp_path / "wiki.zim", tmp_path / "d", given_site).starts == ("http://intranet/wiki/index",)


def test_a_packed_file_without_its_package_is_told_apart_from_a_damaged_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "zstandard", None)
    with pytest.raises(ZimPackedError):
        convert(put(tmp_path, made(PAGES)), tmp_path / "a", WISH)
    convert(put(tmp_path, made(PAGES, ways=(XZ,))), tmp_path / "b", WISH)


WHOLE = made(PAGES, "mainPage", (ZSTD, XZ, PLAIN))


def walk(data: bytes) -> None:
    """Everything that can be asked of it."""
    opened = Zim(io.BytesIO(data))
    opened.metadata("Title")
    for entry in opened.entries():
        if entry.target is None:
            opened.content(entry, 1 << 20)


def test_cut_off_anywhere_it_is_refused_with_a_sentence() -> None:
    for size in range(len(WHOLE)):
        try:
            walk(WHOLE[:size])
        except ZimDamagedError:
            continue
        assert size >= len(WHOLE) - 16, size  # only its own digest is missing, which isn't asked for


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(st.integers(0, len(WHOLE) - 1), st.integers(0, 255)), min_size=1, max_size=8))
def test_changed_bytes_end_in_a_sentence_or_in_other_words(changes: list[tuple[int, int]]) -> None:
    data = bytearray(WHOLE)
    for place, byte in changes:
        data[place] = byte
    try:
        walk(bytes(data))
    except ZimDamagedError:
        return


@pytest.mark.parametrize("way", [XZ, ZSTD])
def test_a_cluster_that_becomes_too_large_is_refused_before_it_is_unpacked(
    way: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reader, "_CLUSTER_BYTES", 1 << 20)
    bomb = made([Page("a", bytes(2 << 20)), *about(Source="x")], ways=(way,))
    assert len(bomb) < 10_000
    with pytest.raises(ZimDamagedError):
        walk(bomb)


def test_a_chain_of_redirects_without_an_end_leads_nowhere(tmp_path: Path) -> None:
    pages = [Page("a", to="b"), Page("b", to="a"), Page("c", HOME), *about(Source="wiki.example")]
    made_of = convert(put(tmp_path, made(pages, "a")), tmp_path, WISH)
    assert (made_of.pages, made_of.starts) == (1, ("https://wiki.example/c",))


@pytest.mark.parametrize("way", [PLAIN, ZSTD, XZ])
@pytest.mark.parametrize("table", [(8, 900_000), (8, 4), (0xFFFFFFF, 11), (4, 4), (0, 0), (9, 11)])
def test_tables_that_lie_are_refused(way: int, table: tuple[int, int]) -> None:
    """Of a cluster with one piece, which begins at 8 and ends at 11."""
    data = made([Page("a", b"abc")], ways=(way,), table=table)
    with pytest.raises(ZimDamagedError):
        walk(data)


def test_the_command_makes_it_and_says_what_it_holds(tmp_path: Path) -> None:
    def ran(file: Path, name: str) -> tuple[int, str]:
        words = ["bundle", "zim", str(file), "--into", str(tmp_path / "content"), "--licence", "CC-BY-SA-4.0"]
        done = CliRunner().invoke(main, [*words, "--name", name], env={"LC_ALL": "C"})
        return done.exit_code, done.output

    file = put(tmp_path, made(PAGES, "mainPage"))
    code, said = ran(file, "wiki")
    assert (code, "“wiki” holds 3 page(s)" in said, "--terms" in said) == (0, True, True)
    assert "HK-BND-019" in ran(file, "wiki")[1]
    assert "HK-BND-025" in ran(Path(__file__), "other")[1]
