"""The steps between two releases: each one cut off at each of its writes, and what a box is after that."""

import json
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from appliance import durable
from appliance.bundle.update import snapshot, switch
from appliance.bundle.update.state import BASE, BOOTS, Phase, Places, Update
from tests.simulators.killed_at import killed_at
from tests.simulators.tiny_releases import TinyBox


@pytest.fixture
def box(tmp_path: Path) -> Iterator[TinyBox]:
    made = TinyBox(tmp_path / "box")
    yield made
    made.stop()


def every_cut(
    work: Callable[[Places], object], places: Places, check: Callable[[], None], again: Callable[[], None]
) -> int:
    """Cut `work` off before each of its calls, `check` what is left, and begin `again`; how many cuts there were."""
    for call in range(1, 500):
        again()
        if not killed_at(call, work, places):
            return call - 1
        check()
    raise AssertionError("no end")


def test_from_wanted_to_a_trial_with_the_snapshot_first(box: TinyBox) -> None:
    box.want(box.make("new", counter=2))
    now = switch.advance(box.places)
    assert (now.phase, now.boots_left, now.before) == (Phase.SWITCHED, BOOTS - 1, "old")
    assert (box.places.current, box.places.pointed("previous")) == ("new", "old")
    assert {path.name for path in box.places.snapshot.iterdir()} == {"hako.db", "vault.json"}


def test_each_boot_of_a_trial_counts_and_after_the_last_the_box_goes_back(box: TinyBox) -> None:
    box.want(box.make("new", counter=2))
    for left in reversed(range(BOOTS)):
        assert switch.advance(box.places).boots_left == left
        assert box.places.current == "new"
    now = switch.advance(box.places)
    assert (now.phase, now.reason, box.places.current) == (Phase.ROLLED_BACK, switch.NO_BOOTS, "old")
    assert not box.places.snapshot.exists()


def test_the_base_is_what_a_box_without_an_older_release_goes_back_to(box: TinyBox) -> None:
    box.places.point("current", BASE)
    box.want(box.make("new", counter=2))
    switch.advance(box.places)
    assert (box.places.current, box.places.is_in_use) == ("new", True)
    switch.give_up(box.places, "check-answer")
    switch.advance(box.places)
    assert (box.places.current, box.places.is_in_use) == (BASE, False)


def test_a_schema_that_was_touched_is_put_back_and_one_that_was_not_is_left(box: TinyBox) -> None:
    for touched in (True, False):
        box.want(box.make(f"new-{touched}", counter=2))
        switch.advance(box.places)
        if touched:
            box.places.note_migration()
            (box.data / "later.json").write_text("[]")
        (box.data / "hako.db").write_text('{"schema": 6}')
        (box.data / "hako.db-wal").write_text("of the new one")
        switch.give_up(box.places, "x")
        switch.advance(box.places)
        assert box.database["schema"] == (5 if touched else 6)
        assert (box.data / "hako.db-wal").exists() is not touched
        assert not (box.data / "later.json").exists()


def test_after_the_commit_nothing_of_the_snapshot_is_left_and_no_reason_takes_it_back(box: TinyBox) -> None:
    box.want(box.make("new", counter=2))
    switch.advance(box.places)
    switch.probing(box.places)
    assert switch.commit(box.places).phase is Phase.COMMITTED
    assert not box.places.snapshot.exists()
    switch.give_up(box.places, "too late")
    assert switch.advance(box.places).phase is Phase.COMMITTED
    assert box.places.current == "new"


def test_without_room_for_the_snapshot_the_old_release_goes_on(box: TinyBox, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_given: object) -> None:
        raise OSError(28, "No space left on device")

    box.want(box.make("new", counter=2))
    monkeypatch.setattr(snapshot.shutil, "copyfileobj", full)
    now = switch.advance(box.places)
    assert (now.phase, now.reason, box.places.current) == (Phase.INSTALLED, switch.NO_ROOM, "old")
    assert not list(box.places.root.glob("snapshot*"))


def test_a_release_that_was_not_wholly_installed_is_never_run(box: TinyBox) -> None:
    box.want(box.make("new", counter=2))
    (box.places.folder("new") / "release.json").unlink()
    assert switch.advance(box.places).phase is Phase.ROLLED_BACK
    assert box.places.current == "old"


def test_a_state_that_can_not_be_read_lets_the_current_release_go_on(box: TinyBox) -> None:
    for damage in (b"", b"{", b"[]", b'{"phase": "dancing"}', b'{"phase": "idle", "target": 3}'):
        (box.places.root / "update.json").write_bytes(damage)
        assert switch.advance(box.places) == Update()
        assert box.places.current == "old"


def test_what_a_newer_release_wrote_into_the_state_is_read_by_an_older_launcher(box: TinyBox) -> None:
    said = {"phase": "committed", "target": {"name": "new", "colour": "red"}, "mood": "good", "before": "old"}
    durable.replace(box.places.root / "update.json", json.dumps(said).encode())
    assert (box.places.read().phase, box.places.read().target.name) == (Phase.COMMITTED, "new")


def restarted(places: Places, data: Path, update: Update, database: str) -> None:
    """The box as it was before the step."""
    snapshot.drop(places.snapshot)
    places.forget_migration()
    places.point("current", "old")
    places.point("previous", BASE)
    (data / "hako.db").write_text(database)
    places.write(update)


def test_cut_off_anywhere_on_the_way_to_the_trial_it_is_the_old_box_or_the_trial(box: TinyBox) -> None:
    box.want(box.make("new", counter=2))
    wanted, database = box.places.read(), (box.data / "hako.db").read_text()

    def check() -> None:
        now = switch.advance(box.places)
        assert (now.phase, box.places.current) == (Phase.SWITCHED, "new")
        assert now.boots_left in (BOOTS - 1, BOOTS - 2)  # a boot may have been counted that did not come
        assert (box.places.snapshot / "hako.db").read_text() == database

    again = partial(restarted, box.places, box.data, wanted, database)
    cuts = every_cut(switch.advance, box.places, check, again)
    assert cuts > 20


def test_cut_off_anywhere_on_the_way_back_it_is_the_old_box_with_its_data(box: TinyBox) -> None:
    box.want(box.make("new", counter=2))
    wanted, database = box.places.read(), (box.data / "hako.db").read_text()

    def again() -> None:
        restarted(box.places, box.data, wanted, database)
        switch.advance(box.places)
        box.places.note_migration()
        (box.data / "hako.db").write_text('{"schema": 6}')
        (box.data / "hako.db-wal").write_text("of the new one")
        switch.give_up(box.places, "check-answer")

    def check() -> None:
        now = switch.advance(box.places)
        assert (now.phase, now.reason, box.places.current) == (Phase.ROLLED_BACK, "check-answer", "old")
        assert (box.data / "hako.db").read_text() == database
        assert not (box.data / "hako.db-wal").exists()

    assert every_cut(switch.advance, box.places, check, again) > 20


def test_cut_off_anywhere_in_the_commit_it_is_committed_or_still_on_trial(box: TinyBox) -> None:
    box.want(box.make("new", counter=2))
    wanted, database = box.places.read(), (box.data / "hako.db").read_text()

    def again() -> None:
        restarted(box.places, box.data, wanted, database)
        switch.advance(box.places)

    def check() -> None:
        now = switch.advance(box.places)
        assert (now.phase, box.places.snapshot.exists()) in ((Phase.SWITCHED, True), (Phase.COMMITTED, False))
        assert box.places.current == "new"

    assert every_cut(switch.commit, box.places, check, again) > 3
