"""Releases and systems as root installs them: verified again, by a root of trust and a memory that only root can write.

What web and worker have found on a medium, and what their database says of it, counts for nothing here.
"""

import os
import secrets
import shutil
import stat
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import appliance
from appliance import clock, durable, logs, modes
from appliance.bundle.index import File, Index
from appliance.bundle.reading import Offer, Reading
from appliance.bundle.remembered import memory_of
from appliance.bundle.staging import Staging, checked
from appliance.bundle.trust.counted import Count, CountedStore
from appliance.bundle.trust.medium import Medium
from appliance.bundle.trust.state import TrustStore
from appliance.bundle.update import install, preview
from appliance.bundle.update import system as systems
from appliance.bundle.update.anchor import ANCHOR, MEMORY, RootsAnchor, fingerprint_of
from appliance.bundle.update.release import Manifest, described, manifest_of, unmet
from appliance.bundle.update.state import BASE, INCOMING, Places, Release
from appliance.bundle.update.system_state import Order, Standing, SystemPlaces
from appliance.errors import (
    BundleIncompleteError,
    BundleKindError,
    BundleRollbackError,
    BundleSignatureError,
    BundleWrongBoxError,
    HelperRefusedError,
    NoOtherSystemError,
    OtherPublisherError,
    ReleaseFloorError,
    ReleaseMediumError,
    SystemUnderWayError,
)
from appliance.machine import tpm
from appliance.machine.helper import Tell
from appliance.machine.helper_shapes import FromStick, Install, TakeSystem

log = logs.get(__name__)


