"""The worker process: takes in documents, each read in a throw-away sandboxed child, and beside them bundles."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from appliance import logs
from appliance.bundle.intake import Intake
from appliance.config import Settings
from appliance.errors import HakoError, KeysUnreachableError, SealedError
from appliance.jobs.worker import Worker
from appliance.knowledge.ingest import Ingest
from appliance.knowledge.sandbox.reader import DocumentReader
from appliance.services import Stores, open_stores
from appliance.vault.client import KeysClient

log = logs.get(__name__)

_LOOK_S = 0.5


def run(settings: Settings, ready: Callable[[], None]) -> None:
    """Work until SIGTERM; while the vault is sealed, wait for it."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: stop.set())
    ready()
    stores = _when_unsealed(settings, stop)
    if stores is None:
        return
    reader = DocumentReader(settings.limits)
    try:
        given_back = stores.queue.recover()
        if given_back:
            log.info("jobs_given_back", count=given_back)
        ingest = Ingest(stores.database, stores.blobs, reader, stores.gateway)
        with _beside(Worker(stores.queue, {Intake.KIND: stores.bundles.handler()}), stop):
            Worker(stores.queue, {Ingest.KIND: ingest}).run(stop)
    finally:
        reader.close()
        _confirm(stores)
        stores.database.close()


def _confirm(stores: Stores) -> None:
    """The web process has ended before this one, so what happened since is confirmed here."""
    try:
        stores.audit.checkpoint()
    except HakoError as error:
        log.warning("audit_not_confirmed", code=error.code)


@contextmanager
def _beside(worker: Worker, stop: threading.Event) -> Iterator[None]:
    """A second worker, so that documents don't wait for gigabytes from a stick. The process ends with either."""

    def work() -> None:
        try:
            worker.run(stop)
        except BaseException:
            log.exception("worker_crashed")
            crashed.set()
        finally:
            stop.set()

    crashed = threading.Event()
    thread = threading.Thread(target=work, name="bundles")
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
    if crashed.is_set():
        raise HakoError("the worker for bundles crashed")


def _when_unsealed(settings: Settings, stop: threading.Event) -> Stores | None:
    """The stores as soon as the vault is open; None when told to stop before."""
    keys = KeysClient(settings.keys_socket)
    while not stop.is_set():
        try:
            status = keys.status()
            if status.exists and not status.sealed:
                return open_stores(settings, keys)
        except (SealedError, KeysUnreachableError):
            pass
        stop.wait(_LOOK_S)
    return None
