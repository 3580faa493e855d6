"""A box whose releases are root's: it asks the helper, which looks at the stick itself, and root has the last word."""

import os
import random
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from appliance import clock
from appliance.bundle.media import Place
from appliance.bundle.update import install, switch
from appliance.bundle.update.state import BASE, Phase, Release, Update
from appliance.errors import (
    BundleSignatureError,
    CancelledError,
    HelperRefusedError,
    HelperUnreachableError,
    OtherPublisherError,
    ReleaseMediumError,
)
from appliance.machine import helper_shapes as shapes
from appliance.machine.helper_client import HelperClient
from tests.simulators import roots_helper
from tests.simulators.release_offers import Offered, install_at_once
from tests.simulators.roots_helper import RootsFolders
from tests.simulators.served_helper import ask
from tests.simulators.sticks import Sticks
from tests.simulators.taking_box import TakingBox

OWN = os.geteuid()


class Machine:
    """A box, what root has beside it, and a publisher."""

    def __init__(self, folder: Path, sticks: Sticks) -> None:
        self.root = RootsFolders(folder / "root", folder / "box")
        self.box = self.root.box()
        self.socket = self.box.settings.helper_socket
        self.sticks, self.updates = sticks, self.box.bundles.updates
        self.offered = Offered(self.root.media, sticks, self.box)


@pytest.fixture
def machine(tmp_path: Path, sticks: Sticks, monkeypatch: pytest.MonkeyPatch) -> Iterator[Machine]:
    monkeypatch.setattr(install, "install", install_at_once)
    made = Machine(tmp_path, sticks)
    yield made
    made.box.close()


def test_a_release_goes_from_the_stick_by_root_to_the_trial_and_is_kept(machine: Machine) -> None:
    with roots_helper.as_thread(machine.root, machine.socket, OWN):
        machine.box.trust(machine.sticks)
        made = machine.offered.take("0.2.0", 2, floor=1)
        assert machine.updates.places.read().phase is Phase.INSTALLED
        assert (machine.box.trail[-1], machine.box.leftovers) == ("bundle-taken", [])
        assert machine.box.models == ["embedder", "talker"]
        machine.updates.start(made.digest, "alice", "closed")
        switch.advance(machine.root.places)
        assert machine.root.places.current == made.name
        switch.commit(machine.root.places)
        standing = machine.updates.standing()
        assert (standing.floor, machine.updates.mark) == (1, (2, 1))
        machine.offered.take("0.3.0", 3)
        machine.updates.roll_back("alice")
        switch.advance(machine.root.places)
        assert machine.root.places.current == BASE


def test_what_the_box_itself_writes_down_is_not_roots_word(machine: Machine) -> None:
    """Whoever has taken over web or worker can write the state, and can not make root change to anything by it."""
    with roots_helper.as_thread(machine.root, machine.socket, OWN):
        machine.box.trust(machine.sticks)
        first = machine.offered.take("0.2.0", 2)
        machine.updates.start(first.digest, "alice", "closed")
        switch.advance(machine.root.places)
        switch.commit(machine.root.places)
        second = machine.offered.take("0.3.0", 3)
        machine.root.places.write(Update(Phase.WANTED, second, before=first.name, actor="mallory"))
        switch.advance(machine.root.places)
        assert (machine.root.places.current, machine.root.places.read().reason) == (first.name, switch.NOT_AGREED)
        machine.updates.settle()
        assert machine.box.trail[-1] == "update-rolled-back"


def test_who_is_neither_web_nor_worker_gets_nothing(machine: Machine) -> None:
    with roots_helper.as_thread(machine.root, machine.socket, OWN + 1):
        machine.box.trust(machine.sticks)
        stick = machine.offered.stick("0.2.0", 2)
        with pytest.raises(HelperRefusedError):
            machine.box.bundles.take(str(stick), machine.offered.digest, "alice")
    assert not machine.root.memory.exists()
    assert machine.root.places.all() == []


def test_what_does_not_lie_where_sticks_appear_is_not_installed(machine: Machine, tmp_path: Path) -> None:
    with roots_helper.as_thread(machine.root, machine.socket, OWN):
        machine.box.trust(machine.sticks)
        elsewhere = Offered(tmp_path / "elsewhere", machine.sticks, machine.box)
        job = machine.box.take(elsewhere.stick("0.2.0", 2), elsewhere.digest)
        assert job.error_code == ReleaseMediumError.code
        assert machine.updates.standing().ready is None


