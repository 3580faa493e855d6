"""Whole systems, from the stick to where the machine looks for them: root verifies alone, and refuses with reasons."""

import hashlib
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from appliance import clock
from appliance.bundle.index import Index
from appliance.bundle.update import install, system
from appliance.bundle.update.state import INCOMING, MANIFEST, Phase, Release, Update
from appliance.bundle.update.system import Room
from appliance.bundle.update.system_state import Ended, Other, Standing
from appliance.errors import (
    BundleDamagedError,
    BundleInvalidError,
    BundleKindError,
    CancelledError,
    HakoError,
    HelperRefusedError,
    NoOtherSystemError,
    NotImagedError,
    OtherProfileError,
    OtherPublisherError,
    ReleaseMediumError,
    SystemBaseError,
    SystemBaseOldError,
    SystemOldError,
    SystemPythonError,
    SystemTooLargeError,
    SystemUnderWayError,
    UnhealthyError,
    UpdateTrialError,
)
from appliance.machine import helper_shapes as shapes
from appliance.machine.helper_client import HelperClient
from appliance.machine.helper_shapes import TakeSystem
from appliance.storage import audit_actions
from tests.simulators import roots_helper
from tests.simulators.release_offers import Offered, install_at_once
from tests.simulators.roots_helper import RootsFolders
from tests.simulators.sticks import Sticks
from tests.simulators.two_slots import digest, fill, own

OWN = os.geteuid()
ROOM = Room(root=10_000, tree=1000, esp=10_000, kept=10_000)
RESTART = "systemctl --no-block restart hako-slots.service"


class Imaged:
    """A machine of an image whose system has number 1, a box on it, root beside it, and a publisher."""

    def __init__(self, folder: Path, sticks: Sticks) -> None:
        self.folder, self.sticks = folder, sticks
        self.root = RootsFolders(folder / "root", folder / "box")
        self.box = self.root.box()
        self.systems = self.box.bundles.systems
        self.places = self.systems.places
        self.say()

    def say(self, **changes: Any) -> None:
        said = {"slot": "a", "running": own(1), "room": ROOM, "other": Other(number=1, version="0.1.0"), **changes}
        self.places.say(Standing.model_validate(said))

    def stick(self, number: int = 2, change: Callable[[Path], None] | None = None, **manifest: Any) -> tuple[Path, str]:
        content = fill(self.folder / f"content-{number}", number, **manifest)
        if change:
            change(content)
        self.sticks.indexes.clear()
        said = {"kind": "system", "role": "app", "counter": manifest.get("number", number), "licence": "GPL-2.0"}
        made = self.sticks.add(content, "hako-system", f"{number}", **said)
        return self.sticks.write(self.root.media / f"stick-{number}"), made

    def takes(self, stick: Path, made: str, tell: Any = lambda *_given: None) -> str:
        """By root's helper, as the worker asks."""
        wish = TakeSystem(verb="take-system", media=str(self.root.media), below=(stick.name,), digest=made)
        return self.root.releases.take_system(wish, tell)

    def trusted(self) -> "Imaged":
        """By root's own hand, not by the pages."""
        anchor = self.root.folder / "publisher-root.json"
        anchor.write_bytes(self.sticks.publisher.anchor)
        anchor.chmod(0o644)
        return self


@pytest.fixture
def imaged(tmp_path: Path, sticks: Sticks) -> Iterator[Imaged]:
    made = Imaged(tmp_path, sticks)
    yield made
    made.box.close()


def test_a_system_goes_from_the_stick_by_root_to_where_the_machine_looks_for_it(imaged: Imaged) -> None:
    with roots_helper.as_thread(imaged.root, imaged.box.settings.helper_socket, OWN):
        imaged.box.trust(imaged.sticks)
        stick, made = imaged.stick()
        (found,) = imaged.box.bundles.look(str(stick)).bundles
        assert (found.plan.refusals, found.plan.restarts) == ((), ("machine",))
        job = imaged.box.take(stick, made)
    assert job.state == "done", job.error_code
    order = imaged.places.order()
    assert order is not None
    assert (order.bundle, order.number, order.digest, order.phase, order.slot) == (made, 2, digest(2), "staged", "")
    assert order.manifest == hashlib.sha256((imaged.places.staged / system.MANIFEST).read_bytes()).hexdigest()
    assert {path.name for path in imaged.places.staged.iterdir()} == {system.MANIFEST, *system.FILES}
    assert imaged.root.ran == [RESTART]
    assert imaged.box.trail[-2:] == ["system-taken", "bundle-taken"]
    assert (imaged.box.leftovers, list((imaged.root.places.root / INCOMING).iterdir())) == ([], [])


