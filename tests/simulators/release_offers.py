"""A publisher's sticks with releases of the box, and an installation of them that takes no pip."""

import hashlib
import json
import platform
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from appliance.bundle.update import release, switch
from appliance.bundle.update.state import MANIFEST, Places, Release
from appliance.bundle.update.updates import Updates
from appliance.storage import migrations
from tests.simulators.sticks import Sticks
from tests.simulators.taking_box import TakingBox

STEPS = len(migrations.STEPS)


def install_at_once(
    places: Places, made: Release, _manifest: object, files: Path, tell: Callable[[], None] = lambda: None
) -> None:
    """A release counts as installed without an environment, which takes pip many seconds."""
    tell()
    if not places.is_whole(made.name):
        assert any((files / "wheels").iterdir())
        (places.folder(made.name) / "venv").mkdir(parents=True)
        (places.folder(made.name) / MANIFEST).write_text(json.dumps(vars(made)))


def install_slowly(step_s: float) -> Callable[..., None]:
    """The same in steps, as pip writes file after file, with the manifest at last; each takes so many seconds."""

    def install(
        places: Places, made: Release, _manifest: object, files: Path, tell: Callable[[], None] = lambda: None
    ) -> None:
        if places.is_whole(made.name):
            return
        folder = places.folder(made.name)
        shutil.rmtree(folder, ignore_errors=True)
        (folder / "venv").mkdir(parents=True)
        for number, wheel in enumerate([*(files / "wheels").iterdir()] * 8):
            tell()
            time.sleep(step_s)
            shutil.copy(wheel, folder / "venv" / f"{number}")
        (folder / f"{MANIFEST}.new").write_text(json.dumps(vars(made)))
        time.sleep(step_s)
        (folder / f"{MANIFEST}.new").rename(folder / MANIFEST)
        time.sleep(step_s)

    return install


class Offered:
    """A publisher's stick with one release after the other."""

    def __init__(self, folder: Path, sticks: Sticks, box: TakingBox) -> None:
        self._folder, self._sticks, self._box = folder, sticks, box

    def stick(self, version: str, counter: int, change: Callable[[Path], None] | None = None, **more: Any) -> Path:
        """What the manifest says may differ from what the index says."""
        content = self._folder / f"content-{version}"
        wheels = content / "wheels"
        wheels.mkdir(parents=True)
        own = wheels / f"hako_appliance-{version}-py3-none-any.whl"
        own.write_bytes(f"the wheel of {version}".encode())
        said = {
            "format": 1,
            "version": version,
            "counter": counter,
            "python": release.running_python(),
            "machine": platform.machine(),
            "schema_steps": STEPS,
            "reads_from": migrations.READS_FROM,
            "wheels": [
                {
                    "name": release.PRODUCT,
                    "version": version,
                    "file": own.name,
                    "sha256": hashlib.sha256(own.read_bytes()).hexdigest(),
                }
            ],
            **more.pop("manifest", {}),
        }
        (content / MANIFEST).write_text(json.dumps(said))
        if change:
            change(content)
        told = {"kind": "release", "role": "app", "counter": counter, "licence": "Apache-2.0", **more}
        self._sticks.indexes.clear()
        self.digest = self._sticks.add(content, "hako", version, **told)
        stick = self._folder / f"stick-{version}"
        return self._sticks.write(stick)

    def refusal(self, *given: Any, **more: Any) -> type[Exception]:
        stick = self.stick(*given, **more)
        (found,) = self._box.bundles.look(str(stick)).bundles
        first = found.plan.refusals[0]
        with pytest.raises(type(first)):
            self._box.bundles.take(str(stick), found.digest, "alice")
        return type(first)

    def take(self, *given: Any, **more: Any) -> Release:
        stick = self.stick(*given, **more)
        job = self._box.take(stick, self.digest)
        assert job.state == "done", job.error_code
        return self._box.bundles.updates.places.read().target


def kept(updates: Updates, made: Release) -> None:
    """Started, switched to, found healthy."""
    updates.start(made.digest, "alice", "closed", irreversible=made.irreversible)
    switch.advance(updates.places)
    switch.commit(updates.places)
