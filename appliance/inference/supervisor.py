"""The inference process's heart: a unix socket where leases are asked for, one runner per model behind it."""

import contextlib
import dataclasses
import math
import secrets
import select
import socket
import threading
from collections.abc import Callable
from pathlib import Path

from appliance import clock, logs, modes
from appliance.config import Settings
from appliance.errors import (
    BadInputError,
    HakoError,
    ModelFailedError,
    ModelNotFoundError,
    ModelOverLimitError,
)
from appliance.inference import golden
from appliance.inference.catalog import Catalog
from appliance.inference.engine import EngineSpec
from appliance.inference.estimate import estimate
from appliance.inference.headers import Headers
from appliance.inference.kv_slots import KvSlots
from appliance.inference.load_settings import LoadSettingsStore
from appliance.inference.manifest import Manifest
from appliance.inference.protocol import Lines, Message, send
from appliance.inference.room import Room
from appliance.inference.runner import Grant, Runner
from appliance.inference.spawn import Child
from appliance.inference.terms import Terms, terms_of
from appliance.inference.verify import Verifier
from appliance.machine import leaving, peers
from appliance.unix_server import UnixServer

log = logs.get(__name__)

_WATCH_SECONDS = 1.0
_LONGEST_WHO = 200
_TENTH_GB = 10**8
_PLACES = 1024
"""Connections at once; each lease is one, and so is each who waits for one."""