def test_the_machine_keeps_to_the_publisher_that_came_first(machine: Machine, tmp_path: Path) -> None:
    other = Sticks(tmp_path / "other", clock.now())
    with roots_helper.as_thread(machine.root, machine.socket, OWN):
        machine.box.trust(machine.sticks)
        machine.box.bundles.trust(other.publisher.anchor, other.fingerprint, "mallory", machine.sticks.fingerprint)
        theirs = Offered(machine.root.media / "theirs", other, machine.box)
        job = machine.box.take(theirs.stick("0.2.0", 2), theirs.digest)
        assert (job.error_code, job.error_params) == (
            OtherPublisherError.code,
            {"fingerprint": machine.sticks.fingerprint},
        )
    assert machine.root.places.all() == []


def test_a_stick_that_changes_between_the_two_looks_is_refused(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    other = Sticks(tmp_path / "other", clock.now())
    with roots_helper.as_thread(machine.root, machine.socket, OWN):
        machine.box.trust(machine.sticks)
        stick = machine.offered.stick("0.2.0", 2)
        asked = machine.updates.root.install

        def swapped(*given: object, **more: object) -> None:
            for file in (stick / "metadata").iterdir():
                file.unlink()
            other.write(stick, parts=False)
            asked(*given, **more)  # type: ignore[arg-type]

        monkeypatch.setattr(machine.updates.root, "install", swapped)
        job = machine.box.take(stick, machine.offered.digest)
        assert job.error_code == BundleSignatureError.code


def test_where_units_run_the_box_and_no_helper_answers_nothing_is_taken(tmp_path: Path, sticks: Sticks) -> None:
    accounts = {name: f"no-such-{name}" for name in ("keys", "web", "worker", "inference", "egress")}
    box = TakingBox(tmp_path / "box", accounts=accounts, sockets_dir=tmp_path / "run")
    box.trust(sticks)
    offered = Offered(tmp_path / "publisher", sticks, box)
    with pytest.raises(HelperUnreachableError):
        box.bundles.take(str(offered.stick("0.2.0", 2)), offered.digest, "alice")
    box.close()


def test_a_helper_that_is_killed_at_any_moment_leaves_the_old_release_or_the_new_one(
    tmp_path: Path, sticks: Sticks
) -> None:
    """Real processes and a real stick; only pip is left out, whose kills are a test of `make lifecycle`."""
    root, box = RootsFolders(tmp_path / "root", tmp_path / "box"), TakingBox(tmp_path / "box")
    offered, path = Offered(root.media, sticks, box), tmp_path / "run" / "helper.sock"
    client, chance, seen = HelperClient(path), random.Random(7), []
    helper = roots_helper.as_process(root, path, OWN, step_s=0.02)
    ask(client, shapes.Trust(verb="trust", root=sticks.publisher.anchor.decode()))
    for number in range(2, 6):
        stick = offered.stick(f"0.{number}.0", number)
        wish = shapes.Install(verb="install", media=str(root.media), below=(stick.name,), digest=offered.digest)
        killing = threading.Timer(chance.uniform(0.0, 0.6), helper.kill)
        killing.start()
        with suppress(HelperUnreachableError, HelperRefusedError):
            client.ask(wish)
        killing.join()
        helper.join(20)
        seen.append([each.version for each in root.places.all()])
        helper = roots_helper.as_process(root, path, OWN, step_s=0.02)
        ask(client, wish)
        assert [each.version for each in root.places.all()] == [f"0.{number}.0"]
        assert ask(client, shapes.Switch(verb="switch", digest=offered.digest)) == {"version": f"0.{number}.0"}
    helper.kill()
    helper.join(20)
    box.close()
    halves = [
        number for number, there in enumerate(seen, 2) if there not in ([], [f"0.{number - 1}.0"], [f"0.{number}.0"])
    ]
    assert (halves, len(seen)) == ([], 4)


def test_who_takes_the_release_may_stop_root(machine: Machine) -> None:
    def stop(_stage: str, _done: int, _total: int) -> None:
        raise CancelledError

    with roots_helper.as_thread(machine.root, machine.socket, OWN):
        machine.box.trust(machine.sticks)
        place = Place(machine.offered.stick("0.2.0", 2))
        release = Release("0.2.0-x", digest=machine.offered.digest, publisher=machine.sticks.fingerprint)
        with pytest.raises(CancelledError):
            machine.updates.root.install(release, place, stop, stale=False)
