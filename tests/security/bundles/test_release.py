"""A release of the box that comes by stick: the cases in which the box must go on as the old one, or as the new one."""

import errno
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from appliance.bundle.update import install, switch
from appliance.bundle.update.state import BASE, RESTING, Phase
from appliance.bundle.update.updates import Updates
from appliance.errors import DiskFullError, IrreversibleError, ReleaseFloorError, UpdateTrialError
from appliance.storage import settings_store
from tests.simulators.bundle_cases import counted
from tests.simulators.release_offers import Offered, install_at_once, kept
from tests.simulators.sticks import Sticks
from tests.simulators.taking_box import TakingBox
from tests.simulators.tiny_releases import TinyBox


@pytest.fixture
def updates(box: TakingBox, monkeypatch: pytest.MonkeyPatch) -> Updates:
    monkeypatch.setattr(install, "install", install_at_once)
    monkeypatch.setattr(Updates, "demand_healthy", lambda *_given: None)  # there are no models here to be well
    return box.bundles.updates


@pytest.fixture
def offered(tmp_path: Path, sticks: Sticks, box: TakingBox, updates: Updates) -> Offered:
    assert updates
    return Offered(tmp_path / "releases", sticks, box)


@pytest.fixture
def tiny(tmp_path: Path) -> Iterator[TinyBox]:
    made = TinyBox(tmp_path / "tiny")
    yield made
    made.stop()


def full() -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


STEPS = [
    ("pwrite", 1), ("fdatasync", 2), ("fsync", 1), ("fsync", 4), ("rename", 1), ("rename", 2),
]  # fmt: skip
"""Of copying, checking, installing, the note and the placing."""
CHANGES = [("fsync", 1), ("fsync", 3), ("fsync", 6), ("rename", 1), ("rename", 2), ("rename", 3)]
"""Of the snapshot, the state and the switch."""


@pytest.mark.parametrize(("name", "number"), STEPS)
def test_case_25_a_disk_that_fills_up_while_a_release_comes_leaves_the_old_one(
    box: TakingBox, updates: Updates, offered: Offered, name: str, number: int
) -> None:
    stick = offered.stick("0.2.0", 2)
    box.bundles.take(str(stick), offered.digest, "alice")
    with pytest.MonkeyPatch.context() as patch:
        seen = counted(patch, name, number, full)
        assert box.work().state == "waiting"
        assert seen[0] >= number
    assert (updates.places.current, updates.places.read().phase in RESTING) == (BASE, True)
    with box.database.write() as connection:
        connection.execute("update jobs set not_before = 0")
    assert box.work().state == "done"
    kept(updates, updates.places.read().target)


@pytest.mark.parametrize(("name", "number"), CHANGES)
def test_case_25_a_disk_that_fills_up_while_the_box_changes_leaves_the_old_one_or_the_trial(
    updates: Updates, offered: Offered, name: str, number: int
) -> None:
    made = offered.take("0.2.0", 2)
    updates.start(made.digest, "alice", "closed")
    with pytest.MonkeyPatch.context() as patch:
        counted(patch, name, number, full)
        for _ in range(2):  # the launcher goes on with what runs, and comes back to it at the next start
            with suppress(OSError, DiskFullError):
                switch.advance(updates.places)
    places = updates.places
    assert places.current in (BASE, made.name)
    if places.current == made.name:
        assert places.read().phase in (Phase.SWITCHED, Phase.SNAPSHOT)
    now = switch.advance(places)
    assert now.phase in (Phase.SWITCHED, Phase.INSTALLED)  # on trial, or refused for want of room
    assert places.current == (made.name if now.is_trial else BASE)


def test_case_31_a_migration_that_fails_in_the_middle_is_put_back(tiny: TinyBox) -> None:
    tiny.want(tiny.make("new", counter=2, serve="torn", schema=6))
    tiny.launch()
    assert tiny.settle(Phase.ROLLED_BACK, Phase.COMMITTED) is Phase.ROLLED_BACK
    end = time.monotonic() + 20
    while not tiny.boots or tiny.boots[-1] != "old":
        assert time.monotonic() < end, tiny.boots
        time.sleep(0.02)
    assert tiny.database == {"schema": 5, "by": "old", "kept": True}


def test_case_31_a_release_without_a_way_back_is_not_begun_unless_that_is_agreed_to(
    updates: Updates, offered: Offered
) -> None:
    made = offered.take("0.2.0", 2, irreversible=True)
    with pytest.raises(IrreversibleError):
        updates.start(made.digest, "alice", "closed")
    assert updates.places.read().phase is Phase.INSTALLED


def test_case_32_nothing_is_taken_during_the_gate(box: TakingBox, updates: Updates, offered: Offered) -> None:
    made = offered.take("0.2.0", 2)
    updates.start(made.digest, "alice", "closed")
    switch.advance(updates.places)
    switch.probing(updates.places)
    stick = offered.stick("0.3.0", 3)
    with pytest.raises(UpdateTrialError):
        box.bundles.take(str(stick), offered.digest, "alice")


def test_case_33_going_back_below_the_floor_is_refused_and_recorded(
    box: TakingBox, updates: Updates, offered: Offered
) -> None:
    kept(updates, offered.take("0.3.0", 3))
    kept(updates, offered.take("0.4.0", 4, floor=4))
    settings_store.put(box.database, "done since", 1)
    with pytest.raises(ReleaseFloorError):
        updates.roll_back("mallory")
    (entry,) = (entry for entry in box.audit.entries() if entry.action == "update-refused")
    assert (entry.actor, entry.detail["counter"], entry.detail["floor"]) == ("mallory", 3, 4)
    assert updates.places.read().phase is Phase.COMMITTED
    assert settings_store.get(box.database, "done since") == 1
