"""Files on their way in: checked, journaled, gone on with, and refused when the medium lies."""

import errno
import hashlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from tuf.api.exceptions import DownloadError, DownloadHTTPError

from appliance.bundle import staging
from appliance.bundle.index import File, Index, Part, Text
from appliance.bundle.staging import Staging, part_path
from appliance.errors import (
    BundleDamagedError,
    BundleIncompleteError,
    BundleUnreadableError,
    ConflictError,
    DiskFullError,
)

PIECES = {"a.bin": [b"first part ", b"second part ", b"third"], "deep/er/b.bin": [b"alone"], "empty": []}


def sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def made(pieces: dict[str, list[bytes]] = PIECES) -> Index:
    files = tuple(
        File(
            path=path,
            mode="program" if path == "a.bin" else "file",
            size=len(b"".join(parts)),
            sha256=sha(b"".join(parts)),
            parts=tuple(Part(sha256=sha(part), size=len(part)) for part in parts),
        )
        for path, parts in pieces.items()
    )
    return Index(format=1, kind="models", name="tiny", version="1", issued=1, title=Text(), licence="MIT", files=files)


class Stick:
    """Parts by path; remembers what was read, and can fail or lie."""

    def __init__(self, pieces: dict[str, list[bytes]] = PIECES) -> None:
        parts = [part for many in pieces.values() for part in many]
        self.parts = {part_path(Part(sha256=sha(part), size=len(part))): part for part in parts}
        self.asked: list[str] = []
        self.dies_after: int | None = None

    def read(self, path: str) -> Iterator[bytes]:
        if path not in self.parts:
            raise DownloadHTTPError("no", 404)
        self.asked.append(path)
        return self._pieces(self.parts[path])

    def _pieces(self, data: bytes) -> Iterator[bytes]:
        for start in range(0, len(data), 4):
            if self.dies_after is not None:
                self.dies_after -= 1
                if self.dies_after < 0:
                    raise DownloadError("read: no such device")
            yield data[start : start + 4]


def brought(folder: Path, stick: Stick) -> Path:
    with Staging(folder, made(), "d") as coming:
        list(coming.bring([stick]))
        return coming.finish()


def sound(files: Path) -> bool:
    return all((files / path).read_bytes() == b"".join(parts) for path, parts in PIECES.items())


def test_files_come_whole_with_their_modes(tmp_path: Path):
    files = brought(tmp_path, Stick())
    assert sound(files)
    assert [(files / path).stat().st_mode & 0o777 for path in PIECES] == [0o700, 0o600, 0o600]


def test_progress_begins_with_what_is_there_and_ends_with_all(tmp_path: Path):
    with Staging(tmp_path, made(), "d") as coming:
        seen = list(coming.bring([Stick()]))
    assert (seen[0].done, seen[-1].done, {step.total for step in seen}) == (0, made().size, {made().size})


@pytest.mark.parametrize("after", range(10))
def test_a_pulled_stick_costs_the_part_it_was_in_and_no_more(tmp_path: Path, after: int):
    stick = Stick()
    stick.dies_after = after
    with Staging(tmp_path, made(), "d") as coming, pytest.raises(BundleUnreadableError):
        list(coming.bring([stick]))
    first = list(stick.asked)
    stick.dies_after = None
    assert sound(brought(tmp_path, stick))
    again = stick.asked[len(first) :]
    assert set(again) & set(first) <= {first[-1]}


def test_each_part_is_read_once(tmp_path: Path):
    stick = Stick()
    brought(tmp_path, stick)
    assert sorted(stick.asked) == sorted(stick.parts)


@pytest.mark.parametrize("change", [lambda data: data[:-1], lambda data: data + b"!", lambda data: b"X" + data[1:]])
def test_a_part_that_is_another_is_refused_and_not_kept(tmp_path: Path, change):
    stick = Stick()
    name = next(iter(stick.parts))
    honest = stick.parts[name]
    stick.parts[name] = change(honest)
    with Staging(tmp_path, made(), "d") as coming:
        with pytest.raises(BundleDamagedError):
            list(coming.bring([stick]))
        assert coming.missing == made().size
        stick.parts[name] = honest
        list(coming.bring([stick]))
        assert sound(coming.finish())


def test_what_was_altered_on_the_disk_is_noticed_before_it_is_used(tmp_path: Path):
    with Staging(tmp_path, made(), "d") as coming:
        list(coming.bring([Stick()]))
        (coming.files / "a.bin").write_bytes(b"somebody else was here      ")
        with pytest.raises(BundleDamagedError):
            coming.finish()
    assert not (tmp_path / "d").exists()


def test_a_thin_bundle_takes_the_rest_from_the_box_or_names_its_base(tmp_path: Path):
    thin, box = Stick({"a.bin": [b"third"]}), Stick()
    with Staging(tmp_path, made(), "d") as coming:
        with pytest.raises(BundleIncompleteError):
            list(coming.bring([thin]))
        list(coming.bring([thin, box]))
        assert sound(coming.finish())
    assert part_path(Part(sha256=sha(b"third"), size=5)) not in box.asked


def test_a_bundle_comes_in_once_at_a_time(tmp_path: Path):
    with Staging(tmp_path, made(), "d"), pytest.raises(ConflictError):
        Staging(tmp_path, made(), "d")


def test_stopping_keeps_what_came(tmp_path: Path):
    with Staging(tmp_path, made(), "d") as coming:
        for step in coming.bring([Stick()], lambda: coming.missing < made().size):
            assert step.done < made().size
        assert 0 < coming.missing < made().size
    assert sound(brought(tmp_path, Stick()))


def test_no_room_is_told_before_anything_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: SimpleNamespace(free=10))
    with Staging(tmp_path, made(), "d") as coming, pytest.raises(DiskFullError):
        coming.demand_room()


def test_a_disk_that_fills_up_keeps_what_is_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    real, left = os.pwrite, [3]

    def write(target: int, data: memoryview, offset: int) -> int:
        left[0] -= 1
        if left[0] < 0:
            raise OSError(errno.ENOSPC, "no space")
        return real(target, data, offset)

    monkeypatch.setattr(staging.os, "pwrite", write)
    with Staging(tmp_path, made(), "d") as coming:
        with pytest.raises(DiskFullError):
            list(coming.bring([Stick()]))
        monkeypatch.undo()
        list(coming.bring([Stick()]))
        assert sound(coming.finish())


@pytest.mark.parametrize("junk", [b"", b"0 0", b"\xff\xfe\n", b"9 9\n0 ", b"0 0\n0 1\n"])
def test_a_journal_that_lies_is_found_out(tmp_path: Path, junk: bytes):
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "journal").write_bytes(junk)
    with Staging(tmp_path, made(), "d") as coming:
        list(coming.bring([Stick()]))
        if b"0 0\n" not in junk:
            assert sound(coming.finish())
        else:
            with pytest.raises(BundleDamagedError):
                coming.finish()
