"""Folders with ONNX models on sticks: which are listed, and that none leads out of the operator's folders."""

import contextlib
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from appliance.errors import NotFoundError
from appliance.inference.genai_importing import is_genai
from appliance.inference.media import Media, MediaItem
from appliance.inference.opened_folder import OpenedFolder
from appliance.inference.source import Source, SourceFolder


@pytest.fixture
def root(tmp_path: Path) -> Path:
    model = tmp_path / "media" / "STICK" / "Tiny E5"
    model.mkdir(parents=True)
    (model / "model.onnx").write_bytes(b"graph")
    (model / "config.json").write_bytes(b"{}")
    return tmp_path / "media"


def folders(root: Path) -> list[MediaItem]:
    return [item for item in Media([root]).found() if item.is_folder]


def read(place: Source | SourceFolder, name: str) -> bytes:
    assert isinstance(place, SourceFolder)
    with OpenedFolder("", place) as folder:
        return os.read(os.open(name, os.O_RDONLY, dir_fd=folder.descriptor), 100)


def test_a_folder_with_a_graph_or_a_chat_models_settings_is_listed_beside_the_files(root: Path) -> None:
    chat = root / "STICK" / "phi"
    chat.mkdir()
    (chat / "genai_config.json").write_bytes(b"{}")
    (root / "STICK" / "one.gguf").write_bytes(b"one")
    (root / "STICK" / "papers").mkdir()
    (root / "STICK" / "papers" / "config.json").write_bytes(b"{}")
    found = Media([root]).found()
    assert [(item.name, item.place, item.size, item.is_folder) for item in found] == [
        ("one.gguf", f"{root}/STICK", 3, False),
        ("Tiny E5", f"{root}/STICK", 7, True),
        ("phi", f"{root}/STICK", 2, True),
    ]
    for item, chats in ((found[1], False), (found[2], True)):
        with Media([root]).taken(item.id) as place:
            assert isinstance(place, SourceFolder)
            assert (place.name, is_genai("", place)) == (item.name, chats)
    assert read(Media([root]).taken(found[1].id), "model.onnx") == b"graph"


def test_a_folder_that_is_a_root_itself_has_its_own_name(root: Path) -> None:
    [item] = Media([root / "STICK" / "Tiny E5"]).found()
    assert item.name == "Tiny E5"
    assert read(Media([root / "STICK" / "Tiny E5"]).taken(item.id), "config.json") == b"{}"


def test_links_are_no_models_and_no_ways_to_one(root: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "model.onnx").write_bytes(b"secret")
    (root / "STICK" / "away").symlink_to(outside)
    pretended = root / "STICK" / "pretended"
    pretended.mkdir()
    (pretended / "model.onnx").symlink_to(outside / "model.onnx")
    os.mkfifo(pretended / "other.onnx")
    (root / "STICK" / ".hidden").mkdir()
    (root / "STICK" / ".hidden" / "model.onnx").write_bytes(b"x")
    assert [item.name for item in folders(root)] == ["Tiny E5"]


def test_where_a_file_is_wanted_a_folder_is_not_found(root: Path) -> None:
    with pytest.raises(NotFoundError):
        Media([root]).opened(folders(root)[0].id)
    assert not [held for held in open_names() if str(root) in held]


def change_file(model: Path, _secret: Path) -> None:
    (model / "model.onnx").write_bytes(b"another graph")


def add_file(model: Path, _secret: Path) -> None:
    (model / "weights.bin").write_bytes(b"x")


def swap_folder(model: Path, secret: Path) -> None:
    model.rename(model.with_name("old"))
    model.symlink_to(secret)


def swap_stick(model: Path, secret: Path) -> None:
    model.parent.rename(model.parent.with_name("old"))
    model.parent.symlink_to(secret.parent)


def pull_out(model: Path, _secret: Path) -> None:
    model.rename(model.with_name("gone"))


@pytest.mark.parametrize("swap", [change_file, add_file, swap_folder, swap_stick, pull_out])
def test_what_was_changed_or_swapped_since_it_was_listed_is_refused(
    root: Path, tmp_path: Path, swap: Callable[[Path, Path], None]
) -> None:
    secret = tmp_path / "outside" / "Tiny E5"
    secret.mkdir(parents=True)
    (secret / "model.onnx").write_bytes(b"graph")
    (secret / "config.json").write_bytes(b"{}")
    there = Media([root])
    [listed] = folders(root)
    swap(root / "STICK" / "Tiny E5", secret)
    with pytest.raises(NotFoundError):
        there.taken(listed.id)


def test_a_link_put_in_the_place_of_a_folder_that_is_open_leads_nowhere(root: Path, tmp_path: Path) -> None:
    secret = tmp_path / "outside"
    secret.mkdir()
    (secret / "model.onnx").write_bytes(b"secret")
    [listed] = folders(root)
    place = Media([root]).taken(listed.id)
    swap_folder(root / "STICK" / "Tiny E5", secret)
    assert read(place, "model.onnx") == b"graph"


@pytest.mark.parametrize("name", ["", "..", "STICK/Tiny E5", "/etc", "../outside", "a\0b", "\udcff", "0" * 32])
def test_an_id_that_is_none_opens_nothing(root: Path, name: str) -> None:
    with pytest.raises(NotFoundError):
        Media([root]).taken(name)


def open_names() -> list[str]:
    """What this process has open."""
    names: list[str] = []
    for entry in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):
            names.append(str(entry.readlink()))
    return names
