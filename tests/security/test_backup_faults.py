"""Killed at every single call that changes the disk: a backup and a restore leave the old or the new, never half."""

import io
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from appliance.backup import making, restoring
from appliance.backup.making import Wish
from appliance.backup.repository import Repository
from tests.simulators.backed_box import BackedBox, quiet
from tests.simulators.killed_at import killed_at


@pytest.fixture
def stick(tmp_path: Path) -> Path:
    folder = tmp_path / "stick"
    folder.mkdir()
    return folder


@pytest.fixture
def box(tmp_path: Path) -> Iterator[BackedBox]:
    opened = BackedBox(tmp_path / "box")
    opened.users.create("alice", "Alice", "operator", "correct-horse-battery-staple", "en")
    opened.blobs.put(io.BytesIO(b"one"))
    yield opened
    opened.close()


def points(limit: int) -> Iterator[int]:
    """Every call at first, where the order matters most, then every third."""
    number = 1
    while number < limit:
        yield number
        number += 1 if number < 40 else 3


def make(folder: Path, stick: Path) -> None:
    box = BackedBox(folder)
    making.make(box.repository(stick), box.settings, box.database, Wish(keep=2), quiet)


def restore(repository: Repository, key: Callable[[str], bytes], vault: bytes, target: Path, over: bool) -> None:
    restoring.restore(repository, key, vault, target, None, quiet, over=over)


def test_a_backup_that_is_killed_anywhere_leaves_the_earlier_one_whole(box: BackedBox, stick: Path) -> None:
    assert box.run("create", stick).state == "done"
    box.blobs.put(io.BytesIO(b"two" * 1000))
    box.close()
    was = box.repository(stick).ids()
    for number in points(10_000):
        went_on = killed_at(number, make, box.settings.data_dir, stick)
        repository = box.repository(stick)
        assert repository.ids()[-1:] == was[-1:] or len(repository.ids()) == 2, number
        for name in repository.ids():
            for each, most in repository.snapshot(name).objects().items():
                repository.check(each, most)
        if not went_on:
            break
    else:
        pytest.fail("it never came to its end")
    assert number > 20
    assert len(box.repository(stick).ids()) == 2
    needed = {each for name in box.repository(stick).ids() for each in box.repository(stick).snapshot(name).objects()}
    assert {path.name for path in stick.glob("hako-backup/*/objects/??/*")} == needed
    assert list(stick.glob("hako-backup/*/incoming/*")) == []


def is_whole(folder: Path, users: int) -> bool:
    box = BackedBox(folder)
    try:
        box.audit.verify()
        with box.database.read() as connection:
            assert connection.execute("pragma quick_check").get == "ok"
            blobs = [row[0] for row in connection.execute("select id from blobs")]
            count = connection.execute("select count(*) from users").get
        for blob in blobs:
            assert b"".join(box.blobs.open(blob))
        return bool(count == users)
    finally:
        box.close()


@pytest.mark.parametrize("over", [False, True], ids=["a new box", "over a box"])
def test_a_restore_that_is_killed_anywhere_leaves_the_old_or_the_new(
    box: BackedBox, stick: Path, tmp_path: Path, over: bool
) -> None:
    assert box.run("create", stick).state == "done"
    vault = box.settings.vault_file.read_bytes()
    target = box.settings.data_dir if over else tmp_path / "new"
    box.users.create("later", "Later", "member", "correct-horse-battery-staple", "en")
    box.close()
    ends = 0
    for number in points(10_000):
        went_on = killed_at(number, restore, box.repository(stick), box.key, vault, target, over)
        new = target.exists() and is_whole(target, users=1)
        old = is_whole(target, users=2) if over and not new else not over and not target.exists()
        assert new or old, number
        ends += new
        if not went_on:
            assert new
            break
        if new:  # it was killed after the one step: begin again from the old one
            if not over:
                shutil.rmtree(target)
                continue
            break
    assert ends
    assert number > 10
