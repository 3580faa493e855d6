"""Killed at every single call that changes the disk: a backup and a restore leave the old or the new, never half."""

import io
import os
import shutil
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from appliance.backup import making, restoring
from appliance.backup.making import Wish
from tests.simulators.backed_box import BackedBox, quiet

CALLS = ("fsync", "rename", "mkdir", "unlink", "replace", "link", "open")
"""Of the system, as Python's `os` has them; pathlib goes through them too."""


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


def killed_at(number: int, work: Callable[[], None]) -> bool:
    """Do the work in a child that is killed before its call of that number; whether it came so far."""
    child = os.fork()
    if child == 0:
        count = 0
        real = {name: getattr(os, name) for name in CALLS}

        def counted(name: str) -> Callable[..., object]:
            def call(*arguments: object, **more: object) -> object:
                nonlocal count
                count += 1
                if count == number:
                    os.kill(os.getpid(), signal.SIGKILL)
                return real[name](*arguments, **more)

            return call

        for name in CALLS:
            setattr(os, name, counted(name))
        try:
            work()
        except BaseException:  # noqa: BLE001 - whatever it is, the child must not go on as a test
            sys.excepthook(*sys.exc_info())
            os._exit(1)
        os._exit(0)
    _pid, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0
    return os.WIFSIGNALED(status)


def points(limit: int) -> Iterator[int]:
    """Every call at first, where the order matters most, then every third."""
    number = 1
    while number < limit:
        yield number
        number += 1 if number < 40 else 3


def test_a_backup_that_is_killed_anywhere_leaves_the_earlier_one_whole(box: BackedBox, stick: Path) -> None:
    def make() -> None:
        again = BackedBox(box.settings.data_dir)
        making.make(again.repository(stick), again.settings, again.database, Wish(keep=2), quiet)

    assert box.run("create", stick).state == "done"
    box.blobs.put(io.BytesIO(b"two" * 1000))
    box.close()  # a child can't use its parent's connections
    was = box.repository(stick).ids()
    for number in points(10_000):
        went_on = killed_at(number, make)
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

    def restore() -> None:
        restoring.restore(box.repository(stick), box.key, vault, target, None, quiet, over=over)

    ends = 0
    for number in points(10_000):
        went_on = killed_at(number, restore)
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
