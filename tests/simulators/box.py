"""A whole box inside the test's process: real database, real services, scripted models in real children."""

import io
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from flask import Flask
from flask.testing import FlaskClient

from appliance import services
from appliance.accounts.permissions import Role
from appliance.config import Listener, Settings
from appliance.errors import ConflictError, ModelInUseError, ModelNotFoundError, SealedError, WrongPassphraseError
from appliance.health.airgap.selftest import WorkerTest
from appliance.inference.engines import scripted
from appliance.inference.supervisor import Supervisor
from appliance.jobs.worker import Worker
from appliance.knowledge.ingest import Ingest
from appliance.knowledge.packed import PackedBases
from appliance.knowledge.packs_shown import Switch
from appliance.knowledge.sandbox.reader import DocumentReader
from appliance.services import Services
from appliance.vault.client import VaultStatus
from appliance.vault.digests import derive
from appliance.vault.passphrase import check_strength
from webui import locales
from webui.app import create_app
from webui.box import Box

PASSPHRASE = "correct horse battery"
PASSWORD = "correct-horse-battery-staple"


class Keys:
    """The keys process's client without the process: one passphrase, one recovery key."""

    RECOVERY = "AAAAA-BBBBB-CCCCC-DDDDD-EEEEE-FFFFF"

    def __init__(self, *, sealed: bool = False) -> None:
        self.sealed = sealed
        self.exists = True
        self.confirmed = False

    def status(self) -> VaultStatus:
        return VaultStatus(self.exists, self.sealed or not self.exists, self.confirmed)

    def create(self, passphrase: str) -> None:
        if self.exists:
            raise ConflictError(name="vault.json")
        check_strength(passphrase)
        self.exists, self.sealed = True, False

    def unlock(self, passphrase: str, asker: str = "") -> None:
        if passphrase != PASSPHRASE:
            raise WrongPassphraseError(tries_left=4)
        self.sealed = False

    def recover(self, recovery_key: str, asker: str = "") -> None:
        if recovery_key != self.RECOVERY:
            raise WrongPassphraseError(tries_left=4)
        self.sealed = False

    def check_recovery(self, recovery_key: str, asker: str = "") -> None:
        if recovery_key != self.RECOVERY:
            raise WrongPassphraseError(tries_left=4)

    def new_recovery(self) -> str:
        self.confirmed = False
        return self.RECOVERY

    def confirm_recovery(self) -> None:
        self.confirmed = True

    def derive(self, purpose: str) -> bytes:
        if self.sealed:
            raise SealedError
        return derive(bytes(range(32)), purpose)


