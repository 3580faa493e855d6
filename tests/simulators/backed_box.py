"""A box that backs itself up, in this process: real vault, database and files, its job worked off at once."""

from functools import partial
from pathlib import Path
from typing import Any

from appliance.accounts.users import Users
from appliance.backup.backups import Backups
from appliance.backup.repository import Repository
from appliance.config import Settings
from appliance.jobs.queue import Job, Queue
from appliance.jobs.worker import Worker
from appliance.storage.audit import Audit
from appliance.storage.blobs import BlobStore
from appliance.storage.checkpoints import Witness
from appliance.storage.database import Database
from appliance.vault.digests import derive
from appliance.vault.keyring import Keyring
from appliance.vault.passphrase import Cost

PASSPHRASE = "correct horse battery"
CHEAP = Cost(memory_kib=64, passes=1)


class BackedBox:
    """Everything of a box that a backup meets."""

    __test__ = False

    def __init__(self, folder: Path, **settings: Any) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.settings = Settings(data_dir=folder, **settings)
        keyring = Keyring(self.settings.vault_file, CHEAP)
        if keyring.exists():
            self._master = keyring.open_with_passphrase(PASSPHRASE)
        else:
            self._master = keyring.create(PASSPHRASE)
            self.recovery = keyring.set_recovery(self._master)
        self.key = partial(_handed_out, self._master)
        self.id = keyring.identity()
        self.database = Database(self.settings.database, self.key("database"), self.settings.cipher)
        self.database.migrate()
        self.blobs = BlobStore(self.settings.blobs_dir, self.database, self.key("blobs"))
        witness = Witness(self.settings.audit_checkpoints, self.key("audit-signing"))
        self.audit = Audit(self.database, self.key("audit"), witness)
        self.queue = Queue(self.database)
        self.users = Users(self.database)
        self.backups = Backups(self.settings, self.database, self.audit, self.queue, self.key)
        handler = self.backups.handler()
        self.worker = Worker(self.queue, {handler.KIND: handler})

    def repository(self, folder: Path) -> Repository:
        return Repository(folder, self.id, self.key("backup"))

    def run(self, action: Any, folder: Path, **more: Any) -> Job:
        """Have it done, and done at once."""
        self.backups.start(action, str(folder), "alice", **more)
        return self.work()

    def work(self) -> Job:
        assert self.worker.step()
        job = self.backups.job()
        assert job is not None
        return job

    @property
    def trail(self) -> list[str]:
        return [entry.action for entry in reversed(self.audit.entries())]

    def close(self) -> None:
        self.database.close()


def quiet(_stage: str, _done: int, _total: int) -> None:
    """Nobody watches."""


def _handed_out(master: bytes, purpose: str) -> bytes:
    """As the keys process would."""
    return derive(master, f"hako/v1/{purpose}")
