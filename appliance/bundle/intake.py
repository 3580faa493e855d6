"""The job that takes a bundle from a folder: read, copied, checked, placed. Repeating it goes on where it was."""

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from appliance import durable
from appliance.bundle.boxes.format import PackFile
from appliance.bundle.boxes.receiving import Receiving, told
from appliance.bundle.inbox import Inbox
from appliance.bundle.index import Index
from appliance.bundle.media import Place, place_of
from appliance.bundle.packs import Store
from appliance.bundle.planning import Plan, Planner
from appliance.bundle.remembered import Remembered
from appliance.bundle.shelf import Visibility
from appliance.bundle.staging import FILES, Source, Staging
from appliance.bundle.update import preview
from appliance.bundle.update import release as releases
from appliance.bundle.update.release import Manifest
from appliance.bundle.update.state import Release
from appliance.bundle.update.systems import Systems
from appliance.bundle.update.updates import Updates
from appliance.bundle.web_packs import PackedSnapshot, SnapshotShelf
from appliance.errors import (
    BundleInvalidError,
    BundleRollbackError,
    CancelledError,
    ConflictError,
    HakoError,
    StoreDamagedError,
)
from appliance.jobs.queue import Job
from appliance.jobs.worker import Report
from appliance.storage.audit import Audit


class Intake:
    """The handler of `bundle` jobs. Payload: that of a `Place`, `digest` of the index that was confirmed, `actor`."""

    KIND: Final = "bundle"

    def __init__(
        self,
        inbox: Inbox,
        planner: Planner,
        store: Store,
        snapshots: SnapshotShelf,
        remembered: Remembered,
        receiving: Receiving,
        audit: Audit,
        updates: Updates,
        systems: Systems,
    ) -> None:
        self._inbox, self._planner, self._store, self._snapshots = inbox, planner, store, snapshots
        self._remembered, self._receiving, self._audit, self._updates = remembered, receiving, audit, updates
        self._systems = systems

    def run(self, job: Job, report: Report) -> None:
        """Take the bundle in; progress in bytes.

        Raises:
            CancelledError: somebody cancelled it before anything was placed.
            BundleUnreadableError: the medium is gone; what came is kept, and the next try goes on with it.
            HakoError: any other reason of `Plan.refusals`, `Staging` or `Store.check`; nothing was placed.
        """
        digest, actor = str(job.payload["digest"]), str(job.payload["actor"])
        with durable.told_when_full(), self._inbox.held():
            if self._inbox.place(digest, actor):
                return
            if self._inbox.has_taken(digest, job.created_at):
                self._inbox.drop(digest)  # a power cut may have brought something of it back
                return
            self._inbox.tidy(actor, keep=digest)
            report("reading", 0, 0)
            place = place_of(job.payload)
            if place.pack:
                self._take_pack(place, digest, _visibility(job), report)
                self._inbox.place(digest, actor)
                return
            with self._remembered.reading(place) as (anchor, reading):
                offer = reading.offer(digest)
                plan = self._planner.plan(reading.medium, offer, anchor.fingerprint, self._updates.mark)
                if plan.refusals:
                    raise plan.refusals[0]
                by_root = self._is_roots(plan)
                if not by_root:
                    files = self._copy(self._planner.sources(reading.medium, plan.wanted), plan.wanted, digest, report)
                    for model in plan.new:
                        self._store.check(model, files, offer.index.licence)
                    self._keep(plan.new_snapshots, digest, files, report)
            if plan.release is not None:
                release = releases.described(offer.index, offer.digest, anchor.fingerprint, plan.release)
                if by_root:
                    self._updates.have_installed(release, place, actor, report, stale=reading.is_stale)
                else:
                    self._install(offer.index, release, plan.release, actor, report)
            elif plan.system is not None:
                by, stale = anchor.fingerprint, reading.is_stale
                self._systems.have_taken(plan.system[0], digest, by, place, actor, report, stale=stale)
            report("placing", 0, len(plan.new) + len(plan.new_snapshots))  # the last moment to cancel it
            self._inbox.note(digest, offer.index, anchor.fingerprint, plan.new, plan.pack_to_place, _visibility(job))
            self._inbox.place(digest, actor)

    def _is_roots(self, plan: Plan) -> bool:
        """Whether root reads the medium itself. Raises UpdateTrialError, SystemUnderWayError: not now."""
        if plan.release is not None or plan.system is not None:
            self._updates.demand_resting()
        return plan.system is not None or (plan.release is not None and self._updates.root.installs)

    def closed(self, job: Job, error: HakoError | None) -> None:
        """Record why it ended. What a cancelled one has brought is removed, unless it is being placed already."""
        if error is None:
            return
        digest, actor = str(job.payload["digest"]), str(job.payload["actor"])
        cancelled = isinstance(error, CancelledError)
        with durable.told_when_full(), self._inbox.held():
            with suppress(BundleRollbackError, ConflictError, StoreDamagedError):
                if self._inbox.place(digest, actor):
                    return
            if cancelled:
                self._inbox.drop(digest)
        action = "bundle-cancelled" if cancelled else "bundle-failed"
        self._audit.record(actor, action, digest, **({} if cancelled else {"code": error.code}))

    def _install(self, index: Index, release: Release, manifest: Manifest, actor: str, report: Report) -> None:
        """Beside the running release, from what is checked by now; the medium is not needed any more."""
        files = self._inbox.folder / release.digest / FILES
        report("installing", 0, 1)
        about = preview.about(index, manifest)
        self._updates.install(release, manifest, files, actor, lambda: report("installing", 0, 1), about)

    def _take_pack(self, place: Place, digest: str, visibility: Visibility, report: Report) -> None:
        """A pack that a box has made: copied and checked as it is, sealed; opened only on the way to the shelf."""
        with PackFile(place) as file:
            if file.digest != digest:
                raise BundleInvalidError("not on this medium")
            received, index = self._receiving.opened(file), file.statement.index
            plan = self._planner.plan_pack(file, index, received.pack, received.sizes)
            if plan.refusals:
                raise plan.refusals[0]
            files = self._copy((file,), plan.wanted, digest, report)
        if plan.pack_to_place:
            self._receiving.demand_whole(received, files, lambda: report("checking", index.size, index.size))
        report("placing", 0, 1)  # the last moment to cancel it
        about = told(index, received.pack)
        self._inbox.note(digest, about, received.pack.maker, (), plan.pack_to_place, visibility, received.sealed)

    def _copy(self, sources: Sequence[Source], wanted: Index, digest: str, report: Report) -> Path:
        """Bring every file in and check it. The medium is read once, and not needed afterwards."""
        with Staging(self._inbox.folder, wanted, digest) as staging:
            staging.demand_room()
            for step in staging.bring(sources):
                report("copying", step.done, step.total)
            return staging.finish(lambda step: report("checking", step.done, step.total))

    def _keep(self, snapshots: Sequence[PackedSnapshot], digest: str, files: Path, report: Report) -> None:
        """Bring the web snapshots of a bundle in, out of sight; its files are all checked."""
        self._snapshots.forget(digest)  # of a run that was cut off
        for each in snapshots:
            tell = lambda done, total: report("checking", done, total)  # noqa: E731
            self._snapshots.bring(digest, each.digest, each.manifest, files / each.manifest.name, tell)


def _visibility(job: Job) -> Visibility:
    return "everyone" if job.payload.get("visibility") == "everyone" else "private"
