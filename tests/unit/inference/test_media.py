"""Files on sticks: what is listed, and that no id, name, link or swap leads out of the operator's folders."""

import contextlib
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from appliance.config import Storage
from appliance.errors import ModelPathError, NotFoundError
from appliance.inference import media
from appliance.inference.media import Media, MediaItem
from appliance.machine import folders


@pytest.fixture
def stick(tmp_path: Path) -> Path:
    root = tmp_path / "media"
    (root / "alice" / "STICK" / "models").mkdir(parents=True)
    (root / "alice" / "STICK" / "One.GGUF").write_bytes(b"one")
    (root / "alice" / "STICK" / "models" / "two.gguf").write_bytes(b"two!")
    return root


def only(found: list[MediaItem], name: str) -> MediaItem:
    [file] = [file for file in found if file.name == name]
    return file


def test_model_files_are_listed_with_their_place_and_open_by_their_id(stick: Path) -> None:
    there = Media([stick])
    found = there.found()
    assert [(file.name, file.place, file.size) for file in found] == [
        ("One.GGUF", f"{stick}/alice/STICK", 3),
        ("two.gguf", f"{stick}/alice/STICK/models", 4),
    ]
    with there.opened(found[1].id) as source:
        assert (source.name, source.size, source.read(0)) == ("two.gguf", 4, b"two!")


def test_roots_that_are_not_there_are_empty_and_one_named_twice_counts_once(stick: Path, tmp_path: Path) -> None:
    assert Media([]).found() == []
    assert len(Media([tmp_path / "none", stick, stick]).found()) == 2


def test_other_files_links_hidden_ones_pipes_and_folders_are_left_out(stick: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret.gguf").write_bytes(b"secret")
    (stick / "link.gguf").symlink_to(outside / "secret.gguf")
    (stick / "way-out").symlink_to(outside)
    (stick / "folder.gguf").mkdir()
    (stick / "._two.gguf").write_bytes(b"x")
    (stick / ".hidden").mkdir()
    (stick / ".hidden" / "three.gguf").write_bytes(b"x")
    (stick / "notes.txt").write_bytes(b"x")
    os.mkfifo(stick / "pipe.gguf")
    assert {file.name for file in Media([stick]).found()} == {"One.GGUF", "two.gguf"}


def test_what_lies_too_deep_is_left_out(stick: Path) -> None:
    deep = stick / "a" / "b" / "c" / "d"
    deep.mkdir(parents=True)
    (deep / "deep.gguf").write_bytes(b"x")
    (deep.parent / "last.gguf").write_bytes(b"x")
    names = {file.name for file in Media([stick]).found()}
    assert "last.gguf" in names
    assert "deep.gguf" not in names


def test_a_list_ends_after_so_many_files_and_so_many_entries(stick: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(210):
        (stick / f"{number:03}.gguf").touch()
    assert len(Media([stick]).found()) == 200
    monkeypatch.setattr(folders, "_LOOKED_AT", 7)
    assert len(Media([stick]).found()) <= 7


def test_a_name_is_shown_without_what_could_disturb_the_words_around_it(stick: Path) -> None:
    hostile = "\u202eevil\n\x1b[2J.gguf"
    (stick / hostile).write_bytes(b"x")
    (stick / os.fsdecode(b"\xff\xfe.gguf")).write_bytes(b"x")
    there = Media([stick])
    found = there.found()
    assert {file.name for file in found} >= {"evil[2J.gguf", ".gguf"}
    for file in found:
        assert file.name.isprintable()
        with there.opened(file.id) as source:
            assert source.size == file.size


@pytest.mark.parametrize(
    "name", ["", "..", "../../etc/passwd", "/etc/passwd", "0" * 32, "alice/STICK/One.GGUF", "a\0b", "\udcff"]
)
def test_an_id_that_is_none_opens_nothing(stick: Path, name: str) -> None:
    with pytest.raises(NotFoundError):
        Media([stick]).opened(name)


def swap_file(path: Path, secret: Path) -> None:
    path.unlink()
    path.symlink_to(secret)


def swap_folder(path: Path, secret: Path) -> None:
    path.parent.rename(path.parent.with_name("old"))
    path.parent.symlink_to(secret.parent)


def swap_content(path: Path, secret: Path) -> None:
    path.write_bytes(secret.read_bytes())


def pull_out(path: Path, _secret: Path) -> None:
    path.unlink()


@pytest.mark.parametrize("swap", [swap_file, swap_folder, swap_content, pull_out])
def test_what_was_swapped_since_it_was_listed_is_refused(
    stick: Path, tmp_path: Path, swap: Callable[[Path, Path], None]
) -> None:
    secret = tmp_path / "outside" / "two.gguf"
    secret.parent.mkdir()
    secret.write_bytes(b"the secret")
    there = Media([stick])
    listed = only(there.found(), "two.gguf")
    swap(stick / "alice" / "STICK" / "models" / "two.gguf", secret)
    with pytest.raises(NotFoundError):
        there.opened(listed.id)


def test_a_swap_between_the_look_and_the_opening_is_refused(
    stick: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = Media([stick])
    listed = only(there.found(), "two.gguf")
    secret = tmp_path / "secret"
    secret.write_bytes(b"the secret")
    path = stick / "alice" / "STICK" / "models" / "two.gguf"
    opened_at = media.opened_at

    def late(*arguments: object) -> object:
        path.unlink()
        path.write_bytes(b"another")
        return opened_at(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(media, "opened_at", late)
    with pytest.raises(NotFoundError):
        there.opened(listed.id)

    def linked(*arguments: object) -> object:
        swap_file(path, secret)
        return opened_at(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(media, "opened_at", linked)
    with pytest.raises(ModelPathError):
        there.opened(only(there.found(), "two.gguf").id)


def test_no_file_stays_open(stick: Path) -> None:
    there = Media([stick])
    for _ in range(3):
        there.opened(there.found()[0].id).close()
        with pytest.raises(NotFoundError):
            there.opened("none")
    assert not [held for held in held_open() if str(stick) in held]


def held_open() -> list[str]:
    """What this process has open, by name."""
    names: list[str] = []
    for entry in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):
            names.append(str(entry.readlink()))
    return names


@pytest.mark.parametrize("folder", ["media", "../media", "/media/../etc"])
def test_a_folder_that_is_no_whole_path_is_no_setting(folder: str) -> None:
    with pytest.raises(ValueError, match="whole path"):
        Storage(media=(Path(folder),))
