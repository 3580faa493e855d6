"""What a power cut may interrupt: taking a bundle, changing to a release, going back, a backup, a restore.

Each scene does its work once while it is recorded, and knows how to open what a cut has left of it.
"""

import io
import json
import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import pytest

from appliance import clock, durable
from appliance.backup import making, restoring
from appliance.backup.making import Wish
from appliance.bundle.update import switch
from appliance.bundle.update.state import Phase, Places
from tests.simulators.backed_box import BackedBox, quiet
from tests.simulators.bundle_cases import every_model_is_whole, everything_is_whole
from tests.simulators.power_cuts import Recording, State, lay_down, states
from tests.simulators.sticks import Sticks, plain
from tests.simulators.taking_box import TakingBox
from tests.simulators.tiny_releases import TinyBox


@dataclass
class Scene:
    """`check` opens a folder that a cut has left, and raises where it is neither the old nor the new."""

    recording: Recording
    check: Callable[[Path], None]

    def replay(self, folder: Path, mixtures: int, most: int | None = None, seed: int = 1) -> int:
        """Open what cuts leave, all of it or a sample; how many states that were."""
        found: Iterable[tuple[int, State]] = states(self.recording, mixtures, seed)
        if most is not None:
            found = _sample(found, most, seed)
        opened = 0
        for number, state in found:
            try:
                self.check(lay_down(state, folder))
            except BaseException as error:
                error.add_note(f"after event {number}, mixtures {mixtures}, seed {seed}: {sorted(state)}")
                raise
            opened += 1
        return opened


def _sample(found: Iterable[tuple[int, State]], most: int, seed: int) -> list[tuple[int, State]]:
    """So many of them, each as likely as any other, without having all at once."""
    dice, kept = random.Random(seed), list[tuple[int, State]]()
    for number, each in enumerate(found):
        place = number if number < most else dice.randint(0, number)
        if place < most:
            kept[place : place + 1] = [each]
    return sorted(kept, key=lambda item: item[0])


def taking(folder: Path) -> Scene:
    """A bundle of two models comes in from a stick."""
    content = folder / "content"
    plain(content, "first", bytes(range(256)) * 150)
    plain(content, "second", bytes(range(255, -1, -1)) * 100)
    sticks = Sticks(folder / "publisher", clock.now())
    digest = sticks.add(content, "pack")
    stick = sticks.write(folder / "stick")
    box = TakingBox(folder / "box")
    box.trust(sticks)
    recording = Recording([folder / "box"])
    with recording.running():
        box.bundles.take(str(stick), digest, "alice")
        assert box.work().state == "done"
    box.close()

    def check(left: Path) -> None:
        after = TakingBox(left)
        try:
            every_model_is_whole(after)
            assert after.audit.verify().is_sound
            if after.bundles.job() is None:
                assert after.models == []
                after.bundles.take(str(stick), digest, "alice")
            after.queue.recover()
            after.worker.step()
            job = after.bundles.job()
            assert job is not None
            assert (job.state, job.error_code) == ("done", None), job
            assert everything_is_whole(after)
            assert after.audit.verify().is_sound
        finally:
            after.close()

    return Scene(recording, check)