class RootsReleases:
    """Safe to share between threads. `anchor` must be root's own file; `memory` is a folder that nobody else can enter.

    `media`: folders below which sticks appear, as root's own settings name them.
    """

    def __init__(self, places: Places, media: Sequence[Path], anchor: Path = ANCHOR, memory: Path = MEMORY) -> None:
        self._places, self._media, self._memory = places, tuple(media), memory
        self._anchor = RootsAnchor(anchor, memory)
        self._systems = SystemPlaces(places.root)
        self._lock = threading.Lock()

    def install(self, wish: Install, tell: Tell) -> str:
        """Verify the release on a medium, and install it for every account to run; its version.

        Raises:
            ReleaseMediumError: not where sticks appear.
            NoPublisherError: the machine trusts no publisher. OtherPublisherError: it trusts another one.
            PrivateFileError: others could have written the anchor.
            BundleRollbackError, ReleaseFloorError, BundleWrongBoxError, BundleKindError: not for this machine, or older
                than what root has installed.
            CancelledError: `tell` says so; nothing is left of it but parts that needn't be read again.
            HakoError: as `Reading`, `Staging` and `install.install`.
        """
        with self._lock:
            with self._reading(wish) as (reading, store, fingerprint):
                offer = reading.offer(wish.digest)
                release, manifest = self._demand_fit(reading.medium, offer, store, fingerprint)
                self._put(reading.medium, offer, release, manifest, tell)
            known = store.load()
            store.save(
                replace(
                    known,
                    counter=max(known.counter, release.counter),
                    floor=max(known.floor, release.floor),
                )
            )
        return release.version

    def take_system(self, wish: TakeSystem, tell: Tell) -> str:
        """Verify the system on a medium, and lay it where `hako-slots` looks for it, with an order; its version.

        Raises:
            SystemUnderWayError: another one is on its way.
            NotImagedError, OtherProfileError, SystemOldError and the others of `system.refusals`: not for this machine.
            HakoError: as `install`.
        """
        with self._lock, self._reading(wish) as (reading, store, _fingerprint):
            offer, standing = reading.offer(wish.digest), self._systems.demand()
            manifest = self._demand_fit_system(reading.medium, offer, store, standing)
            order = self._systems.order()
            if order is None or order.bundle != offer.digest:
                if order is not None or not standing.is_resting:
                    raise SystemUnderWayError
                self._lay(reading.medium, offer, manifest, tell)
        return manifest.version

    def back(self) -> None:
        """Have the machine started with the system in the other slot, also from one on trial; drop one that waits.

        Raises:
            NotImagedError, NoOtherSystemError: there is none.
            SystemUnderWayError: one is just being written, or is gone already.
        """
        standing = self._systems.demand()
        if standing.phase in ("staged", "writing", "given-up"):
            raise SystemUnderWayError
        if standing.phase != "waiting" and not standing.can_go_back:
            raise NoOtherSystemError
        self._systems.want_back()

    def agree(self, digest: str) -> str:
        """Let the box change to this release; its version. An operator's word is still needed, in the box's own state.

        Raises:
            HelperRefusedError: root has installed no such release.
            ReleaseFloorError, BundleRollbackError: older than what root knows.
        """
        with self._lock:
            release = next((each for each in self._places.all() if each.digest == digest), None)
            if release is None or not _is_ours(self._places.folder(release.name)):
                raise HelperRefusedError(reason="release")
            self._demand_new(release.version, release.counter, self._store(self._anchor.trusted()))
            self._places.agree(release.name)
        return release.version

    def trust(self, root: bytes) -> str:
        """Trust this publisher from now on if none is trusted yet; the fingerprint of the one that is.

        Raises:
            BundleInvalidError, BundleSignatureError: no root that its own keys have signed.
            PrivateFileError: others could have written the anchor.
        """
        with self._lock:
            return self._anchor.first(root)

    @contextmanager
    def _reading(self, wish: FromStick) -> Iterator[tuple[Reading, TrustStore, str]]:
        """The medium as root sees it, with root's memory of its publisher and that one's fingerprint."""
        if Path(wish.media) not in self._media:
            raise ReleaseMediumError(wish.media)
        anchor = self._anchor.trusted()
        store, fingerprint = self._store(anchor), fingerprint_of(anchor)
        try:
            reading = Reading(
                Path(wish.media), anchor, store, at_least=0, clock=clock.now(), below=wish.below,
                accepts=lambda _expired: wish.stale,
            )  # fmt: skip
        except BundleSignatureError as error:  # the box's own look found it signed by whom it trusts
            raise OtherPublisherError(error.detail, fingerprint=fingerprint) from error
        with reading:
            yield reading, store, fingerprint

    def _demand_fit_system(
        self, medium: Medium, offer: Offer, store: TrustStore, standing: Standing
    ) -> systems.Manifest:
        index, known = offer.index, store.load()
        if index.kind != "system":
            raise BundleKindError(kind=index.kind)
        manifest = systems.manifest_of(index, lambda file: _small(medium, index, file))
        highest = max(known.system, standing.highest)
        if highest > known.system:
            store.save(replace(known, system=highest))
        for refusal in systems.refusals(
            manifest, standing.running, standing.room, highest=highest, release=self._running(),
            has_releases=bool(self._places.all()),
        ):  # fmt: skip
            raise refusal
        return manifest

    def _running(self) -> int:
        """The counter of the release that runs. What the box itself says of its base counts for nothing."""
        name = self._places.current
        release = self._places.release(name) if name != BASE else None
        return release.counter if release else appliance.COUNTER

    def _lay(self, medium: Medium, offer: Offer, manifest: systems.Manifest, tell: Tell) -> None:
        own = next(file for file in offer.index.files if file.path == systems.MANIFEST)
        with self._brought(medium, offer, tell) as files:
            self._systems.put(files)
        self._systems.give(
            Order(
                id=secrets.token_hex(8),
                bundle=offer.digest,
                number=manifest.number,
                version=manifest.version,
                digest=manifest.digest,
                manifest=own.sha256,
            )
        )
        _tidy(self._places.root / INCOMING)

    @contextmanager
    def _brought(self, medium: Medium, offer: Offer, tell: Tell) -> Iterator[Path]:
        """The bundle's files, copied from the medium and checked."""
        incoming = self._places.root / INCOMING
        _tidy(incoming, offer.digest)
        with Staging(incoming, offer.index, offer.digest) as staging:
            staging.demand_room()
            for step in staging.bring([medium]):
                tell("copying", step.done, step.total)
            yield staging.finish(lambda step: tell("checking", step.done, step.total))

    def _demand_fit(
        self, medium: Medium, offer: Offer, store: TrustStore, fingerprint: str
    ) -> tuple[Release, Manifest]:
        index = offer.index
        if index.kind != "release":
            raise BundleKindError(kind=index.kind)
        self._demand_new(index.version, index.counter, store, index.floor)
        manifest = manifest_of(index, lambda file: _small(medium, index, file))
        for need in unmet(manifest):
            raise BundleWrongBoxError(need=need)
        return described(index, offer.digest, fingerprint, manifest), manifest

    def _put(self, medium: Medium, offer: Offer, release: Release, manifest: Manifest, tell: Tell) -> None:
        if not self._places.is_whole(release.name):
            install.remove_others(self._places, [release.name])
            with self._brought(medium, offer, tell) as files:
                install.install(self._places, release, manifest, files, lambda: tell("installing", 0, 1))
        self._places.note_about(release.name, preview.about(offer.index, manifest))
        _tidy(self._places.root / INCOMING)

    def _demand_new(self, version: str, counter: int, store: TrustStore, own_floor: int = 0) -> None:
        known = store.load()
        floor = max(known.floor, own_floor)
        if counter < floor:
            raise ReleaseFloorError(version=version, counter=counter, floor=floor)
        if counter < max(known.counter, appliance.COUNTER):
            raise BundleRollbackError(f"counter {counter}, {known.counter} was installed")

    def _store(self, anchor: bytes) -> TrustStore:
        """What was learned of a publisher, with the highest counter and the floor."""
        folder, key = self._memory / "trust" / memory_of(fingerprint_of(anchor)), self._key()
        counter = tpm.counter()
        if counter is None:
            return TrustStore(folder, key)
        return CountedStore(folder, key, Count(self._memory, key, counter))

    def _key(self) -> bytes:
        """Seals the memory, so that a damaged disk is told from what was learned."""
        place = self._memory / "key"
        self._memory.mkdir(mode=modes.folder(), parents=True, exist_ok=True)
        try:
            return place.read_bytes()
        except FileNotFoundError:
            made = secrets.token_bytes(32)
            fresh = place.with_name("key.new")
            fresh.unlink(missing_ok=True)
            descriptor = os.open(fresh, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o400)
            with os.fdopen(descriptor, "wb") as file:
                file.write(made)
                os.fsync(file.fileno())
            fresh.rename(place)
            durable.sync(self._memory)
            return made


def _tidy(incoming: Path, keep: str = "") -> None:
    """What was brought and isn't needed any more: it is installed, or it never was."""
    for folder in incoming.iterdir() if incoming.is_dir() else ():
        if folder.name != keep:
            shutil.rmtree(folder, ignore_errors=True)


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