class TestBox:
    """Start it once, use its Flask client as anybody; `close` ends all threads and children."""

    __test__ = False

    def __init__(self, folder: Path) -> None:
        self.settings = Settings.model_validate(
            {
                "data_dir": folder,
                "inference": {"chat_model": "talker", "embedding_model": "embedder", "threads": 1},
                "storage": {"media": [folder / "media"]},
                "limits": {"upload_mb": 2, "body_mb": 1, "parse_seconds": 20},
            }
        )
        self.settings.run_dir.mkdir(parents=True)
        scripted.install(self.settings.models, "talker", "chat")
        scripted.install(self.settings.models, "embedder", "embedding")
        scripted.install(self.settings.models, "ranker", "reranker")
        self._inference = Supervisor(self.settings)
        self._inference.start()
        self.keys = Keys()
        self.box = Box(self.settings, self.keys, self._build)  # type: ignore[arg-type]
        self.services: Services = self.box.services()
        self.app: Flask = create_app(self.box)
        self.app.testing = False
        self._apps: dict[Listener, Flask] = {"main": self.app}
        self._stop = threading.Event()
        self._reader = DocumentReader(self.settings.limits)
        ingest = Ingest(self.services.database, self.services.blobs, self._reader, self.services.gateway)
        bundles = self.services.bundles.handler()
        backups = self.services.backups.handler()
        packed = PackedBases(self.services.database, self.services.blobs, "en")
        switch = Switch(self.services.database, packed, self.services.audit)
        leaving = WorkerTest(self.services.database)
        handlers = {
            Ingest.KIND: ingest,
            Switch.KIND: switch,
            bundles.KIND: bundles,
            backups.KIND: backups,
            leaving.KIND: leaving,
        }
        worker = Worker(self.services.queue, handlers)
        self._worker = threading.Thread(target=worker.run, args=(self._stop, 0.02), daemon=True)
        self._worker.start()

    def app_at(self, listener: Listener) -> Flask:
        """What answers at a dialect's own port."""
        if listener not in self._apps:
            self._apps[listener] = create_app(self.box, listener=listener)
        return self._apps[listener]

    @staticmethod
    def _build(settings: Settings, keys: Any) -> Services:
        return services.build(settings, keys, lambda language, key: locales.t(key, locales.choose(language)))

    def person(self, name: str, role: Role = "member") -> "Person":
        """A new account, signed in."""
        user = self.services.users.create(name, name.title(), role, PASSWORD, "en")
        return Person(self, user.id, self.services.sessions.start(user, "test"))

    @contextmanager
    def second_operator(self, name: str) -> Iterator["Person"]:
        """Gone at the end: what holds for the last operator is asked of Alice, in any order of the tests."""
        person = self.person(name, "operator")
        try:
            yield person
        finally:
            self.services.users.delete(person.id)

    def drop_model(self, model: str) -> None:
        """Remove it once nothing uses it any more: it may be loading anew, under settings that it was just given."""
        wait(lambda: self._dropped(model), bool)

    def _dropped(self, model: str) -> bool:
        try:
            self.services.models.remove(model)
        except ModelInUseError:
            return False
        except ModelNotFoundError:
            pass  # its test removed it
        return True

    def seal(self) -> None:
        """As after a restart: the vault is sealed, nothing is open."""
        self._stop.set()
        self._worker.join(10)
        self.box.close()
        self.keys.sealed = True

    def close(self) -> None:
        self.seal()
        self._reader.close()
        self._inference.stop()


class Person:
    """A signed-in person's browser."""

    def __init__(self, box: TestBox, user_id: str, token: str, listener: Listener = "main") -> None:
        self.id = user_id
        self._box, self._token = box, token
        self._client: FlaskClient = box.app_at(listener).test_client()
        self._client.set_cookie("hako", token)

    def at(self, listener: Listener) -> "Person":
        """The same person at a dialect's own port."""
        return Person(self._box, self.id, self._token, listener)

    def __getattr__(self, method: str) -> Callable[..., Any]:
        """`get`, `post`, … of a path below /api/v1, or any absolute path that starts with //."""
        send = getattr(self._client, method)

        def call(path: str, **options: Any) -> Any:
            where = path[1:] if path.startswith("//") else "/api/v1" + path
            headers = {"Sec-Fetch-Site": "same-origin", **options.pop("headers", {})}
            options = {"buffered": True, **options}  # read to the end and closed, as servers do
            return send(where, headers=headers, **options)

        return call


def add(person: Person, base_id: str, name: str, content: bytes) -> dict[str, Any]:
    """Upload a document and wait until it is ready or has failed."""
    answer = person.post(f"/bases/{base_id}/documents", data={"file": (io.BytesIO(content), name)})
    assert answer.status_code in (200, 201), answer.get_json()
    document = answer.get_json()
    return wait(lambda: person.get(f"/documents/{document['id']}").get_json(), lambda seen: settled(seen["state"]))


def settled(state: str) -> bool:
    return state not in ("waiting", "working", "running")


def wait(look: Callable[[], Any], until: Callable[[Any], bool], within_s: float = 30) -> Any:
    end = time.monotonic() + within_s
    while time.monotonic() < end:
        seen = look()
        if until(seen):
            return seen
        time.sleep(0.02)
    raise AssertionError(f"still {seen}")
