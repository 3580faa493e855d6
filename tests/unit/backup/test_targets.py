"""Where backups can go: what is listed below the places for media, what is not, and what is known of each."""

import os
from pathlib import Path

import pytest

from appliance.backup import targets
from appliance.backup.schedule import Schedule
from appliance.backup.targets import Targets
from tests.simulators.backed_box import BackedBox

BOX = "ab" * 16


@pytest.fixture
def media(tmp_path: Path) -> Path:
    folder = tmp_path / "media"
    folder.mkdir()
    return folder


@pytest.fixture
def found(tmp_path: Path, media: Path) -> Targets:
    (tmp_path / "data").mkdir()
    return Targets([media, tmp_path / "none"], tmp_path / "data", BOX)


def names(seen: Targets, *known: Path) -> list[str]:
    return [target.folder.name for target in seen.found(known)]


def test_a_plain_folder_says_that_it_is_on_the_boxs_own_disk_and_how_much_room_there_is(
    found: Targets, media: Path
) -> None:
    (media / "disk").mkdir()
    (target,) = found.found()
    assert (target.folder, target.is_there, target.is_writable, target.is_own_disk) == (media / "disk", *[True] * 3)
    assert 0 < target.free <= target.total
    assert not target.has_backups


def test_backups_are_seen_two_folders_down_and_whose_they_are(found: Targets, media: Path) -> None:
    (media / "alice" / "STICK" / "hako-backup" / BOX).mkdir(parents=True)
    (media / "old" / "hako-backup" / ("cd" * 16)).mkdir(parents=True)
    seen = {target.folder.name: target.has_backups for target in found.found()}
    assert seen == {"alice": False, "STICK": True, "old": False}


def test_where_sticks_appear_is_no_stick(found: Targets, media: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (media / "alice" / "STICK").mkdir(parents=True)
    inner = (media / "alice" / "STICK").stat().st_ino
    real = targets._is_mount

    def mounted(descriptor: int, name: str) -> bool:
        reached = os.stat(name, dir_fd=descriptor)
        return inner in (reached.st_ino, os.fstat(descriptor).st_ino) or real(descriptor, name)

    monkeypatch.setattr(targets, "_is_mount", mounted)
    assert names(found) == ["STICK"]


def test_links_hidden_folders_and_names_that_nobody_can_read_are_left_out(
    found: Targets, media: Path, tmp_path: Path
) -> None:
    (media / "link").symlink_to(tmp_path)
    (media / ".hidden").mkdir()
    (media / "a\nb").mkdir()
    os.mkdir(os.fsencode(media) + b"/\xff\xfe")  # noqa: PTH102 - no text
    (media / "file").write_text("x")
    assert names(found) == []


def test_the_roots_themselves_are_not_offered(found: Targets, media: Path) -> None:
    (media / "hako-backup" / BOX).mkdir(parents=True)
    assert media not in [target.folder for target in found.found()]


def test_a_known_folder_is_there_once_also_when_it_is_gone(found: Targets, media: Path, tmp_path: Path) -> None:
    (media / "disk").mkdir()
    gone = tmp_path / "gone"
    seen = found.found([gone, media / "disk"])
    assert [(target.folder.name, target.is_there) for target in seen] == [("gone", False), ("disk", True)]
    assert seen[0].free == 0


def test_a_folder_that_can_not_be_written_is_offered_only_if_backups_lie_there(
    found: Targets, media: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (media / "empty").mkdir()
    (media / "full" / "hako-backup" / BOX).mkdir(parents=True)
    monkeypatch.setattr("appliance.backup.targets.os.access", lambda *_given, **_more: False)
    assert [(target.folder.name, target.is_writable) for target in found.found()] == [("full", False)]


def test_a_box_offers_the_folder_of_its_schedule_first(box: BackedBox, stick: Path) -> None:
    box.run("create", stick)
    box.backups.plan(Schedule(folder=stick, hours=24), "alice")
    first = box.backups.targets()[0]
    assert (first.folder, first.has_backups) == (stick, True)
