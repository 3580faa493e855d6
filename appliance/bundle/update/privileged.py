"""Releases as root installs them: verified once more, by a root of trust and a memory that only root can write.

What web and worker have found on a medium, and what their database says of it, counts for nothing here.
"""

import os
import secrets
import stat
from dataclasses import replace
from pathlib import Path
from typing import Final

import appliance
from appliance import clock, modes
from appliance.bundle.index import File, Index
from appliance.bundle.reading import Reading
from appliance.bundle.staging import Staging, checked
from appliance.bundle.trust.anchors import LONGEST
from appliance.bundle.trust.medium import Medium
from appliance.bundle.trust.state import TrustState, TrustStore
from appliance.bundle.update import install
from appliance.bundle.update.release import described, manifest_of, unmet
from appliance.bundle.update.state import RESTING, Places
from appliance.errors import (
    BundleIncompleteError,
    BundleKindError,
    BundleRollbackError,
    BundleWrongBoxError,
    NoPublisherError,
    PrivateFileError,
    ReleaseFloorError,
)

ANCHOR: Final = Path("/etc/hako/publisher-root.json")
"""The publisher's root metadata, put there with the machine or by root's own hand."""
MEMORY: Final = Path("/var/lib/hako-helper")


class RootsReleases:
    """`anchor` must be root's own file; `memory` is a folder that nobody else can enter."""

    def __init__(self, places: Places, anchor: Path = ANCHOR, memory: Path = MEMORY) -> None:
        self._places, self._anchor, self._memory = places, anchor, memory

    def install(self, folder: Path, below: tuple[str, ...], digest: str) -> str:
        """Verify the release on a medium, and install it for every account to run; its version.

        Raises:
            NoPublisherError: the machine trusts no publisher.
            PrivateFileError: others could have written the anchor.
            BundleRollbackError, ReleaseFloorError, BundleWrongBoxError, BundleKindError: not for this machine, or older
                than what root has installed.
            HakoError: as `Reading`, `Staging` and `install.install`.
        """
        anchor, store = self._trusted(), TrustStore(self._memory / "trust", self._key())
        with Reading(folder, anchor, store, at_least=0, clock=clock.now(), below=below) as reading:
            offer = reading.offer(digest)
            index = offer.index
            if index.kind != "release":
                raise BundleKindError(kind=index.kind)
            known = store.load()
            floor = max(known.floor, index.floor)
            if index.counter < floor:
                raise ReleaseFloorError(version=index.version, counter=index.counter, floor=floor)
            if index.counter < max(known.counter, appliance.COUNTER):
                raise BundleRollbackError(f"counter {index.counter}, {known.counter} was installed")
            manifest = manifest_of(index, lambda file: _small(reading.medium, index, file))
            for need in unmet(manifest):
                raise BundleWrongBoxError(need=need)
            release = described(index, digest, "", manifest)
            install.remove_others(self._places, [release.name])
            with Staging(self._places.root / "incoming", index, digest) as staging:
                staging.demand_room()
                for _step in staging.bring([reading.medium]):
                    pass
                install.install(self._places, release, manifest, staging.finish())
                staging.drop()
            store.save(_raised(store, index))
        return release.version

    def is_wanted(self, digest: str) -> bool:
        """Whether the state says that the box is to change to this release, and its folder is root's."""
        update = self._places.read()
        if update.phase in RESTING or not self._places.is_whole(update.target.name):
            return False
        installed = self._places.release(update.target.name)
        folder = self._places.folder(update.target.name)
        return installed is not None and installed.digest == digest and _is_ours(folder)

    def _trusted(self) -> bytes:
        try:
            opened = os.open(self._anchor, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError as error:
            raise NoPublisherError from error
        with os.fdopen(opened, "rb") as file:
            found = os.fstat(file.fileno())
            if found.st_uid != os.geteuid() or found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
                raise PrivateFileError(f"mode {found.st_mode & 0o777:o}", name=self._anchor.name)
            return file.read(LONGEST + 1)

    def _key(self) -> bytes:
        """Seals the memory, so that a damaged disk is told from what was learned."""
        place = self._memory / "key"
        self._memory.mkdir(mode=modes.folder(), parents=True, exist_ok=True)
        try:
            return place.read_bytes()
        except FileNotFoundError:
            made = secrets.token_bytes(32)
            descriptor = os.open(place, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o400)
            with os.fdopen(descriptor, "wb") as file:
                file.write(made)
                os.fsync(file.fileno())
            return made


def _raised(store: TrustStore, index: Index) -> TrustState:
    known = store.load()
    return replace(known, counter=max(known.counter, index.counter), floor=max(known.floor, index.floor))


def _is_ours(folder: Path) -> bool:
    found = folder.lstat()
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid() and not found.st_mode & 0o022


def _small(medium: Medium, index: Index, file: File) -> bytes:
    content = b""
    for part in file.parts:
        pieces = checked(medium, part)
        if pieces is None:
            raise BundleIncompleteError(part.sha256, base=index.requires.base or "?")
        content += b"".join(pieces)
    return content
