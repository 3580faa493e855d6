"""What taking a bundle would do to this box, or why it can't be taken. Copies nothing."""

import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Protocol

from tuf.api.exceptions import DownloadError, DownloadHTTPError

import appliance
from appliance import durable
from appliance.bundle import packs, requirements, shelf, staging, web_packs
from appliance.bundle.index import File, Index
from appliance.bundle.packs import PackedModel, State, Store
from appliance.bundle.reading import Offer
from appliance.bundle.requirements import Facts
from appliance.bundle.shelf import Pack, PackPlan, Shelf
from appliance.bundle.staging import Source, checked, part_path
from appliance.bundle.trust.medium import Medium, refusal
from appliance.bundle.update import release as releases
from appliance.bundle.update import system as systems
from appliance.bundle.update.release import Manifest
from appliance.bundle.update.state import Places
from appliance.bundle.update.system_state import Standing, SystemPlaces
from appliance.bundle.web_packs import PackedSnapshot, SnapshotShelf, SnapshotState
from appliance.config import Settings
from appliance.errors import (
    BundleIncompleteError,
    BundleKindError,
    BundleRollbackError,
    BundleUnreadableError,
    BundleWrongBoxError,
    ConflictError,
    ContainerReleaseError,
    DiskFullError,
    HakoError,
    ReleaseFloorError,
)
from appliance.inference.importing import demand_room
from appliance.machine import resources

_CHUNK: Final = 1 << 20
_UNPACKED: Final = 4
"""Bytes that a byte of a wheel takes when it is installed, at most as we have seen, with what Python makes of it."""
_BESIDE: Final = 1 << 20
"""Bytes of what is noted beside a system."""
Mark = tuple[int, int]
INBOX: Final = ".taking"
"""Below the models, so that what has come is put in place by a rename; no model can be called so."""


@dataclass(frozen=True)
class Plan:
    """Sizes in bytes. `refusals` say why it can't be taken; without any it can."""

    models: tuple[tuple[PackedModel, State], ...]
    wanted: Index
    """The bundle without the files of models that are there."""
    to_copy: int
    """What has still to come, of medium and box."""
    from_box: int
    """How much of that a thin bundle leaves out, because this box has it."""
    free: int
    refusals: tuple[HakoError, ...]
    restarts: tuple[str, ...] = ()
    """Parts of the box that have to be started again: models are seen at once, a release is the whole box."""
    release: Manifest | None = None
    """Of a bundle that is a release."""
    system: tuple[systems.Manifest, Standing] | None = None
    """Of a bundle that is a whole system, and the machine as it is."""
    snapshots: tuple[tuple[PackedSnapshot, SnapshotState], ...] = ()
    """Of a bundle of web snapshots."""
    pack: Pack | None = None
    """Of a bundle of documents."""
    documents: PackPlan | None = None

    @property
    def pack_to_place(self) -> Pack | None:
        """The documents that it brings."""
        return self.pack if self.documents is not None and self.documents.state != "there" else None

    @property
    def new(self) -> tuple[PackedModel, ...]:
        """The models that it brings."""
        return tuple(model for model, state in self.models if state == "new")

    @property
    def new_snapshots(self) -> tuple[PackedSnapshot, ...]:
        """The web snapshots that it brings."""
        return tuple(snapshot for snapshot, state in self.snapshots if state == "new")


class Parts(Source, Protocol):
    """What can say whether it has a part; raises DownloadError where that can't be told."""

    def has(self, path: str, /) -> bool: ...


class BoxParts:
    """Parts of the bundle's files that models of this box have: a source for thin bundles."""

    def __init__(self, index: Index, files: dict[str, Path]) -> None:
        """`files`: those of the box by SHA-256. What they really hold is checked when it is read."""
        self._places: dict[str, tuple[Path, int, int]] = {}
        for file in index.files:
            path = files.get(file.sha256)
            offset = 0
            for part in file.parts if path else ():
                assert path is not None
                self._places[part_path(part)] = (path, offset, part.size)
                offset += part.size

    def has(self, path: str) -> bool:
        """Whether the box has this part."""
        return path in self._places

    def read(self, path: str) -> Iterator[bytes]:
        """The bytes of a part, as `Medium.read`."""
        if path not in self._places:
            raise DownloadHTTPError("not on this box", 404)
        return _pieces(*self._places[path])