def test_a_box_that_is_unwell_takes_no_system_for_its_trial_would_find_it_so(imaged: Imaged) -> None:
    shutil.rmtree(imaged.box.settings.models / "talker")
    imaged.box.trust(imaged.sticks)
    stick, made = imaged.stick()
    with pytest.raises(UnhealthyError) as seen:
        imaged.box.bundles.take(str(stick), made, "alice")
    assert seen.value.params == {"what": "talker"}


def refused(imaged: Imaged, error: type[HakoError], *given: Any, **more: Any) -> HakoError:
    """By root, whatever web and worker have found; nothing is left lying there."""
    stick, made = imaged.stick(*given, **more)
    before = imaged.places.order()
    with pytest.raises(error) as seen:
        imaged.takes(stick, made)
    assert (imaged.places.order(), imaged.places.staged.exists()) == (before, False)
    return seen.value


SMALL = [
    ({"root": 10}, "slot"),
    ({"tree": 10}, "tree"),
    ({"esp": 10}, "esp"),
    ({"esp": 800, "kept": 100}, "kernels"),
]


@pytest.mark.parametrize(("small", "what"), SMALL)
def test_what_does_not_fit_is_refused_with_its_size(imaged: Imaged, small: dict[str, int], what: str) -> None:
    imaged.trusted().say(room=ROOM.model_copy(update=small))
    seen = refused(imaged, SystemTooLargeError)
    assert seen.params["what"] == what
    assert int(seen.params["size"]) > int(seen.params["room"])


def test_what_is_for_another_machine_is_refused(imaged: Imaged) -> None:
    imaged.trusted()
    assert refused(imaged, OtherProfileError, 2, profile="nvidia").params == {"need": "nvidia", "here": "generic"}
    refused(imaged, OtherProfileError, 3, architecture="aarch64")
    refused(imaged, SystemBaseError, 4, counter=2, version="0.2.0")
    imaged.say(running=own(1).model_copy(update={"counter": 2}))
    refused(imaged, SystemBaseOldError, 5)


def test_a_base_may_be_as_new_as_the_release_that_runs_and_what_the_box_says_of_its_own_base_does_not_count(
    imaged: Imaged,
) -> None:
    imaged.trusted()
    places = imaged.root.places
    places.note_base(Release("x", counter=99))
    refused(imaged, SystemBaseError, 2, counter=2)
    installed(imaged, counter=2)
    stick, made = imaged.stick(3, counter=2)
    assert imaged.takes(stick, made) == "0.1.0"


def installed(imaged: Imaged, counter: int) -> None:
    place = imaged.root.places.folder("0.2.0-x")
    (place / "venv").mkdir(parents=True)
    (place / MANIFEST).write_text(f'{{"name": "0.2.0-x", "version": "0.2.0", "counter": {counter}}}')
    imaged.root.places.point("current", "0.2.0-x")


def test_another_python_is_refused_only_where_releases_need_theirs(imaged: Imaged) -> None:
    imaged.trusted()
    installed(imaged, counter=2)
    refused(imaged, SystemPythonError, 2, python="3.13")
    imaged.root.places.point("current", "")
    install.remove_others(imaged.root.places, [])
    imaged.takes(*imaged.stick(3, python="3.13"))


def test_what_is_older_than_was_ever_kept_is_refused_even_when_the_note_of_it_is_gone(imaged: Imaged) -> None:
    imaged.trusted().say(running=own(5), highest=5)
    refused(imaged, SystemOldError, 5)
    refused(imaged, SystemOldError, 4)
    imaged.say(running=own(1))  # the note says nothing of it any more; root's memory does
    assert refused(imaged, SystemOldError, 3).params == {"number": 3, "highest": 5}
    imaged.say(running=own(1), highest=5)  # gone back to: the newest that was kept may come again
    imaged.takes(*imaged.stick(5))


