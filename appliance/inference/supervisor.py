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
    BusyError,
    HakoError,
    ModelNotFoundError,
    ModelOverLimitError,
)
from appliance.inference import golden
from appliance.inference.catalog import Catalog
from appliance.inference.default_models import DefaultModels
from appliance.inference.engine import EngineSpec, Speculation
from appliance.inference.estimate import estimate
from appliance.inference.grants import Grant
from appliance.inference.headers import Headers
from appliance.inference.kv_slots import KvSlots
from appliance.inference.load_settings import LoadSettingsStore
from appliance.inference.loading import Loading
from appliance.inference.manifest import Manifest
from appliance.inference.protocol import Lines, Message, send
from appliance.inference.room import Room
from appliance.inference.runner import Runner
from appliance.inference.spawn import Child
from appliance.inference.speculation import WAYS
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
        self._trials: dict[str, Speculation | None] = {}
        """How somebody tries a model now, or None until he has said how."""
        self._room = Room(self._all, DefaultModels(settings).own)
        self._kv_slots = KvSlots(settings)
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
        wish = self._wishes.get(manifest.id)
        if tried := self._trials.get(manifest.id):
            wish = wish.model_copy(update={"speculation": tried})
        return terms_of(manifest, folder, self._settings, wish)

    def _unload(self, model: str) -> None:
        """Also a model that is no longer in the catalogue: one that is being removed."""
        with self._lock:
            runner = self._runners.get(model)
        if runner is None:
            runner = self._runner(model)
        runner.unload()

    def _launch(self, manifest: Manifest, spec: EngineSpec, exited: Callable[[Child], None], loading: Loading) -> Child:
        if not self._catalog.has(manifest.id):
            raise ModelNotFoundError(name=manifest.id)
        self._verifier.check(manifest, self._catalog.folder(manifest.id), loading.checked)
        loading.enter("starting")
        with self._room.promised(manifest, self._needed(manifest, spec)) as promise:
            child = Child(self._own(manifest, spec), exited)
            promise.pid = child.pid
            try:
                self._greet(manifest, child, loading)
            except Exception:
                child.stop()
                loading.demand_wanted()
                raise
        return child

    def _greet(self, manifest: Manifest, child: Child, loading: Loading) -> None:
        """Wait until it is ready, and until it has shown that it answers as it should."""
        loading.started(child)
        loaded = child.wait_ready()
        loading.enter("trying")
        Path(child.spec.socket).chmod(modes.file())
        golden.check(manifest, child.spec, loaded, self._settings.golden / manifest.id)
        self._kv_slots.restore(manifest, child.spec)
        loading.demand_wanted()

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
                self._lease(connection, self._runner(model), message)
            case "load":
                self._runner(model).load(_telling(connection))
                send(connection, {"event": "done"})
            case "unload":
                self._unload(model)
                send(connection, {"event": "done"})
            case "stay":
                self._runner(model).stay(_seconds(message.get("seconds")))
                send(connection, {"event": "done"})
            case "status":
                send(connection, {"event": "done", "models": [runner.status() for runner in self._all()]})
            case "trial":
                self._try_out(connection, model)
            case "keep":
                send(connection, {"event": "done", "name": self._keep(model, message)})
            case "kept":
                spec = self._runner(model).running
                there = spec is not None and self._kv_slots.is_kept(spec, str(message.get("name", "")))
                send(connection, {"event": "done", "there": there})
            case "leaving":  # from where the processes of models are
                send(
                    connection, {"event": "done", "tries": [dataclasses.asdict(each) for each in leaving.from_child()]}
                )
            case _:
                raise BadInputError("unknown operation", field="op")

    def _keep(self, model: str, message: Message) -> str:
        """Keep a prompt for the holder of a lease; the name of its state, or empty where it is not kept."""
        runner = self._runner(model)
        spec, prompt = runner.running, message.get("prompt")
        if not isinstance(prompt, list) or not all(type(token) is int for token in prompt):
            raise BadInputError("not a list of tokens", field="prompt")
        if spec is None or spec.socket != message.get("socket"):
            return ""  # the child that has answered it is gone, and the next one would have to read all of it
        header = self._headers.find(runner.manifest)
        return self._kv_slots.keep(spec, prompt, header.cache_bytes_per_token * len(prompt) if header else 0)

    def _try_out(self, connection: socket.socket, model: str) -> None:
        """Have a model guess or not, as each message says, until its sender has gone."""
        self._catalog.get(model)
        with self._lock:
            if model in self._trials:
                raise BusyError("tried by somebody else", retry_after_s=30)
            self._trials[model] = None
        try:
            send(connection, {"event": "done"})
            lines = Lines(connection)
            connection.settimeout(_WATCH_SECONDS)
            while not self._ending.is_set():
                with contextlib.suppress(TimeoutError):
                    if (message := lines.receive()) is None:
                        return
                    self._trials[model] = _way(message.get("speculation"))
                    self._runner(model).tend()
                    send(connection, {"event": "done"})
        finally:
            with self._lock:
                del self._trials[model]

    def _lease(self, connection: socket.socket, runner: Runner, message: Message) -> None:
        who, client = (str(message.get(name, ""))[:_LONGEST_WHO] for name in ("who", "client"))
        grant = runner.lease(who, _telling(connection), client=client, aside=message.get("aside") is True)
        try:
            spec = grant.child.spec
            place = {"socket": spec.socket, "api_key": spec.api_key, "slots": Path(spec.slots).name}
            send(connection, {"event": "granted", "model": spec.model, **place})
            self._hold(connection, runner, grant)
        finally:
            runner.release(grant)

    def _hold(self, connection: socket.socket, runner: Runner, grant: Grant) -> None:
        # The open connection is the lease: closed by its holder, by the kernel when the holder dies, or here
        # when the child has died. Until then its holder tells how much was written.
        lines = Lines(connection)
        connection.settimeout(_WATCH_SECONDS)
        while grant.child.alive and not self._ending.is_set():
            with contextlib.suppress(TimeoutError):
                if (message := lines.receive()) is None:
                    return
                runner.wrote(grant, message.get("wrote"))


def _way(given: object) -> Speculation:
    for way in WAYS:
        if way == given:
            return way
    raise BadInputError("no way to write", field="speculation")


def _seconds(given: object) -> float:
    if not isinstance(given, int | float) or isinstance(given, bool) or not math.isfinite(given):
        raise BadInputError("no time", field="seconds")
    return float(given)


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