def _changed(folder: Path, *, healthy: bool) -> Scene:
    box = TinyBox(folder / "box")
    new = box.make("new", counter=2, schema=6)
    places = box.places
    recording = Recording([folder / "box"], sqlite=())
    with recording.running():
        box.want(new)
        switch.advance(places)
        places.note_migration()  # as the new release does before it changes anything
        durable.replace(box.data / "hako.db", json.dumps({**box.database, "schema": 6, "by": "new"}).encode())
        switch.probing(places)
        if healthy:
            switch.commit(places)
        else:
            switch.give_up(places, "check-answer")
            switch.advance(places)
    assert places.read().phase is (Phase.COMMITTED if healthy else Phase.ROLLED_BACK)

    def check(left: Path) -> None:
        there = Places.of(left)
        before = there.read()
        now = switch.advance(there)
        database = json.loads((left / "hako.db").read_text())
        assert there.is_whole(there.current)
        assert database["kept"]
        if there.current == "old":
            assert (database["schema"], now.is_trial) == (5, False)
        else:
            assert there.current == "new"
            assert now.is_trial or now.phase is Phase.COMMITTED
        assert healthy or now.phase is not Phase.COMMITTED
        if before.phase is Phase.COMMITTED:
            assert there.current == "new"
        while switch.advance(there).is_trial:  # nobody ever finds it healthy
            pass
        assert there.current in ("old", "new")
        left_schema = json.loads((left / "hako.db").read_text())["schema"]
        assert left_schema == (5 if there.current == "old" else 6)

    return Scene(recording, check)


def changing(folder: Path) -> Scene:
    """The box changes to a release that is kept."""
    return _changed(folder, healthy=True)


def going_back(folder: Path) -> Scene:
    """The box changes to a release that is not kept, and its snapshot is put back."""
    return _changed(folder, healthy=False)


def _filled(folder: Path) -> BackedBox:
    box = BackedBox(folder)
    box.users.create("alice", "Alice", "operator", "correct-horse-battery-staple", "en")
    box.blobs.put(io.BytesIO(b"one"))
    return box


def backup(folder: Path) -> Scene:
    """A second backup is made onto a stick that has one."""
    box = _filled(folder / "box")
    stick = folder / "stick"
    stick.mkdir()
    assert box.run("create", stick).state == "done"
    box.blobs.put(io.BytesIO(b"two" * 1000))
    (before,) = box.repository(stick).ids()
    recording = Recording([stick])
    with recording.running():
        making.make(box.repository(stick), box.settings, box.database, Wish(), quiet)

    def check(left: Path) -> None:
        repository = box.repository(left)
        names = repository.ids()
        assert before in names
        for name in names:
            for each, most in repository.snapshot(name).objects().items():
                repository.check(each, most)
        made = making.make(repository, box.settings, box.database, Wish(), quiet)
        for each, most in repository.snapshot(made.id).objects().items():
            repository.check(each, most)
        assert list(left.glob("hako-backup/*/incoming/*")) == []

    return Scene(recording, check)


def restore(folder: Path) -> Scene:
    """A backup is put in the place of a box that has done more since."""
    place = folder / "place"
    box = _filled(place / "box")
    stick = folder / "stick"
    stick.mkdir()
    assert box.run("create", stick).state == "done"
    box.users.create("bob", "Bob", "member", "correct-horse-battery-staple", "en")
    repository, vault = box.repository(stick), box.settings.vault_file.read_bytes()
    box.close()
    recording = Recording([place])
    real = restoring._exchange

    def exchanged(one: Path, other: Path) -> bool:
        done = real(one, other)
        recording.changed_at_once()
        return done

    with pytest.MonkeyPatch.context() as patch, recording.running():
        patch.setattr(restoring, "_exchange", exchanged)
        restoring.restore(repository, box.key, vault, place / "box", None, quiet, over=True)

    def check(left: Path) -> None:
        there = BackedBox(left / "box")
        try:
            assert [user.name for user in there.users.list()] in (["alice", "bob"], ["alice"])
            assert not any(found.kind == "entry" for found in there.audit.verify().open)
            with there.database.read() as connection:
                assert connection.execute("pragma quick_check").get == "ok"
                blobs = [row[0] for row in connection.execute("select id from blobs")]
            assert [b"".join(there.blobs.open(blob)) for blob in blobs] == [b"one"]
        finally:
            there.close()
        restoring.restore(repository, box.key, vault, left / "box", None, quiet, over=True)

    return Scene(recording, check)


SCENES: tuple[Callable[[Path], Scene], ...] = (taking, changing, going_back, backup, restore)
