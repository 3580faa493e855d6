"""The job that takes a bundle from a folder: read, copied, checked, placed. Repeating it goes on where it was."""

from contextlib import suppress
from typing import Final

from appliance import durable
from appliance.bundle.inbox import Inbox
from appliance.bundle.media import place_of
from appliance.bundle.packs import Store
from appliance.bundle.planning import Plan, Planner
from appliance.bundle.reading import Offer, Reading
from appliance.bundle.remembered import Remembered
from appliance.bundle.shelf import Visibility
from appliance.bundle.staging import FILES, Staging
from appliance.bundle.update import release as releases
from appliance.bundle.update.release import Manifest
from appliance.bundle.update.updates import Updates
from appliance.errors import BundleRollbackError, CancelledError, ConflictError, HakoError, StoreDamagedError
from appliance.jobs.queue import Job
from appliance.jobs.worker import Report
from appliance.storage.audit import Audit


class Intake:
    """The handler of `bundle` jobs. Payload: that of a `Place`, `digest` of the index that was confirmed, `actor`."""

    KIND: Final = "bundle"

    def __init__(
        self, inbox: Inbox, planner: Planner, store: Store, remembered: Remembered, audit: Audit, updates: Updates
    ) -> None:
        self._inbox, self._planner, self._store = inbox, planner, store
        self._remembered, self._audit, self._updates = remembered, audit, updates

    def run(self, job: Job, report: Report) -> None:
        """Take the bundle in; progress in bytes.

        Raises:
            CancelledError: somebody cancelled it before anything was placed.
            BundleUnreadableError: the medium is gone; what came is kept, and the next try goes on with it.
            HakoError: any other reason of `Plan.refusals`, `Staging` or `Store.check`; nothing was placed.
        """
        digest, actor = str(job.payload["digest"]), str(job.payload["actor"])
        with durable.told_when_full(), self._inbox.held():
            if self._inbox.place(digest, actor) or self._inbox.has_taken(digest, job.created_at):
                return
            self._inbox.tidy(actor, keep=digest)
            report("reading", 0, 0)
            with self._remembered.reading(place_of(job.payload)) as (anchor, reading):
                offer = reading.offer(digest)
                plan = self._planner.plan(reading.medium, offer, anchor.fingerprint, self._updates.mark)
                if plan.refusals:
                    raise plan.refusals[0]
                if plan.release is not None:
                    self._updates.demand_resting()
                self._copy(reading, offer, plan, report)
            if plan.release is not None:
                self._install(offer, plan.release, anchor.fingerprint, actor, report)
            report("placing", 0, len(plan.new))  # the last moment to cancel it
            visibility: Visibility = "everyone" if job.payload.get("visibility") == "everyone" else "private"
            self._inbox.note(digest, offer.index, anchor.fingerprint, plan.new, plan.pack_to_place, visibility)
            self._inbox.place(digest, actor)

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

    def _install(self, offer: Offer, manifest: Manifest, publisher: str, actor: str, report: Report) -> None:
        """Beside the running release, from what is checked by now; the medium is not needed any more."""
        release = releases.described(offer.index, offer.digest, publisher, manifest)
        files = self._inbox.folder / offer.digest / FILES
        report("installing", 0, 1)
        self._updates.install(release, manifest, files, actor, lambda: report("installing", 0, 1))

    def _copy(self, reading: Reading, offer: Offer, plan: Plan, report: Report) -> None:
        """Bring every file in and check it: digest, header. The medium is read once, and not needed afterwards."""
        with Staging(self._inbox.folder, plan.wanted, offer.digest) as staging:
            staging.demand_room()
            for step in staging.bring(self._planner.sources(reading.medium, plan.wanted)):
                report("copying", step.done, step.total)
            files = staging.finish(lambda step: report("checking", step.done, step.total))
            for model in plan.new:
                self._store.check(model, files, offer.index.licence)
