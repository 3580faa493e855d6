"""What changing the release would mean, before anybody agrees to it: what differs, how long, how much room."""

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from typing import Any, Final

from appliance import modes
from appliance.bundle.index import Index
from appliance.bundle.update import snapshot
from appliance.bundle.update.history import Change
from appliance.bundle.update.release import PRODUCT, Manifest
from appliance.bundle.update.state import Phase, Places, Release
from appliance.errors import HakoError

_STOP_S: Final = 5.0
_START_S: Final = 15.0
_CHECK_S: Final = 30.0
_COPIED_A_S: Final = 50 << 20
"""Bytes of the database a second; guesses for a box that has never changed its release, rather too long than short."""


@dataclass(frozen=True)
class Package:
    """One that differs between the two releases; empty where there is none."""

    name: str
    before: str
    after: str


@dataclass(frozen=True)
class Estimate:
    """Seconds that nobody can work, in parts. `measured`: taken from the last change of this box, not guessed."""

    stop: float
    """Until all has ended and the snapshot is taken, where there is one."""
    start: float
    check: float
    measured: bool


@dataclass(frozen=True)
class Preview:
    """`before` runs, `after` would. Sizes in bytes; nothing may begin while there are `blockers`."""

    before: Release
    after: Release
    about: Mapping[str, Any]
    """What the bundle of `after` said of itself, see `about`; empty for the base."""
    packages: tuple[Package, ...]
    schema_steps: int
    """Steps of migration that the database has to make."""
    snapshot: int
    free: int
    time: Estimate
    blockers: tuple[HakoError, ...]


def about(index: Index, manifest: Manifest) -> dict[str, Any]:
    """What is kept of a bundle beside the release that it brought: words for people, and what it consists of."""
    return {
        "title": index.title.model_dump(),
        "notes": index.notes.model_dump(),
        "licence": index.licence,
        "issued": index.issued,
        "size": index.size,
        "packages": {wheel.name: wheel.version for wheel in manifest.wheels if wheel.name != PRODUCT},
    }


def forward(
    places: Places, before: Release, after: Release, changes: Sequence[Change], blockers: Sequence[HakoError]
) -> Preview:
    """To a release that is installed: with a snapshot, a trial, and the way back by itself."""
    size = snapshot.size(places.data)
    return Preview(
        before=before,
        after=after,
        about=places.about(after.name),
        packages=_packages(places, before, after),
        schema_steps=max(0, after.schema - before.schema),
        snapshot=size,
        free=_free(places),
        time=estimate(changes, size),
        blockers=tuple(blockers),
    )


def backward(
    places: Places, before: Release, after: Release, changes: Sequence[Change], blockers: Sequence[HakoError]
) -> Preview:
    """To the release before: what people did since stays, so nothing is copied, and nothing tried."""
    time = estimate(changes, 0)
    return Preview(
        before=before,
        after=after,
        about=places.about(after.name),
        packages=_packages(places, before, after),
        schema_steps=0,
        snapshot=0,
        free=_free(places),
        time=Estimate(time.stop, time.start, 0.0, time.measured),
        blockers=tuple(blockers),
    )


def estimate(changes: Sequence[Change], size: int) -> Estimate:
    """From the last change whose times are all known, else guessed. A wait for somebody to unlock isn't in it."""
    for change in changes:
        times = change.times
        wanted, copied = times.get(Phase.WANTED), times.get(Phase.SNAPSHOT)
        answered, kept = times.get(Phase.PROBING), times.get(Phase.COMMITTED)
        if wanted and copied and answered and kept:
            up = times.get("sealed", answered)
            parts = (copied - wanted, up - copied, kept - answered)
            if min(parts) >= 0:  # else the clock was set meanwhile
                return Estimate(*parts, measured=True)
    return Estimate(_STOP_S + size / _COPIED_A_S, _START_S, _CHECK_S, measured=False)


def _packages(places: Places, before: Release, after: Release) -> tuple[Package, ...]:
    new = _known(places, after)
    if not new:
        return ()
    old = _known(places, before) or {name: version for name in new if (version := _installed(name))}
    names = sorted({*old, *new})
    differing = (Package(name, old.get(name, ""), new.get(name, "")) for name in names)
    return tuple(package for package in differing if package.before != package.after)


def _known(places: Places, release: Release) -> dict[str, str]:
    packages = places.about(release.name).get("packages")
    return {str(name): str(version) for name, version in packages.items()} if isinstance(packages, dict) else {}


def _installed(name: str) -> str:
    """The version in the environment of the release that runs; empty if there is none."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return ""


def _free(places: Places) -> int:
    places.root.mkdir(mode=modes.folder(), parents=True, exist_ok=True)
    return shutil.disk_usage(places.root).free
