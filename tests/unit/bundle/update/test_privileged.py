"""Releases as root installs them: what web says counts for nothing, what root's own file signs for counts."""

import hashlib
import json
import os
import platform
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from appliance import clock
from appliance.bundle.update import install, release, switch
from appliance.bundle.update.anchor import RootsAnchor
from appliance.bundle.update.privileged import RootsReleases
from appliance.bundle.update.release import Manifest
from appliance.bundle.update.state import INCOMING, MANIFEST, STATE, Phase, Places, Release, Update
from appliance.bundle.update.switch import NOT_AGREED
from appliance.errors import (
    BundleDamagedError,
    BundleInvalidError,
    BundleKindError,
    BundleRollbackError,
    BundleSignatureError,
    BundleStaleError,
    BundleWrongBoxError,
    CancelledError,
    HakoError,
    HelperRefusedError,
    NoPublisherError,
    OtherPublisherError,
    PrivateFileError,
    ReleaseMediumError,
)
from appliance.machine.helper_shapes import Install
from appliance.storage import migrations
from tests.simulators import nursery, powerless
from tests.simulators.sticks import Sticks


class Rooms:
    """What root has, and a publisher whose releases come on sticks."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "releases" / STATE).mkdir(parents=True)
        self.places = Places(folder / "releases", folder)
        self.sticks = Sticks(folder / "publisher", clock.now())
        self.anchor = folder / "publisher-root.json"
        self.anchor.write_bytes(self.sticks.publisher.anchor)
        self.anchor.chmod(0o644)
        self.media = folder / "media"
        self.memory = folder / "memory"
        self.roots = RootsReleases(self.places, [self.media], self.anchor, self.memory)
        self.heard: list[str] = []

    def install(self, stick: Path, digest: str, *, stale: bool = False) -> str:
        """As the worker asks for it."""
        below = (*stick.relative_to(self.media).parts, "hako")
        wish = Install(verb="install", media=str(self.media), below=below, digest=digest, stale=stale)
        return self.roots.install(wish, lambda stage, _done, _total: self.heard.append(stage))

    def stick(
        self, version: str = "0.2.0", counter: int = 2, kind: str = "release", **manifest: Any
    ) -> tuple[Path, str]:
        content = self.folder / f"content-{version}"
        own = content / "wheels" / f"hako_appliance-{version}-py3-none-any.whl"
        own.parent.mkdir(parents=True)
        own.write_bytes(f"the wheel of {version}".encode())
        wheel = {"name": release.PRODUCT, "version": version, "file": own.name}
        wheel["sha256"] = hashlib.sha256(own.read_bytes()).hexdigest()
        said = {
            "format": 1, "version": version, "counter": counter, "python": release.running_python(),
            "machine": platform.machine(), "schema_steps": len(migrations.STEPS), "reads_from": migrations.READS_FROM,
            "wheels": [wheel], **manifest,
        }  # fmt: skip
        (content / MANIFEST).write_text(json.dumps(said))
        told: dict[str, Any] = {"counter": counter, "role": "app"} if kind == "release" else {}
        self.sticks.indexes.clear()
        digest = self.sticks.add(content, "hako", version, kind=kind, licence="Apache-2.0", **told)
        stick = self.media / f"stick-{version}"
        return self.sticks.write(stick / "hako").parent, digest


def quick(
    places: Places, made: Release, manifest: Manifest, files: Path, tell: Callable[[], None] = lambda: None
) -> None:
    """A release counts as installed without an environment, which takes pip many seconds."""
    for wheel in manifest.wheels:
        tell()
        assert hashlib.sha256((files / "wheels" / wheel.file).read_bytes()).hexdigest() == wheel.sha256
    (places.folder(made.name) / "venv").mkdir(parents=True)
    places.folder(made.name).chmod(0o755)
    (places.folder(made.name) / MANIFEST).write_text(json.dumps(vars(made)))


@pytest.fixture
def rooms(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Rooms:
    monkeypatch.setattr(install, "install", quick)
    return Rooms(tmp_path)


def test_a_signed_release_is_installed_and_the_box_may_change_to_it_once_root_agrees(rooms: Rooms) -> None:
    stick, digest = rooms.stick()
    assert rooms.install(stick, digest) == "0.2.0"
    (made,) = rooms.places.all()
    assert (made.version, made.digest, made.counter) == ("0.2.0", digest, 2)
    assert made.publisher == rooms.sticks.fingerprint
    assert rooms.places.about(made.name)["licence"] == "Apache-2.0"
    assert (rooms.heard[0], set(rooms.heard)) == ("copying", {"copying", "checking", "installing"})
    assert list((rooms.places.root / INCOMING).iterdir()) == []
    wanted(rooms, made)
    assert (rooms.places.current, rooms.places.read().reason) == ("", NOT_AGREED)
    assert rooms.roots.agree(digest) == "0.2.0"
    wanted(rooms, made)
    assert rooms.places.current == made.name
    assert rooms.install(stick, digest) == "0.2.0", "once more does no harm"


def wanted(rooms: Rooms, made: Release) -> None:
    """The box's own state says that an operator wants it, whoever has written that; then the machine starts."""
    rooms.places.write(Update(Phase.WANTED, made))
    switch.advance(rooms.places)


