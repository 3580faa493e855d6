"""A box that takes bundles, in this process: real database, real queue, real files."""

from pathlib import Path
from typing import Any

from appliance.bundle.boxes.identity import Identity
from appliance.bundle.taking import Bundles
from appliance.config import Settings
from appliance.gateway.gateway import Gateway
from appliance.inference.catalog import Catalog
from appliance.jobs.queue import Job, Queue
from appliance.jobs.worker import Worker
from appliance.knowledge.bases import Bases
from appliance.knowledge.documents import Documents
from appliance.knowledge.ingest import DocumentReader, Ingest
from appliance.knowledge.packed import PackedBases
from appliance.knowledge.packs_shown import Packs, Switch
from appliance.knowledge.web.reading import WarcReader
from appliance.knowledge.web.snapshots import Snapshots
from appliance.storage.audit import Audit
from appliance.storage.blobs import BlobStore
from appliance.storage.checkpoints import Witness
from appliance.storage.database import Database
from appliance.vault.digests import derive
from tests.simulators.embedder import WordingEmbedder
from tests.simulators.library import MarkdownReader
from tests.simulators.sticks import Sticks

MASTER = bytes(range(32))


class TakingBox:
    """Everything of a box that bundles meet. `take` has the worker's part done at once."""

    __test__ = False

    def __init__(self, folder: Path, master: bytes = MASTER, **settings: Any) -> None:
        self.settings = Settings.model_validate({"data_dir": folder, **settings})
        folder.mkdir(parents=True, exist_ok=True)
        self.database = Database(self.settings.database, derive(master, "database"))
        self.database.migrate()
        witness = Witness(self.settings.audit_checkpoints, derive(master, "audit-signing"))
        self.audit = Audit(self.database, derive(master, "audit"), witness)
        self.queue = Queue(self.database)
        gateway = Gateway(self.settings)
        self.blobs = BlobStore(self.settings.blobs_dir, self.database, derive(master, "blobs"))
        self.snapshots = Snapshots(self.database, self.blobs, WarcReader(self.settings.limits))
        self.packed = PackedBases(self.database, self.blobs, "en")
        self.packs = Packs(self.database, self.packed, self.audit)
        self.bases = Bases(self.database, self.blobs)
        self.documents = Documents(self.database, self.blobs, self.queue, self.bases)
        identity, trust = Identity(derive(master, "packs")), derive(master, "trust")
        self.bundles = Bundles(
            self.settings, self.database, self.audit, self.queue, gateway, self.packed, self.snapshots, trust, identity
        )
        handler = self.bundles.handler()
        self.worker = Worker(self.queue, {handler.KIND: handler})

    def trust(self, sticks: Sticks) -> None:
        self.bundles.trust(sticks.publisher.anchor, sticks.fingerprint, "alice")

    def take(self, stick: Path, digest: str) -> Job:
        self.bundles.take(str(stick), digest, "alice")
        return self.work()

    def work(self) -> Job:
        assert self.worker.step()
        job = self.bundles.job()
        assert job is not None
        return job

    def read(self, reader: DocumentReader | None = None) -> int:
        """Read the documents that wait, from Markdown unless there is another reader; how many jobs it took."""
        ingest = Ingest(self.database, self.blobs, reader or MarkdownReader(), WordingEmbedder())
        switch = Switch(self.database, self.packed, self.audit)
        worker, done = Worker(self.queue, {Ingest.KIND: ingest, Switch.KIND: switch}), 0
        while worker.step():
            done += 1
        return done

    @property
    def models(self) -> list[str]:
        return list(Catalog(self.settings.models).all())

    @property
    def leftovers(self) -> list[str]:
        """What lies in the store that is no model."""
        inbox = self.settings.models / ".taking"
        return [path.name for path in inbox.iterdir()] if inbox.exists() else []

    @property
    def trail(self) -> list[str]:
        return [entry.action for entry in reversed(self.audit.entries())]

    def close(self) -> None:
        self.database.close()
