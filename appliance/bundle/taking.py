"""Bundles as an operator deals with them: whom to trust, what lies in a folder, taking it, what this box needs."""

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from appliance.bundle.boxes.format import PackFile
from appliance.bundle.boxes.identity import Identity
from appliance.bundle.boxes.receiving import Receiving, Sender, is_of, public_of, told
from appliance.bundle.boxes.sending import Sending
from appliance.bundle.boxes.trusted import Boxes, TrustedBox
from appliance.bundle.inbox import Inbox
from appliance.bundle.index import Index
from appliance.bundle.intake import Intake
from appliance.bundle.media import PACK_ENDING, BundleMedia, Place
from appliance.bundle.packs import Store
from appliance.bundle.planning import INBOX, Plan, Planner
from appliance.bundle.remembered import Remembered
from appliance.bundle.request import HeldBundle, HeldModel, Request
from appliance.bundle.shelf import Shelf, Visibility
from appliance.bundle.stale import Acceptances
from appliance.bundle.trust import anchors
from appliance.bundle.trust.anchors import Anchor, Anchors
from appliance.bundle.update.systems import Systems
from appliance.bundle.update.updates import Updates
from appliance.bundle.web_packs import SnapshotShelf
from appliance.config import Settings
from appliance.errors import BadInputError, BoxUntrustedError, BundleInvalidError, BusyError, ConflictError, HakoError
from appliance.gateway.gateway import Gateway
from appliance.inference.importing import Importer
from appliance.jobs.queue import Job, Queue
from appliance.storage.audit import Audit
from appliance.storage.database import Database

KEY: Final = "bundle"
"""Of the only job: one bundle at a time."""
_PATH_CHARS: Final = 4096


@dataclass(frozen=True)
class Found:
    """A bundle in a folder, and what taking it would do."""

    digest: str
    index: Index
    plan: Plan


@dataclass(frozen=True)
class Look:
    """What lies in a folder. `issued` in seconds since the epoch: when the publisher last signed anything."""

    maker: str
    """Fingerprint of the publisher's root, or of the box that made the pack."""
    issued: float
    clock_is_credible: bool
    broken_chain: int | None
    """Version of a newer root that can't be followed, because roots between are missing."""
    is_stale: bool
    """Past its date, and accepted by an operator."""
    bundles: tuple[Found, ...]
    sender: Sender | None = None
    """The box that made it. Nothing of a pack is told before that one is trusted."""


@dataclass(frozen=True)
class Taken:
    """A bundle that was taken; `at` in seconds since the epoch."""

    digest: str
    kind: str
    name: str
    version: str
    licence: str
    size: int
    fingerprint: str
    by: str
    at: float


