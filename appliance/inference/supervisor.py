"""The inference process's heart: a unix socket where leases are asked for, one runner per model behind it."""

import contextlib
import math
import secrets
import select
import socket
import threading
from collections.abc import Callable
from pathlib import Path

from appliance import logs
from appliance.config import Settings
from appliance.errors import BadInputError, ConflictError, HakoError, ModelFailedError, ModelTooLargeError
from appliance.inference.catalog import Catalog
from appliance.inference.engine import EngineSpec
from appliance.inference.estimate import SCRATCH_BYTES
from appliance.inference.manifest import Manifest
from appliance.inference.protocol import Lines, Message, send
from appliance.inference.runner import Grant, Runner
from appliance.inference.spawn import Child
from appliance.inference.verify import Verifier
from appliance.machine import peers, resources

log = logs.get(__name__)

_MIB = 1 << 20
_WATCH_SECONDS = 1.0
_EMBEDDING_PLACES = 4
"""Batches at once; more would only queue inside the child."""


class Supervisor:
    """Speaks the line protocol on `settings.inference_socket` with processes of its own user."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._catalog = Catalog(settings.models)
        self._verifier = Verifier(settings.run_dir / "verified-models.json")
        self._runners: dict[str, Runner] = {}
        self._starting: set[Child] = set()
        self._lock = threading.Lock()
        self._ending = threading.Event()
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)

    def start(self) -> None:
        """Open the socket and answer from now on.

        Raises:
            ConflictError: another supervisor runs on this data folder.
        """
        path = self._settings.inference_socket
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
            probe.connect(str(path))
            raise ConflictError("an inference process is running already", name=str(path))
        for stale in [path, *path.parent.glob("m-*.sock")]:
            stale.unlink(missing_ok=True)
        self._socket.bind(str(path))
        path.chmod(0o600)
        self._socket.listen(128)
        threading.Thread(target=self._accept, name="accept", daemon=True).start()
        threading.Thread(target=self._watch, name="watch", daemon=True).start()

    def preload(self, models: list[str]) -> None:
        """Load these in the background, and keep them."""
        for model in models:
            threading.Thread(target=self._preload, args=(model,), name=f"preload-{model}", daemon=True).start()

    def stop(self) -> None:
        """End every child and close the socket."""
        self._ending.set()
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        with self._lock:
            runners = list(self._runners.values())
            starting = list(self._starting)
        for child in starting:
            child.kill()
        threads = [threading.Thread(target=runner.stop) for runner in runners]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self._settings.inference_socket.unlink(missing_ok=True)

    # -- models

    def _runner(self, model: str) -> Runner:
        manifest = self._catalog.get(model)
        inference = self._settings.inference
        with self._lock:
            runner = self._runners.get(model)
            if runner is None or (runner.manifest != manifest and runner.status()["pid"] is None):
                places = inference.parallel if manifest.kind == "chat" else _EMBEDDING_PLACES
                limit = manifest.size + inference.child_memory_mb * _MIB
                runner = self._runners[model] = Runner(manifest, places, limit, self._launch)
        return runner

    def _unload(self, model: str) -> None:
        """Also a model that is no longer in the catalogue: one that is being removed."""
        with self._lock:
            runner = self._runners.get(model)
        if runner is None:
            runner = self._runner(model)
        runner.unload()

    def _launch(self, manifest: Manifest, exited: Callable[[Child], None]) -> Child:
        folder = self._catalog.folder(manifest.id)
        self._verifier.check(manifest, folder)
        missing = manifest.size + SCRATCH_BYTES - resources.available()
        if missing > 0:
            raise ModelTooLargeError(f"{missing} bytes short", missing_gb=math.ceil(missing / 1e9))
        child = Child(self._spec(manifest, folder), exited)
        with self._lock:
            self._starting.add(child)
        try:
            if self._ending.is_set():
                raise ModelFailedError("the box is stopping", name=manifest.name)
            child.wait_ready()
        except HakoError:
            child.stop()
            raise
        finally:
            with self._lock:
                self._starting.discard(child)
        return child

    def _spec(self, manifest: Manifest, folder: Path) -> EngineSpec:
        inference = self._settings.inference
        chat = manifest.kind == "chat"
        return EngineSpec(
            model=manifest.id,
            kind=manifest.kind,
            engine=manifest.engine,
            folder=str(folder.absolute()),
            entry=manifest.entry,
            socket=str(self._settings.run_dir / f"m-{secrets.token_hex(6)}.sock"),
            api_key=secrets.token_urlsafe(32),
            threads=inference.threads or max(1, resources.cores() - 1),
            parallel=inference.parallel,
            context=min(manifest.context, inference.context_tokens) if chat else manifest.context,
            dimensions=manifest.dimensions or 0,
            provider=inference.provider,
            # Address space counts what is reserved and never touched: twice the resident limit.
            memory_bytes=2 * (manifest.size + inference.child_memory_mb * _MIB),
        )

    def _preload(self, model: str) -> None:
        try:
            self._runner(model).load(lambda _stage, _place: not self._ending.is_set())
        except HakoError as error:
            log.warning("preload_failed", model=model, code=error.code, detail=error.detail)

    def _watch(self) -> None:
        while not self._ending.wait(_WATCH_SECONDS):
            with self._lock:
                runners = list(self._runners.values())
            for runner in runners:
                runner.watch_memory()

    # -- connections

    def _accept(self) -> None:
        while not self._ending.is_set():
            try:
                connection, _ = self._socket.accept()
            except OSError:
                if self._ending.wait(0.1):
                    return
                continue
            threading.Thread(target=self._serve, args=(connection,), name="client", daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection:
            try:
                if not peers.is_own_or_root(connection):
                    log.warning("stranger_refused", uid=peers.peer(connection).uid)
                    return
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
                self._lease(connection, self._runner(model))
            case "load":
                self._runner(model).load(_telling(connection))
                send(connection, {"event": "done"})
            case "unload":
                self._unload(model)
                send(connection, {"event": "done"})
            case "status":
                with self._lock:
                    runners = list(self._runners.values())
                send(connection, {"event": "done", "models": [runner.status() for runner in runners]})
            case _:
                raise BadInputError("unknown operation", field="op")

    def _lease(self, connection: socket.socket, runner: Runner) -> None:
        grant = runner.lease(_telling(connection))
        try:
            spec = grant.child.spec
            send(connection, {"event": "granted", "socket": spec.socket, "api_key": spec.api_key, "model": spec.model})
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


def _telling(connection: socket.socket) -> Callable[[str, int], bool]:
    """Report stage and place when they change, and notice that the client has gone."""
    poll = select.poll()
    poll.register(connection, select.POLLRDHUP | select.POLLHUP | select.POLLERR)
    last: list[tuple[str, int]] = []

    def tell(stage: str, place: int) -> bool:
        if poll.poll(0):
            return False
        if last != [(stage, place)]:
            last[:] = [(stage, place)]
            send(connection, {"event": stage, "position": place})
        return True

    return tell