@pytest.mark.parametrize("phase", [Phase.WANTED, Phase.SNAPSHOT])
@pytest.mark.parametrize("name", [STATE, INCOMING, "snapshot"])
def test_a_folder_beside_the_releases_is_never_run_whatever_lies_in_it(rooms: Rooms, name: str, phase: Phase) -> None:
    evil = rooms.places.root / name
    (evil / "venv" / "bin").mkdir(parents=True)
    (evil / MANIFEST).write_text(json.dumps({"name": name, "digest": "c" * 64, "counter": 99, "version": "9"}))
    with pytest.raises(HelperRefusedError):
        rooms.roots.agree("c" * 64)
    rooms.places.agree(name)
    rooms.places.write(Update(phase, Release(name, digest="c" * 64)))
    for _ in range(2):
        switch.advance(rooms.places)
    assert (rooms.places.current, rooms.places.read().phase) == ("", Phase.ROLLED_BACK)
    install.remove_others(rooms.places, [])
    assert evil.exists() or name == "snapshot"


def test_a_folder_that_others_can_write_to_is_no_release_of_roots(rooms: Rooms) -> None:
    stick, digest = rooms.stick()
    rooms.install(stick, digest)
    (made,) = rooms.places.all()
    rooms.places.folder(made.name).chmod(0o775)
    with pytest.raises(HelperRefusedError) as seen:
        rooms.roots.agree(digest)
    assert seen.value.params == {"reason": "release"}
    wanted(rooms, made)
    assert rooms.places.current == ""


def test_the_first_publisher_is_trusted_by_an_operators_word_and_another_only_by_roots_hand(rooms: Rooms) -> None:
    rooms.anchor.unlink()
    stick, digest = rooms.stick()
    with pytest.raises(NoPublisherError):
        rooms.install(stick, digest)
    altered = json.loads(rooms.sticks.publisher.anchor)
    altered["signed"]["version"] = 7
    with pytest.raises(BundleSignatureError):
        rooms.roots.trust(json.dumps(altered).encode())
    assert rooms.roots.trust(rooms.sticks.publisher.anchor) == rooms.sticks.fingerprint
    other = Sticks(rooms.folder / "another", clock.now())
    assert rooms.roots.trust(other.publisher.anchor) == rooms.sticks.fingerprint, "the first one stays"
    assert rooms.install(stick, digest) == "0.2.0"
    rooms.anchor.write_bytes(other.publisher.anchor)
    rooms.anchor.chmod(0o644)
    assert rooms.roots.trust(rooms.sticks.publisher.anchor) == other.fingerprint
    refused(rooms, OtherPublisherError, "0.3.0", 3)


def test_root_needs_no_power_for_it_and_is_asked_again_and_again(tmp_path: Path) -> None:
    assert nursery.run(without_powers, tmp_path) == 0


def without_powers(folder: Path) -> None:
    powerless.become()
    install.install = quick
    rooms = Rooms(folder)
    rooms.anchor.unlink()
    for version, counter in (("0.2.0", 2), ("0.3.0", 3)):
        assert rooms.roots.trust(rooms.sticks.publisher.anchor) == rooms.sticks.fingerprint
        stick, digest = rooms.stick(version, counter)
        assert rooms.install(stick, digest) == version
        rooms.roots.agree(digest)
    other = Sticks(folder / "another", clock.now())
    for each in (other, rooms.sticks):
        RootsAnchor(rooms.anchor, rooms.memory).replace(each.publisher.anchor)
        assert rooms.roots.trust(rooms.sticks.publisher.anchor) == each.fingerprint