def test_on_a_machine_without_an_image_there_is_no_slot(imaged: Imaged) -> None:
    (imaged.places.folder / "standing.json").unlink()
    refused(imaged.trusted(), NotImagedError)
    imaged.box.trust(imaged.sticks)
    stick, made = imaged.stick(3)
    (found,) = imaged.box.bundles.look(str(stick)).bundles
    assert [type(error) for error in found.plan.refusals] == [NotImagedError]
    with pytest.raises(NotImagedError):
        imaged.box.bundles.take(str(stick), made, "alice")
    assert imaged.systems.standing() is None
    with pytest.raises(NotImagedError):
        imaged.systems.back()


def test_one_at_a_time_and_the_same_once_more_does_no_harm(imaged: Imaged) -> None:
    stick, made = imaged.trusted().stick()
    imaged.takes(stick, made)
    order = imaged.places.order()
    assert imaged.takes(stick, made) == "0.1.0"
    assert imaged.places.order() == order
    other, third = imaged.stick(3)
    with pytest.raises(SystemUnderWayError):
        imaged.takes(other, third)
    imaged.places.forget()
    imaged.say(phase="trial")
    with pytest.raises(SystemUnderWayError):
        imaged.takes(other, third)


def test_what_another_publisher_has_signed_or_somebody_has_altered_is_refused(imaged: Imaged) -> None:
    stick, made = imaged.trusted().stick()
    for part in (stick / "parts").rglob("*"):
        if part.is_file() and b"system 2" in part.read_bytes():
            part.write_bytes(part.read_bytes()[:-1] + b"!")
    with pytest.raises(BundleDamagedError):
        imaged.takes(stick, made)
    assert imaged.places.order() is None
    with pytest.raises(BundleInvalidError):
        imaged.takes(stick, "c" * 64)
    elsewhere = TakeSystem(verb="take-system", media=str(imaged.folder), below=("stick-2",), digest=made)
    with pytest.raises(ReleaseMediumError):
        imaged.root.releases.take_system(elsewhere, lambda *_given: None)
    (imaged.root.folder / "publisher-root.json").write_bytes(
        Sticks(imaged.folder / "another", clock.now()).publisher.anchor
    )
    refused(imaged, OtherPublisherError, 3)


def test_a_manifest_that_says_something_else_than_the_index_is_refused(imaged: Imaged) -> None:
    imaged.trusted()

    def more(content: Path) -> None:
        (content / "more.efi").write_bytes(b"x")

    def other(content: Path) -> None:
        (content / system.ROOT).write_bytes(b"another one")

    def less(content: Path) -> None:
        (content / system.TREE).unlink()

    for number, change in enumerate((more, other, less), 2):
        refused(imaged, BundleInvalidError, number, change)


def test_a_release_is_no_system_and_a_system_no_release(imaged: Imaged) -> None:
    stick, made = imaged.trusted().stick()
    wish = shapes.Install(verb="install", media=str(imaged.root.media), below=(stick.name,), digest=made)
    with pytest.raises(BundleKindError):
        imaged.root.releases.install(wish, lambda *_given: None)
    offered = Offered(imaged.root.media, imaged.sticks, imaged.box)
    release = offered.stick("0.2.0", 2)
    with pytest.raises(BundleKindError):
        imaged.takes(release, offered.digest)


def test_stopped_in_the_middle_nothing_is_ordered_and_the_next_try_goes_on(imaged: Imaged) -> None:
    stick, made = imaged.trusted().stick()
    for stage in ("copying", "checking"):

        def stop(now: str, _done: int, _total: int, stage: str = stage) -> None:
            if now == stage:
                raise CancelledError

        with pytest.raises(CancelledError):
            imaged.takes(stick, made, stop)
        assert imaged.places.order() is None
    imaged.takes(stick, made)
    assert imaged.places.order() is not None