class Supervisor:
    """Speaks the line protocol on `settings.inference_socket` with web and worker."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._catalog = Catalog(settings.models)
        self._verifier = Verifier(settings.inference_socket.with_name("verified-models.json"))
        self._headers = Headers(self._catalog)
        self._wishes = LoadSettingsStore(settings.model_settings, self._catalog)
        self._runners: dict[str, Runner] = {}
        self._room = Room(self._all, settings.inference.own_models)
        self._kv_slots = KvSlots(settings)
        self._starting: set[Child] = set()
        self._lock = threading.Lock()
        self._ending = threading.Event()
        self._turned_at = clock.monotonic()
        allowed = peers.allowing(settings.accounts.web, settings.accounts.worker)
        self._server = UnixServer(settings.inference_socket, self._serve, allowed, _PLACES)

    def start(self) -> None:
        """Open the socket and answer from now on.

        Raises:
            ConflictError: another supervisor runs on this data folder.
        """
        self._server.hold()
        for stale in self._settings.inference_socket.parent.glob("m-*.sock"):
            stale.unlink(missing_ok=True)
        self._server.start()
        threading.Thread(target=self._watch, name="watch", daemon=True).start()

    def preload(self, models: list[str]) -> None:
        """Load these and the pinned ones in the background, and keep them."""
        wishes = self._wishes.getter()
        pinned = [model for model in self._catalog.all() if wishes(model).pinned]
        for model in dict.fromkeys([*models, *pinned]):
            threading.Thread(target=self._preload, args=(model,), name=f"preload-{model}", daemon=True).start()

    def stop(self) -> None:
        """End every child and close the socket."""
        self._ending.set()
        self._server.shut()
        with self._lock:
            starting = list(self._starting)
        for child in starting:
            child.kill()
        threads = [threading.Thread(target=runner.stop) for runner in self._all()]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self._kv_slots.close()
        self._server.stop()

    # -- models

    def _runner(self, model: str) -> Runner:
        manifest = self._catalog.get(model)
        terms = self._terms(manifest)
        with self._lock:
            runner = self._runners.get(model)
            if runner is None or (runner.manifest != manifest and runner.pid is None):
                runner = self._runners[model] = Runner(manifest, terms, self._launch)
        if runner.manifest == manifest:
            runner.terms = terms
        return runner

    def _all(self) -> list[Runner]:
        with self._lock:
            return list(self._runners.values())

    def _terms(self, manifest: Manifest) -> Terms:
        folder = self._catalog.folder(manifest.id)
        return terms_of(manifest, folder, self._settings, self._wishes.get(manifest.id))

    def _unload(self, model: str) -> None:
        """Also a model that is no longer in the catalogue: one that is being removed."""
        with self._lock:
            runner = self._runners.get(model)
        if runner is None:
            runner = self._runner(model)
        runner.unload()

    def _launch(self, manifest: Manifest, spec: EngineSpec, exited: Callable[[Child], None]) -> Child:
        if not self._catalog.has(manifest.id):
            raise ModelNotFoundError(name=manifest.id)
        self._verifier.check(manifest, self._catalog.folder(manifest.id))
        with self._room.promised(manifest, self._needed(manifest, spec)) as promise:
            child = Child(self._own(manifest, spec), exited)
            promise.pid = child.pid
            with self._lock:
                self._starting.add(child)
            try:
                self._greet(manifest, child)
            except Exception:
                child.stop()
                raise
            finally:
                with self._lock:
                    self._starting.discard(child)
        return child

    def _greet(self, manifest: Manifest, child: Child) -> None:
        """Wait until it is ready, and until it has shown that it answers as it should."""
        if self._ending.is_set():
            raise ModelFailedError("the box is stopping", name=manifest.name)
        loaded = child.wait_ready()
        Path(child.spec.socket).chmod(modes.file())
        golden.check(manifest, child.spec, loaded, self._settings.golden / manifest.id)
        self._kv_slots.restore(manifest, child.spec)

    def _own(self, manifest: Manifest, spec: EngineSpec) -> EngineSpec:
        path = self._settings.inference_socket.with_name(f"m-{secrets.token_hex(6)}.sock")
        slots = self._kv_slots.folder(manifest, spec)
        return dataclasses.replace(spec, socket=str(path), api_key=secrets.token_urlsafe(32), slots=slots)

    def _needed(self, manifest: Manifest, spec: EngineSpec) -> int:
        """Bytes that the model will take.

        Raises:
            ModelOverLimitError: more than any model's process may take here, so that it would be killed over it.
        """
        inference = self._settings.inference
        asked = inference.model_copy(update={"context_tokens": spec.context, "parallel": spec.parallel})
        header = self._headers.find(manifest)
        found = estimate(manifest.size, spec.context, asked, header=header)
        if over := found.over_limit:
            shown = {"over_gb": math.ceil(over / _TENTH_GB) / 10, "limit_gb": round(found.limit / _TENTH_GB) / 10}
            raise ModelOverLimitError(f"{over} bytes over child_memory_mb", **shown)
        return found.needed

    def _preload(self, model: str) -> None:
        try:
            self._runner(model).load(lambda _stage, _place, _seconds: not self._ending.is_set())
        except HakoError as error:
            log.warning("preload_failed", model=model, code=error.code, detail=error.detail)

    def is_turning(self, within_s: float) -> bool:
        """Whether the loop that tends the models has turned within so many seconds."""
        return clock.monotonic() - self._turned_at <= within_s

    def _watch(self) -> None:
        while not self._ending.wait(_WATCH_SECONDS):
            self._turned_at = clock.monotonic()
            self._kv_slots.trim()
            for runner in self._all():
                if runner.pid is not None:
                    runner.watch_memory()
                    self._tend(runner)

    def _tend(self, runner: Runner) -> None:
        with contextlib.suppress(HakoError):  # it is being removed
            manifest = self._catalog.get(runner.manifest.id)
            if manifest == runner.manifest:
                runner.terms = self._terms(manifest)
        runner.tend()

    # -- connections

    def _serve(self, connection: socket.socket) -> None:
        with connection:
            try:
                message = Lines(connection).receive()
                if message is not None:
                    self._answer(connection, message)
            except HakoError as error:
                with contextlib.suppress(OSError):
                    send(connection, {"event": "error", "code": error.code, "params": error.params})
            except OSError:
                return  # the client has gone

    def _answer(self, connection: socket.socket, message: Message) -> None:
        model = str(message.get("model", ""))
        match message.get("op"):
            case "lease":
                who, aside = str(message.get("who", ""))[:_LONGEST_WHO], message.get("aside") is True
                self._lease(connection, self._runner(model), who, aside=aside)
            case "load":
                self._runner(model).load(_telling(connection))
                send(connection, {"event": "done"})
            case "unload":
                self._unload(model)
                send(connection, {"event": "done"})
            case "status":
                send(connection, {"event": "done", "models": [runner.status() for runner in self._all()]})
            case "leaving":  # from where the processes of models are
                send(
                    connection, {"event": "done", "tries": [dataclasses.asdict(each) for each in leaving.from_child()]}
                )
            case _:
                raise BadInputError("unknown operation", field="op")

    def _lease(self, connection: socket.socket, runner: Runner, who: str, *, aside: bool) -> None:
        grant = runner.lease(who, _telling(connection), aside=aside)
        try:
            spec = grant.child.spec
            place = {"socket": spec.socket, "api_key": spec.api_key, "slots": spec.slots}
            send(connection, {"event": "granted", "model": spec.model, **place})
            self._hold(connection, grant)
        finally:
            runner.release(grant)

    def _hold(self, connection: socket.socket, grant: Grant) -> None:
        # The open connection is the lease: closed by its holder, by the kernel when the holder dies, or here
        # when the child has died.
        poll = select.poll()
        poll.register(connection, select.POLLIN | select.POLLRDHUP)
        while grant.child.alive and not self._ending.is_set():
            if poll.poll(1000):
                return


def _telling(connection: socket.socket) -> Callable[[str, int, float | None], bool]:
    """Report stage and place when they change, and notice that the client has gone."""
    poll = select.poll()
    poll.register(connection, select.POLLRDHUP | select.POLLHUP | select.POLLERR)
    last: list[tuple[str, int]] = []

    def tell(stage: str, place: int, seconds: float | None) -> bool:
        if poll.poll(0):
            return False
        if last != [(stage, place)]:
            last[:] = [(stage, place)]
            known = {} if seconds is None else {"wait_s": seconds}
            send(connection, {"event": stage, "position": place, **known})
        return True

    return tell