class Bundles:
    """Safe to share between threads; web asks, worker does."""

    def __init__(
        self,
        settings: Settings,
        database: Database,
        audit: Audit,
        queue: Queue,
        gateway: Gateway,
        shelf: Shelf,
        snapshots: SnapshotShelf,
        key: bytes,
        identity: Identity,
    ) -> None:
        """`shelf` keeps documents; `key` seals what is learned of a publisher; `identity` opens what boxes send."""

        def is_taken(name: str) -> bool:
            return name in gateway.aliases.all()

        self.anchors = Anchors(database)
        self.media = BundleMedia(settings.storage.media)
        self._database, self._audit, self._queue = database, audit, queue
        self._remembered = Remembered(settings.trust, key, self.anchors, Acceptances(database))
        self._store = Store(settings.models, Importer(settings, is_taken), is_taken)
        self._snapshots = snapshots
        self._planner = Planner(settings, self._store, shelf, snapshots)
        self.updates = Updates(settings, database, audit, gateway, self._remembered)
        self.systems = Systems(settings, database, audit, self.updates.root)
        self._inbox = Inbox(settings.models / INBOX, self._store, shelf, snapshots, identity, database, audit)
        self.identity, self.boxes = identity, Boxes(database)
        largest = settings.limits.upload_mb << 20
        self._receiving = Receiving(identity, self.boxes, largest)
        self.sending = Sending(identity, settings.name, largest, audit)

    def handler(self) -> Intake:
        """What works off the jobs of this service."""
        return Intake(
            self._inbox,
            self._planner,
            self._store,
            self._snapshots,
            self._remembered,
            self._receiving,
            self._audit,
            self.updates,
            self.systems,
        )

    def trust(self, root: bytes, fingerprint: str, actor: str, replaces: str = "") -> Anchor:
        """Trust this root from now on, and nobody else. Raises as `Anchors.put`."""
        described = self.anchors.demand_fit(root, fingerprint, replaces)
        self._audit.record(actor, "publisher-trusted", described.fingerprint, replaces=anchors.plain(replaces))
        anchor = self.anchors.put(root, fingerprint, by=actor, replaces=replaces)
        with suppress(HakoError):  # without a helper that answers, the first release is soon enough
            self.updates.root.vouch(root)
        return anchor

    def look(self, where: str | Place) -> Look:
        """What lies in a folder of this machine; copies nothing, but remembers what the publisher said.

        Raises:
            BadInputError: a text that is not a path from the root on.
            NoPublisherError, BusyError, TrustDamagedError: nothing can be judged now.
            BundleUnreadableError, BundleSignatureError, BundleRollbackError, BundleStaleError, BundleDamagedError,
            BundleInvalidError: refused as a whole.
        """
        place = _place(where)
        if place.pack:
            return self._look_at_pack(place)
        with self._remembered.reading(place) as (anchor, reading):
            mark = self.updates.mark
            bundles = tuple(
                Found(offer.digest, offer.index, self._planner.plan(reading.medium, offer, anchor.fingerprint, mark))
                for offer in reading.offers
            )
            return Look(
                anchor.fingerprint,
                reading.state.issued,
                reading.moment.clock_is_credible,
                reading.broken_chain,
                reading.is_stale,
                bundles,
            )

    def accept_stale(self, where: str | Place, reason: str, actor: str) -> Look:
        """Take what is signed in this folder for a day, though it is past its date; whoever calls has asked for more
        than a session. Nothing is recorded of a medium that is not past its date.

        Raises:
            BundleExpiredError: its date had passed when what this box knows was signed.
            HakoError: as `look`.
        """
        place = _place(where)
        expired = None if place.pack else self._remembered.expired(place)  # what a box has made has no date
        if expired is not None:
            fingerprint = self.anchors.demand().fingerprint
            issued = int(expired.issued)
            self._audit.record(actor, "bundle-stale-accepted", expired.identity, issued=issued, reason=reason)
            self._remembered.stale.put(fingerprint, expired.identity)
        return self.look(place)

    def take(self, where: str | Place, digest: str, actor: str, visibility: Visibility = "private") -> Job:
        """Have the bundle taken whose index has this digest: the one that was looked at and confirmed.

        `visibility`: who may read documents that it brings, unless it is a newer version of a base that is here.

        Raises:
            ConflictError: another one is being taken.
            UnhealthyError: a system is not taken by a box that is unwell.
            BundleInvalidError: the folder holds no such bundle, or not any more.
            HakoError: as `look`, or the plan's first refusal.
        """
        place = _place(where)
        look = self.look(place)
        found = next((found for found in look.bundles if found.digest == digest), None)
        if look.sender is not None and not look.sender.trusted:
            raise BoxUntrustedError(look.maker, box=look.sender.name)
        if found is None:
            raise BundleInvalidError("not in this folder")
        if found.plan.refusals:
            raise found.plan.refusals[0]
        if found.plan.release is not None or found.plan.system is not None:
            self.updates.demand_resting()
            self.updates.root.vouch(self.anchors.demand().root)
        if found.plan.system is not None:
            self.updates.demand_well("closed")  # its trial would find the box as unwell, and go back
        self._demand_free(digest)
        self._audit.record(actor, "bundle-started", digest, bundle=f"{found.index.name} {found.index.version}")
        payload = {
            **place.payload,
            "digest": digest,
            "actor": actor,
            "kind": found.index.kind,
            "name": found.index.name,
            "version": found.index.version,
            "visibility": visibility,
        }
        self._queue.enqueue(Intake.KIND, payload, key=KEY)
        job = self.job()
        if job is None or job.payload["digest"] != digest:  # somebody was quicker
            raise ConflictError(name=str(job.payload["name"]) if job else found.index.name)
        return job

    def trust_box(self, where: str | Place, fingerprint: str, actor: str) -> TrustedBox:
        """Take packs of the box that made this one from now on.

        Raises:
            BadInputError: `fingerprint`, as the other operator has told it, is not that box's; or `where` is no pack.
            BundleUnreadableError, …: as `PackFile`.
        """
        place = _place(where)
        if not place.pack:
            raise BadInputError(field="media")
        with PackFile(place) as file:
            if not is_of(file, anchors.plain(fingerprint)):
                raise BadInputError(field="fingerprint")
            name = self._receiving.sender(file).name
            self._audit.record(actor, "box-trusted", file.fingerprint, box=name)
            return self.boxes.put(public_of(file), name, actor)

    def distrust_box(self, fingerprint: str, actor: str) -> None:
        """Take no more packs of this box; bases that came stay. Raises NotFoundError."""
        self.boxes.drop(fingerprint)
        self._audit.record(actor, "box-distrusted", fingerprint)

    def _look_at_pack(self, place: Place) -> Look:
        with PackFile(place) as file:
            sender, index = self._receiving.sender(file), file.statement.index
            bundles: tuple[Found, ...] = ()
            if sender.trusted:
                received = self._receiving.opened(file)
                plan = self._planner.plan_pack(file, index, received.pack, received.sizes)
                bundles = (Found(file.digest, told(index, received.pack), plan),)
            return Look(
                sender.fingerprint, float(index.issued), True, None, is_stale=False, bundles=bundles, sender=sender
            )

    def job(self) -> Job | None:
        """The bundle that is being taken, or the last one that was, with how far it is or how it ended."""
        return self._queue.by_key(KEY)

    def keeps(self, job: Job) -> bool:
        """Whether something of its bundle is here, so that taking it again goes on from there."""
        return self._inbox.holds(str(job.payload["digest"]))

    def cancel(self, actor: str) -> None:
        """Stop taking, or give up what a pulled stick has left half taken; what came of it is removed.

        A bundle that is being placed already is brought to its end.
        """
        running = (job := self.job()) is not None and job.state == "running"
        self._queue.cancel(KEY)
        if not running:
            with suppress(BusyError), self._inbox.held():
                self._inbox.tidy(actor)

    def taken(self) -> list[Taken]:
        """The bundles that this box has taken, newest first."""
        rows: list[tuple[Any, ...]]
        with self._database.read() as connection:
            rows = connection.execute(
                "select digest, kind, name, version, licence, size, fingerprint, taken_by, taken_at from bundles"
                " order by taken_at desc"
            ).fetchall()
        return [Taken(*row) for row in rows]

    def request(self) -> Request:
        """What this box has and is, for a publisher to make a bundle from."""
        facts, anchor = self._planner.facts(), self.anchors.current()
        models = (
            HeldModel(id=model, files={name: (file.sha256, file.size) for name, file in manifest.files.items()})
            for model, manifest in self._store.models().items()
        )
        taken = (
            HeldBundle(kind=each.kind, name=each.name, version=each.version, digest=each.digest)
            for each in self.taken()
        )
        return Request(
            box=facts.name,
            version=facts.version,
            publisher=anchor.fingerprint if anchor else "",
            memory_bytes=facts.memory,
            free_bytes=self._planner.free(),
            cpu_flags=tuple(sorted(facts.cpu_flags)),
            gpu=facts.gpu,
            receiving_code=self.identity.code,
            models=tuple(models),
            bundles=tuple(taken),
        )

    def _demand_free(self, digest: str) -> None:
        job = self.job()
        if job is not None and job.state in ("waiting", "running") and job.payload["digest"] != digest:
            raise ConflictError(name=str(job.payload["name"]))


def _place(where: str | Place) -> Place:
    if isinstance(where, Place):
        return where
    if not where.startswith("/") or "\0" in where or ".." in where.split("/") or len(where) > _PATH_CHARS:
        raise BadInputError(field="folder")
    path = Path(where)
    return Place(path.parent, (), path.name) if path.name.endswith(PACK_ENDING) else Place(path)
