"""The streamed ZIP and its names: whatever they were, they unpack into one folder and nowhere else."""

import io
import os
import sys
import unicodedata
import zipfile
from collections.abc import Iterator
from pathlib import Path, PureWindowsPath

import pytest

from webui.archive import Entry, Names, stream

HOSTILE = [
    "../../etc/passwd", "..\\..\\boot.ini", "/etc/passwd", "C:\\autoexec.bat", "\\\\server\\share\\x.txt",
    "..", ".", "", "  ", "...", "a/../../b", "a\0b.txt", "a\nb.txt", "nul", "NUL.txt", "con .txt", "Com1.tar.gz",
    "lpt¹.txt", "x:stream", "\u202egnp.exe", "a\u200bb", "trailing. ", "trailing.txt ", "😀" * 100 + ".txt",
    "長い名前" * 50 + ".docx", "\ud800broken", "aux", "name.with.many.dots.pdf", ".htaccess", "~root", "-rf",
    "CONIN$", 'a|b?c*d<e>f"g.md',
]  # fmt: skip


@pytest.mark.parametrize("wish", HOSTILE, ids=lambda wish: ascii(wish)[:24])
def test_a_name_is_one_plain_name(wish: str) -> None:
    name = Names().new(wish, "document")
    assert name
    assert not set(name) & set('<>:"/\\|?*')
    assert not [sign for sign in name if unicodedata.category(sign)[0] == "C"]
    assert name.strip(". ") == name
    assert len(name.encode()) < 200
    assert PureWindowsPath(name).name == name
    assert not PureWindowsPath(name).is_reserved()


@pytest.mark.parametrize(
    ("wish", "name"),
    [
        ("夜勤の手引き.docx", "夜勤の手引き.docx"),
        ("report.final.pdf", "report.final.pdf"),
        ("no ending", "no ending"),
        ("NUL.txt", "_NUL.txt"),
        ("../../x.txt", "_.._x.txt"),
        ("か\u3099.txt", "が.txt"),
        ("..", "document"),
        ("a.this is no ending", "a.this is no ending"),
    ],
)
def test_names_stay_what_they_were_where_that_is_harmless(wish: str, name: str) -> None:
    assert Names().new(wish, "document") == name


def test_each_name_of_a_folder_comes_once_whatever_the_case() -> None:
    names = Names()
    assert [names.new(wish, "x") for wish in ("a.txt", "A.TXT", "a.txt", "a (2).txt", "Straße", "STRASSE")] == [
        "a.txt", "A (2).TXT", "a (3).txt", "a (2) (2).txt", "Straße", "STRASSE (2)",
    ]  # fmt: skip


def test_a_given_ending_replaces_none_of_the_name() -> None:
    assert Names().new("v1.2", "preset", ".json") == "v1.2.json"
    assert Names().new("base 1.0", "base", "") == "base 1.0"


def test_what_is_streamed_can_be_read_by_others_and_lies_in_one_folder(tmp_path: Path) -> None:
    names = Names()
    wanted = {f"documents/{names.new(wish, 'document')}": os.urandom(1000) + wish.encode("utf-8", "replace") * 50
              for wish in HOSTILE}  # fmt: skip
    content = b"".join(stream(Entry(name, iter([text[:700], text[700:]]), 1e9) for name, text in wanted.items()))
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        assert archive.testzip() is None
        assert {info.filename: archive.read(info) for info in archive.infolist()} == wanted
        assert {info.date_time[0] for info in archive.infolist()} == {2001}
        archive.extractall(tmp_path / "out")
    unpacked = [path for path in (tmp_path / "out").rglob("*") if path.is_file()]
    assert len(unpacked) == len(wanted)
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_it_is_made_while_it_is_read() -> None:
    asked = 0

    def entries() -> Iterator[Entry]:
        nonlocal asked
        for number in range(20):
            asked += 1
            yield Entry(f"{number}", iter([os.urandom(1 << 15)] * 4), 1e9)

    running = stream(entries())
    largest = len(next(running))
    assert asked == 1
    largest = max(largest, *map(len, running))
    assert asked == 20
    assert largest < 1 << 17


def test_years_that_a_zip_can_not_tell_are_brought_near() -> None:
    content = b"".join(stream(iter([Entry("old", iter([b"x"]), 0.0), Entry("new", iter([b"x"]), 5e9)])))
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        assert [info.date_time[0] for info in archive.infolist()] == [1980, 2107]


@pytest.mark.skipif(sys.version_info < (3, 11, 4), reason="zipfile itself writes too low a version there")
def test_a_large_entry_has_the_fields_for_it() -> None:
    content = b"".join(stream(iter([Entry("large", iter([b"x"]), 1e9, 3 << 30)])))
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        assert archive.read("large") == b"x"
    assert content[:6] == b"PK\x03\x04\x2d\x00"  # needs 4.5 to be unpacked


def test_what_fails_on_the_way_leaves_nothing_that_can_be_opened() -> None:
    def broken() -> Iterator[bytes]:
        yield os.urandom(1 << 18)
        raise OSError

    pieces: list[bytes] = []
    with pytest.raises(OSError):
        pieces.extend(stream(iter([Entry("one", broken(), 1e9)])))
    with pytest.raises(zipfile.BadZipFile):
        zipfile.ZipFile(io.BytesIO(b"".join(pieces)))