def test_going_back_is_an_order_of_roots_where_there_is_another_system_that_has_run(imaged: Imaged) -> None:
    with roots_helper.as_thread(imaged.root, imaged.box.settings.helper_socket, OWN):
        with pytest.raises(NoOtherSystemError):
            imaged.systems.back()
        imaged.say(running=own(2), other=Other(number=1, version="0.1.0"), phase="writing")
        with pytest.raises(SystemUnderWayError):
            imaged.systems.back()
        assert (imaged.places.wants_back(), imaged.root.ran) == (False, [])
        imaged.say(running=own(2), other=Other(number=1, version="0.1.0"))
        imaged.systems.back()
    assert (imaged.places.wants_back(), imaged.places.wants_back(), imaged.root.ran) == (True, False, [RESTART])


def test_a_system_that_waits_for_its_first_start_is_dropped_by_the_same_order(imaged: Imaged) -> None:
    with roots_helper.as_thread(imaged.root, imaged.box.settings.helper_socket, OWN):
        imaged.say(phase="waiting", wanted=Other(number=2, version="0.1.0"), other=Other(number=2, version="0.1.0"))
        imaged.systems.back()
    assert (imaged.places.wants_back(), imaged.root.ran) == (True, [RESTART])


def test_the_worker_may_take_a_system_and_not_go_back(imaged: Imaged) -> None:
    """Mallory has taken over the worker."""
    path = imaged.box.settings.helper_socket
    imaged.say(running=own(2))
    with roots_helper.as_thread(imaged.root, path, OWN, shapes.WORKERS):
        with pytest.raises(HelperRefusedError):
            HelperClient(path).ask(shapes.SystemBack(verb="system-back"))
        imaged.trusted()
        stick, made = imaged.stick(3)
        wish = TakeSystem(verb="take-system", media=str(imaged.root.media), below=(stick.name,), digest=made)
        assert HelperClient(path).ask(wish) == {"version": "0.1.0"}
    assert not imaged.places.wants_back()


def test_release_and_system_are_never_changed_at_once(imaged: Imaged, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(install, "install", install_at_once)
    imaged.box.trust(imaged.sticks)
    updates = imaged.box.bundles.updates
    imaged.say(phase="waiting", wanted=Other(number=2, version="0.1.0"))
    with pytest.raises(SystemUnderWayError):
        updates.demand_resting()
    stick, made = imaged.stick(3)
    with pytest.raises(SystemUnderWayError):
        imaged.box.bundles.take(str(stick), made, "alice")
    imaged.say()
    updates.places.write(Update(Phase.SWITCHED, Release("x")))
    with pytest.raises(UpdateTrialError):
        imaged.box.bundles.take(str(stick), made, "alice")


def test_how_it_ended_is_recorded_once_by_whom_it_was_taken(imaged: Imaged) -> None:
    with roots_helper.as_thread(imaged.root, imaged.box.settings.helper_socket, OWN):
        imaged.box.trust(imaged.sticks)
        stick, made = imaged.stick()
        imaged.box.take(stick, made)
    ended = Ended(id="one", bundle=made, number=2, version="0.1.0", kept=False, reason="boots", at=1.0)
    imaged.say(ended=ended)
    for _ in range(2):
        imaged.systems.begin()
    assert imaged.box.trail[-1] == "system-taken-back"
    imaged.say(ended=ended.model_copy(update={"id": "two", "kept": True, "reason": ""}))
    imaged.systems.begin()
    imaged.say(ended=Ended(id="three", number=2, version="0.1.0", kept=False, reason="operator", at=2.0))
    imaged.systems.begin()
    assert imaged.box.trail[-3:] == ["system-taken-back", "system-kept", "system-taken-back"]
    assert set(imaged.box.trail) <= set(audit_actions.ACTIONS)


def test_systems_count_like_releases_and_have_no_floor() -> None:
    said = {"format": 1, "kind": "system", "name": "s", "version": "2", "issued": 1, "title": {}, "licence": "x",
            "files": [{"path": "system.json", "size": 0, "sha256": "a" * 64, "parts": []}]}  # fmt: skip
    for more in ({}, {"counter": 2, "floor": 1}):
        with pytest.raises(ValueError, match="counter"):
            Index.model_validate({**said, **more}, strict=False)
    assert Index.model_validate({**said, "counter": 2}, strict=False).target == "app/s/2/index.json"
