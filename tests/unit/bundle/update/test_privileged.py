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
from appliance.bundle.update import install, release
from appliance.bundle.update.privileged import RootsReleases
from appliance.bundle.update.release import Manifest
from appliance.bundle.update.state import MANIFEST, STATE, Phase, Places, Release, Update
from appliance.errors import (
    BundleDamagedError,
    BundleInvalidError,
    BundleKindError,
    BundleRollbackError,
    BundleSignatureError,
    BundleWrongBoxError,
    HakoError,
    NoPublisherError,
    PrivateFileError,
)
from appliance.storage import migrations
from tests.simulators.sticks import Sticks

BELOW = ("hako",)


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
        self.roots = RootsReleases(self.places, self.anchor, folder / "memory")

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
        stick = self.folder / f"stick-{version}"
        return self.sticks.write(stick / "hako").parent, digest


@pytest.fixture
def rooms(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Rooms:
    """A release counts as installed without an environment, which takes pip many seconds."""

    def quick(
        places: Places, made: Release, manifest: Manifest, files: Path, tell: Callable[[], None] = lambda: None
    ) -> None:
        for wheel in manifest.wheels:
            assert hashlib.sha256((files / "wheels" / wheel.file).read_bytes()).hexdigest() == wheel.sha256
        (places.folder(made.name) / "venv").mkdir(parents=True)
        places.folder(made.name).chmod(0o755)
        (places.folder(made.name) / MANIFEST).write_text(json.dumps(vars(made)))

    monkeypatch.setattr(install, "install", quick)
    return Rooms(tmp_path)


def test_a_signed_release_is_installed_and_may_be_restarted_into_once_an_operator_wants_it(rooms: Rooms) -> None:
    stick, digest = rooms.stick()
    assert rooms.roots.install(stick, BELOW, digest) == "0.2.0"
    (made,) = rooms.places.all()
    assert (made.version, made.digest, made.counter) == ("0.2.0", digest, 2)
    assert not rooms.roots.is_wanted(digest), "nobody has said so"
    rooms.places.write(Update(Phase.WANTED, made))
    assert rooms.roots.is_wanted(digest)
    assert not rooms.roots.is_wanted("b" * 64)
    assert sorted(path.name for path in (rooms.places.root / "incoming").iterdir()) == []


def test_a_folder_that_others_can_write_to_is_no_release_of_roots(rooms: Rooms) -> None:
    stick, digest = rooms.stick()
    rooms.roots.install(stick, BELOW, digest)
    (made,) = rooms.places.all()
    rooms.places.write(Update(Phase.WANTED, made))
    rooms.places.folder(made.name).chmod(0o775)
    assert not rooms.roots.is_wanted(digest)
    rooms.places.write(Update(Phase.WANTED, Release("../content-0.2.0", digest=digest)))
    assert not rooms.roots.is_wanted(digest)


def test_without_an_anchor_of_roots_own_nothing_is_believed(rooms: Rooms) -> None:
    stick, digest = rooms.stick()
    rooms.anchor.chmod(0o664)
    with pytest.raises(PrivateFileError):
        rooms.roots.install(stick, BELOW, digest)
    rooms.anchor.unlink()
    with pytest.raises(NoPublisherError):
        rooms.roots.install(stick, BELOW, digest)
    if os.geteuid() == 0:
        rooms.anchor.write_bytes(rooms.sticks.publisher.anchor)
        os.chown(rooms.anchor, 65534, 0)
        with pytest.raises(PrivateFileError):
            rooms.roots.install(stick, BELOW, digest)
    assert rooms.places.all() == []


def refused(rooms: Rooms, error: type[HakoError], *given: Any, **more: Any) -> None:
    stick, digest = rooms.stick(*given, **more)
    before = rooms.places.all()
    with pytest.raises(error):
        rooms.roots.install(stick, BELOW, digest)
    assert rooms.places.all() == before


def test_what_another_publisher_has_signed_is_refused(rooms: Rooms) -> None:
    rooms.anchor.write_bytes(Sticks(rooms.folder / "another", clock.now()).publisher.anchor)
    refused(rooms, BundleSignatureError)


def test_what_is_older_or_for_another_machine_or_no_release_is_refused(rooms: Rooms) -> None:
    stick, digest = rooms.stick("0.5.0", 5)
    rooms.roots.install(stick, BELOW, digest)
    refused(rooms, BundleRollbackError, "0.4.0", 4)
    refused(rooms, BundleWrongBoxError, "0.6.0", 6, python="3.7")
    refused(rooms, BundleKindError, "0.7.0", 7, kind="models")


def test_a_part_that_was_altered_and_a_digest_that_is_not_there_are_refused(rooms: Rooms) -> None:
    stick, digest = rooms.stick()
    with pytest.raises(BundleInvalidError):
        rooms.roots.install(stick, BELOW, "b" * 64)
    for part in (stick / "hako" / "parts").rglob("*"):
        if part.is_file():
            part.write_bytes(part.read_bytes()[:-1] + b"!")
    with pytest.raises(BundleDamagedError):
        rooms.roots.install(stick, BELOW, digest)
    assert rooms.places.all() == []


def test_a_link_on_the_stick_leads_nowhere(rooms: Rooms) -> None:
    stick, digest = rooms.stick()
    shutil.move(stick / "hako", rooms.folder / "elsewhere")
    (stick / "hako").symlink_to(rooms.folder / "elsewhere")
    with pytest.raises(HakoError):
        rooms.roots.install(stick, BELOW, digest)
    assert rooms.places.all() == []