def _pieces(path: Path, offset: int, size: int) -> Iterator[bytes]:
    try:
        with path.open("rb") as file:
            file.seek(offset)
            while size and (piece := file.read(min(size, _CHUNK))):
                size -= len(piece)
                yield piece
    except OSError as error:
        raise DownloadError(f"store: {error.strerror}") from error


class Planner:
    """Knows the box."""

    def __init__(self, settings: Settings, store: Store, shelf: Shelf, snapshots: SnapshotShelf) -> None:
        self._settings, self._store, self._shelf, self._snapshots = settings, store, shelf, snapshots
        self._systems = SystemPlaces(settings.releases)

    def sources(self, medium: Medium, index: Index) -> Sequence[Source]:
        """Where parts come from: what the medium leaves out, the box may have."""
        return medium, BoxParts(index, self._store.files())

    def plan(self, medium: Medium, offer: Offer, publisher: str, mark: Mark = (0, 0)) -> Plan:
        """What taking it would do. What is wrong with the bundle or the box is one of the refusals.

        `mark`: the highest counter that was installed for good here, and the floor.
        """
        index = offer.index
        refusals: list[HakoError] = []
        refusals += [BundleWrongBoxError(need=need) for need in requirements.unmet(index.requires, self.facts())]
        models: tuple[tuple[PackedModel, State], ...] = ()
        if index.kind == "models":
            try:
                found = packs.models_of(index, lambda file: self._small(medium, index, file))
                models = tuple((model, self._store.state(model)) for model in found)
            except HakoError as error:
                refusals.append(error)
        elif index.kind == "release":
            return self._release(medium, offer, mark, refusals)
        elif index.kind == "system":
            return self._system(medium, offer, refusals)
        elif index.kind == "web":
            return self._web(medium, offer, refusals)
        elif index.kind == "knowledge":
            return self._documents(medium, offer, publisher, refusals)
        else:
            refusals.append(BundleKindError(kind=index.kind))
        refusals += [ConflictError(name=model.id) for model, state in models if state == "other"]
        there = {file.path for model, state in models if state == "there" for file in model.files}
        wanted = index.model_copy(update={"files": tuple(file for file in index.files if file.path not in there)})
        return self._weighed(medium, offer.digest, models, wanted, refusals)

    def _release(self, medium: Medium, offer: Offer, mark: Mark, refusals: list[HakoError]) -> Plan:
        """The next release of the box itself: it is installed beside the running one."""
        index, (counter, floor), manifest = offer.index, mark, None
        if self._settings.container:
            refusals.append(ContainerReleaseError())
        try:
            manifest = releases.manifest_of(index, lambda file: self._small(medium, index, file))
            refusals += [BundleWrongBoxError(need=need) for need in releases.unmet(manifest)]
        except HakoError as error:
            refusals.append(error)
        if index.counter < floor:
            refusals.append(ReleaseFloorError(version=index.version, counter=index.counter, floor=floor))
        elif index.counter < counter or self._is_another(index, offer.digest):
            refusals.append(BundleRollbackError(f"counter {index.counter}, {counter} was installed"))
        plan = self._weighed(medium, offer.digest, (), index, refusals, room=index.size * _UNPACKED)
        return replace(plan, release=manifest, restarts=("box",))

    def _system(self, medium: Medium, offer: Offer, refusals: list[HakoError]) -> Plan:
        """A whole system for the machine's other slot; root's helper looks at all of this again."""
        index, found = offer.index, None
        try:
            manifest = systems.manifest_of(index, lambda file: self._small(medium, index, file))
            places, system = Places(self._settings.releases, self._settings.data_dir), self._systems
            found = (manifest, system.demand())
            refusals += systems.refusals(
                manifest, found[1].running, found[1].room, highest=found[1].highest, release=appliance.COUNTER,
                has_releases=bool(places.all()),
            )  # fmt: skip
            system.demand_resting()
        except HakoError as error:
            refusals.append(error)
        plan = self._weighed(medium, offer.digest, (), index, refusals, room=_BESIDE)
        return replace(plan, system=found, restarts=("machine",))

    def _web(self, medium: Medium, offer: Offer, refusals: list[HakoError]) -> Plan:
        """Web snapshots: they are kept sealed, so their bytes are here twice until what has come is removed."""
        index = offer.index
        snapshots: tuple[tuple[PackedSnapshot, SnapshotState], ...] = ()
        try:
            found = web_packs.snapshots_of(index, lambda file: self._small(medium, index, file))
            snapshots = tuple((each, "there" if self._snapshots.has(each.digest) else "new") for each in found)
        except HakoError as error:
            refusals.append(error)
        there = {file.path for snapshot, state in snapshots if state == "there" for file in snapshot.files}
        wanted = index.model_copy(update={"files": tuple(file for file in index.files if file.path not in there)})
        plan = self._weighed(medium, offer.digest, (), wanted, refusals, room=wanted.size)
        return replace(plan, snapshots=snapshots)

    def _documents(self, medium: Medium, offer: Offer, publisher: str, refusals: list[HakoError]) -> Plan:
        try:
            pack = shelf.of_index(offer.index, offer.digest, publisher, self._settings.limits.upload_mb << 20)
        except HakoError as error:
            return self._weighed(medium, offer.digest, (), offer.index, [*refusals, error])
        return self.plan_pack(medium, offer.index, pack, {file.path: file.size for file in offer.index.files}, refusals)

    def plan_pack(
        self, medium: Parts, index: Index, pack: Pack, sizes: Mapping[str, int], refusals: Sequence[HakoError] = ()
    ) -> Plan:
        """Documents for a base: a new one, or the next version of one of the same maker. `sizes`: bytes of each."""
        found, documents = list(refusals), None
        try:
            documents = shelf.planned(self._shelf, pack, sizes)
        except HakoError as error:
            found.append(error)
        if documents is not None and documents.state == "there":
            index = index.model_copy(update={"files": ()})
        room = documents.room_bytes if documents is not None else 0
        plan = self._weighed(medium, pack.digest, (), index, found, room=room)
        return replace(plan, pack=pack, documents=documents)

    def _is_another(self, index: Index, digest: str) -> bool:
        """Whether there is a release of the same number that isn't this one; a box that was restored has none yet."""
        here = Places(self._settings.releases, self._settings.data_dir).all()
        same = [release.digest for release in here if release.counter == index.counter]
        return digest not in same and (bool(same) or index.counter == appliance.COUNTER)

    def _weighed(
        self,
        medium: Parts,
        digest: str,
        models: tuple[tuple[PackedModel, State], ...],
        wanted: Index,
        refusals: list[HakoError],
        room: int = 0,
    ) -> Plan:
        free = self.free()
        to_copy = staging.missing(self._settings.models / INBOX, wanted, digest)
        from_box = 0
        try:
            from_box = self._left_out(medium, wanted) if models or room else 0
            demand_room(self._settings.models, max(to_copy + room, wanted.requires.disk_bytes if to_copy else 0))
        except (BundleIncompleteError, BundleUnreadableError, DiskFullError) as error:
            refusals.append(error)
        return Plan(models, wanted, to_copy, from_box, free, tuple(refusals))

    def _left_out(self, medium: Parts, wanted: Index) -> int:
        """Bytes of parts that only the box has. Raises BundleIncompleteError, BundleUnreadableError."""
        box, left_out = BoxParts(wanted, self._store.files()), 0
        for part in wanted.parts:
            path = part_path(part)
            try:
                on_medium = medium.has(path)
            except DownloadError as error:
                raise refusal(error) from error
            if not on_medium and not box.has(path):
                raise BundleIncompleteError(part.sha256, base=wanted.requires.base or "?")
            left_out += 0 if on_medium else part.size
        return left_out

    def _small(self, medium: Medium, index: Index, file: File) -> bytes:
        """The content of a small file, each part checked. Raises as `staging.checked`, BundleIncompleteError."""
        content = b""
        for part in file.parts:
            found = (checked(source, part) for source in self.sources(medium, index))
            pieces = next((pieces for pieces in found if pieces is not None), None)
            if pieces is None:
                raise BundleIncompleteError(part.sha256, base=index.requires.base or "?")
            content += b"".join(pieces)
        return content

    def free(self) -> int:
        """Bytes of room for models."""
        durable.folder(self._settings.models)
        return shutil.disk_usage(self._settings.models).free

    def facts(self) -> Facts:
        """This box."""
        return Facts(
            name=self._settings.name,
            version=appliance.__version__,
            memory=resources.total(),
            cpu_flags=resources.cpu_flags(),
            gpu=resources.has_gpu(),
        )
