"""Bundles on sticks: what is listed, and that no id, name, link or swap leads out of the operator's folders."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from appliance.bundle.media import BundleMedia, Place, place_of
from appliance.errors import BundleUnreadableError
from appliance.machine import folders
from tests.simulators.sticks import Sticks, packed
from tests.simulators.taking_box import TakingBox


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "media").mkdir()
    return tmp_path / "media"


def medium(folder: Path) -> Path:
    """What `hako bundle write` leaves, as far as listing looks."""
    (folder / "metadata").mkdir(parents=True)
    (folder / "metadata" / "timestamp.json").write_text("{}")
    return folder


def paths(root: Path) -> list[str]:
    return [found.path for found in BundleMedia([root]).found()]


def test_media_are_listed_down_to_three_folders_by_name_and_place(root: Path) -> None:
    for place in ("usb", "alice/STICK", "alice/OTHER/hako", "a/b/c/deep"):
        medium(root / place)
    there = BundleMedia([root, root])
    assert [found.path for found in there.found()] == [
        f"{root}/usb", f"{root}/alice/STICK", f"{root}/alice/OTHER/hako",
    ]  # fmt: skip
    assert [found.name for found in there.found()] == ["usb", "STICK", "hako"]
    for found in there.found():
        assert there.get(found.id) == found


def test_a_root_can_be_a_medium_itself_and_one_that_is_not_there_is_empty(root: Path, tmp_path: Path) -> None:
    medium(root / "copy")
    assert [found.name for found in BundleMedia([tmp_path / "none", root / "copy"]).found()] == ["copy"]
    assert BundleMedia([]).found() == []


def test_folders_that_only_look_alike_are_left_out(root: Path, tmp_path: Path) -> None:
    outside = medium(tmp_path / "outside")
    (root / "way-out").symlink_to(outside)
    (root / "linked").mkdir()
    (root / "linked" / "metadata").symlink_to(outside / "metadata")
    (root / "linked-file" / "metadata").mkdir(parents=True)
    (root / "linked-file" / "metadata" / "timestamp.json").symlink_to(outside / "metadata" / "timestamp.json")
    (root / "pipe" / "metadata").mkdir(parents=True)
    os.mkfifo(root / "pipe" / "metadata" / "timestamp.json")
    (root / "folder" / "metadata" / "timestamp.json").mkdir(parents=True)
    (root / "file").mkdir()
    (root / "file" / "metadata").write_text("no folder")
    (root / "empty" / "metadata").mkdir(parents=True)
    medium(root / ".hidden")
    assert paths(root) == []


def test_nothing_is_looked_for_inside_a_medium(root: Path) -> None:
    medium(medium(root / "stick") / "inside")
    assert paths(root) == [f"{root}/stick"]


def test_a_list_ends_after_so_many_media_and_so_many_entries(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(60):
        medium(root / f"{number:02}")
    assert len(paths(root)) == 50
    monkeypatch.setattr(folders, "_LOOKED_AT", 5)
    assert len(paths(root)) <= 5


def test_a_name_is_shown_without_what_could_disturb_the_words_around_it(root: Path) -> None:
    medium(root / "\u202eevil\n\x1b[2J")
    medium(root / os.fsdecode(b"\xff\xfe"))
    there = BundleMedia([root])
    assert {found.name for found in there.found()} == {"evil[2J", "?"}
    for found in there.found():
        assert found.path.isprintable()
        assert place_of(there.get(found.id).place.payload) == found.place


@pytest.mark.parametrize("name", ["", "..", "../outside", "/etc", "0" * 32, "alice/STICK", "a\0b", "\udcff"])
def test_an_id_that_is_none_finds_nothing(root: Path, name: str) -> None:
    medium(root / "alice" / "STICK")
    with pytest.raises(BundleUnreadableError):
        BundleMedia([root]).get(name)


def swap_folder(stick: Path, other: Path) -> None:
    stick.rename(stick.with_name("old"))
    stick.symlink_to(other)


def another_stick(stick: Path, other: Path) -> None:
    shutil.rmtree(stick)
    other.rename(stick)


def written_anew(stick: Path, _other: Path) -> None:
    (stick / "metadata" / "timestamp.json").write_text('{"newer": 1}')


def pull_out(stick: Path, _other: Path) -> None:
    shutil.rmtree(stick)


@pytest.mark.parametrize("swap", [swap_folder, another_stick, written_anew, pull_out])
def test_what_was_swapped_since_it_was_listed_is_refused(
    root: Path, tmp_path: Path, swap: Callable[[Path, Path], None]
) -> None:
    other = medium(tmp_path / "other")
    stick = medium(root / "STICK")
    there = BundleMedia([root])
    (listed,) = there.found()
    swap(stick, other)
    with pytest.raises(BundleUnreadableError):
        there.get(listed.id)


def test_a_link_that_came_between_the_look_and_the_taking_is_not_followed(
    box: TakingBox, sticks: Sticks, tmp_path: Path, root: Path
) -> None:
    packed(tmp_path / "content", "brought", 1)
    digest = sticks.add(tmp_path / "content", "pack")
    stick = sticks.write(root / "alice" / "STICK")
    box.trust(sticks)
    (listed,) = BundleMedia([root]).found()
    assert [found.digest for found in box.bundles.look(listed.place).bundles] == [digest]
    box.bundles.take(listed.place, digest, "alice")
    moved = stick.rename(tmp_path / "elsewhere")
    stick.symlink_to(moved)
    job = box.work()
    assert (job.state, job.error_code, box.models) == ("failed", "HK-BND-001", [])
    with pytest.raises(BundleUnreadableError):
        box.bundles.look(listed.place)
    stick.unlink()
    moved.rename(stick)
    box.bundles.take(listed.place, digest, "alice")
    assert (box.work().state, box.models) == ("done", ["brought"])


def test_a_job_of_before_places_had_a_way_below_goes_on() -> None:
    assert place_of({"folder": "/media/usb"}) == Place(Path("/media/usb"))