def test_only_what_lies_where_sticks_appear_is_looked_at(rooms: Rooms) -> None:
    stick, digest = rooms.stick()
    elsewhere = rooms.folder / "elsewhere"
    shutil.move(stick, elsewhere)
    for media, below in ((elsewhere, ("hako",)), (rooms.folder, ("elsewhere", "hako")), (rooms.media / "..", ())):
        with pytest.raises(ReleaseMediumError):
            rooms.roots.install(
                Install(verb="install", media=str(media), below=below, digest=digest), lambda *_given: None
            )
    assert rooms.places.all() == []


def test_a_statement_past_its_date_is_taken_where_an_operator_has_said_so(
    rooms: Rooms, monkeypatch: pytest.MonkeyPatch
) -> None:
    stick, digest = rooms.stick()
    later = clock.now() + 400 * 86400
    monkeypatch.setattr(clock, "now", lambda: later)
    with pytest.raises(BundleStaleError):
        rooms.install(stick, digest)
    assert rooms.install(stick, digest, stale=True) == "0.2.0"


def test_stopped_in_the_middle_nothing_is_installed_and_the_next_try_goes_on(rooms: Rooms) -> None:
    stick, digest = rooms.stick()
    wish = Install(verb="install", media=str(rooms.media), below=(stick.name, "hako"), digest=digest)
    for stage in ("copying", "checking", "installing"):

        def stop(now: str, _done: int, _total: int, stage: str = stage) -> None:
            if now == stage:
                raise CancelledError

        with pytest.raises(CancelledError):
            rooms.roots.install(wish, stop)
        assert rooms.places.all() == []
    assert rooms.install(stick, digest) == "0.2.0"


def test_without_an_anchor_of_roots_own_nothing_is_believed(rooms: Rooms) -> None:
    stick, digest = rooms.stick()
    rooms.anchor.chmod(0o664)
    with pytest.raises(PrivateFileError):
        rooms.install(stick, digest)
    rooms.anchor.unlink()
    with pytest.raises(NoPublisherError):
        rooms.install(stick, digest)
    if os.geteuid() == 0:
        rooms.anchor.write_bytes(rooms.sticks.publisher.anchor)
        os.chown(rooms.anchor, 65534, 0)
        with pytest.raises(PrivateFileError):
            rooms.install(stick, digest)
    assert rooms.places.all() == []


def refused(rooms: Rooms, error: type[HakoError], *given: Any, **more: Any) -> None:
    stick, digest = rooms.stick(*given, **more)
    before = rooms.places.all()
    with pytest.raises(error):
        rooms.install(stick, digest)
    assert rooms.places.all() == before


def test_what_another_publisher_has_signed_is_refused(rooms: Rooms) -> None:
    rooms.anchor.write_bytes(Sticks(rooms.folder / "another", clock.now()).publisher.anchor)
    refused(rooms, OtherPublisherError)


def test_what_is_older_or_for_another_machine_or_no_release_is_refused(rooms: Rooms) -> None:
    stick, digest = rooms.stick("0.5.0", 5)
    rooms.install(stick, digest)
    refused(rooms, BundleRollbackError, "0.4.0", 4)
    refused(rooms, BundleWrongBoxError, "0.6.0", 6, python="3.7")
    refused(rooms, BundleKindError, "0.7.0", 7, kind="models")


def test_a_part_that_was_altered_and_a_digest_that_is_not_there_are_refused(rooms: Rooms) -> None:
    stick, digest = rooms.stick()
    with pytest.raises(BundleInvalidError):
        rooms.install(stick, "b" * 64)
    for part in (stick / "hako" / "parts").rglob("*"):
        if part.is_file():
            part.write_bytes(part.read_bytes()[:-1] + b"!")
    with pytest.raises(BundleDamagedError):
        rooms.install(stick, digest)
    assert rooms.places.all() == []


def test_a_link_on_the_stick_leads_nowhere(rooms: Rooms) -> None:
    stick, digest = rooms.stick()
    shutil.move(stick / "hako", rooms.folder / "elsewhere")
    (stick / "hako").symlink_to(rooms.folder / "elsewhere")
    with pytest.raises(HakoError):
        rooms.install(stick, digest)
    assert rooms.places.all() == []
