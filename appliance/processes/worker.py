"""The worker process: takes in documents, each read in a throw-away child, and beside them bundles and backups."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

from appliance import logs
from appliance.backup.backups import BackupJob, Backups
from appliance.bundle.intake import Intake
from appliance.config import Settings
from appliance.errors import HakoError, KeysUnreachableError, SealedError
from appliance.health.airgap.selftest import WorkerTest
from appliance.jobs.worker import Handler, Worker
from appliance.knowledge.ingest import Ingest
from appliance.knowledge.packs_shown import Switch
from appliance.knowledge.sandbox.reader import DocumentReader
from appliance.processes.notify import Notifier, Pulse
from appliance.services import Stores, open_stores
from appliance.vault.client import KeysClient

log = logs.get(__name__)

_LOOK_S = 0.5
_TURN_S = 1800.0
"""For one turn of a loop, or from one word of a job to its next: a model that is being loaded takes minutes."""
_TICK_S = 20.0
"""How often the clock is asked whether a backup is due."""


def run(settings: Settings, notifier: Notifier) -> None:
    """Work until SIGTERM; while the vault is sealed, wait for it."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: stop.set())
    notifier.ready()
    pulse = Pulse(max(_TURN_S, 4.0 * settings.limits.parse_seconds))
    notifier.watch(pulse.is_alive)
    stores = _when_unsealed(settings, stop, partial(pulse.beat, "documents"))
    if stores is None:
        return
    reader = DocumentReader(settings.limits)
    try:
        given_back = stores.queue.recover()
        if given_back:
            log.info("jobs_given_back", count=given_back)
        ingest = Ingest(stores.database, stores.blobs, reader, stores.gateway)
        switch = Switch(stores.database, stores.packed, stores.audit)
        bundles = Worker(stores.queue, {Intake.KIND: stores.bundles.handler()}, partial(pulse.beat, "bundles"))
        backups = Worker(stores.queue, {BackupJob.KIND: stores.backups.handler()}, partial(pulse.beat, "backups"))
        leaving = {WorkerTest.KIND: WorkerTest(stores.database)}
        tries = Worker(stores.queue, leaving, partial(pulse.beat, "self-test"))
        with (
            _beside("self-test", tries.run, stop),
            _beside("bundles", bundles.run, stop),
            _beside("backups", backups.run, stop),
            _beside("health", lambda stop: stores.health.run(stop, partial(pulse.beat, "health")), stop),
            _beside("alerts", lambda stop: stores.alerts.run(stop, partial(pulse.beat, "alerts")), stop),
            _beside("clock", lambda stop: _by_the_clock(stores.backups, stop, partial(pulse.beat, "clock")), stop),
        ):
            handlers: dict[str, Handler] = {Ingest.KIND: ingest, Switch.KIND: switch}
            Worker(stores.queue, handlers, partial(pulse.beat, "documents")).run(stop)
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
def _beside(name: str, run: Callable[[threading.Event], None], stop: threading.Event) -> Iterator[None]:
    """A thread of its own, so that documents don't wait for gigabytes of a stick. The process ends with any of them."""

    def work() -> None:
        try:
            run(stop)
        except BaseException:
            log.exception("worker_crashed")
            crashed.set()
        finally:
            stop.set()

    crashed = threading.Event()
    thread = threading.Thread(target=work, name=name)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
    if crashed.is_set():
        raise HakoError(f"the thread for {name} crashed")


def _by_the_clock(backups: Backups, stop: threading.Event, turned: Callable[[], None]) -> None:
    """Ask for the backups that the settings want."""
    while not stop.is_set():
        turned()
        try:
            backups.tick()
        except HakoError as error:  # no room, or the vault was sealed: it is asked again
            log.warning("backup_not_begun", code=error.code)
        stop.wait(_TICK_S)


def _when_unsealed(settings: Settings, stop: threading.Event, turned: Callable[[], None]) -> Stores | None:
    """The stores as soon as the vault is open; None when told to stop before."""
    keys = KeysClient(settings.keys_socket)
    while not stop.is_set():
        turned()
        try:
            status = keys.status()
            if status.exists and not status.sealed:
                return open_stores(settings, keys)
        except (SealedError, KeysUnreachableError):
            pass
        stop.wait(_LOOK_S)
    return None
