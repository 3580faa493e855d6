"""Ask the supervisor for a place at a model, for its state, or to load and unload; safe to share between threads."""

import contextlib
import json
import math
import select
import socket
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from appliance import clock
from appliance.closing import Closing
from appliance.errors import BusyError, CancelledError, InferenceUnreachableError, by_code
from appliance.inference.engine import Speculation
from appliance.inference.protocol import Lines, Message, send
from appliance.machine import leaving
from appliance.machine.leaving import Try

_LOOK_SECONDS = 0.1
_LOAD_SECONDS = 660.0
_TELL_S: Final = 0.5
"""Between two messages of how much was written."""
_KEEP_SECONDS = 120.0
_TRIAL_SECONDS = 60.0

_Connection = socket.socket

Waits = Callable[[str, int, float | None], None]
"""Told `queued` or `loading`, the place in the queue, and the seconds it may take if that is known; each time the
place changes."""


class Place(Closing):
    """What is held while an answer is written, and given back when it is closed."""

    def wrote(self, tokens: int) -> None:
        """So many more have been written; here nobody counts them."""


class Trial(Closing):
    """Has a model guess or not, whatever is set, until it is closed; the kernel closes it when this process dies."""

    def __init__(self, connection: _Connection) -> None:
        self._connection = connection

    def use(self, speculation: Speculation) -> None:
        """From its next load on, which comes as soon as nobody uses the model.

        Raises:
            InferenceUnreachableError: the supervisor has ended.
        """
        try:
            send(self._connection, {"speculation": speculation})
        except OSError as error:
            raise InferenceUnreachableError(str(error)) from error
        _await(self._connection, "done", _TRIAL_SECONDS)

    def close(self) -> None:
        self._connection.close()


@dataclass
class _Untold:
    tokens: int = 0
    told_at: float = -math.inf


@dataclass(frozen=True)
class Lease(Place):
    """A place at a model, held until closed; the kernel closes it when this process dies."""

    model: str
    socket: Path
    api_key: str = field(repr=False)
    _connection: _Connection
    slots: str = ""
    """Names what its engine may keep of long prompts, see `kv_slots`; empty where it keeps nothing."""
    _untold: _Untold = field(default_factory=_Untold, repr=False)

    def wrote(self, tokens: int) -> None:
        """The supervisor hears it now and then, so that whoever looks sees how fast the model writes."""
        self._untold.tokens += tokens
        if clock.monotonic() - self._untold.told_at >= _TELL_S:
            self._tell()

    def close(self) -> None:
        self._tell()
        self._connection.close()

    def _tell(self) -> None:
        if not self._untold.tokens:
            return
        with contextlib.suppress(OSError):  # a supervisor that is gone or too busy must not hold up an answer
            self._connection.send(b'{"wrote":%d}\n' % self._untold.tokens, socket.MSG_DONTWAIT)
            self._untold.tokens, self._untold.told_at = 0, clock.monotonic()


class InferenceClient:
    """One connection for each call; nothing is kept between calls."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def lease(
        self,
        model: str,
        *,
        who: str = "",
        client: str = "",
        timeout: float = 600.0,
        stopped: Callable[[], bool] | None = None,
        waits: Waits | None = None,
        aside: bool = False,
    ) -> Lease:
        """Wait for a place. Those who wait take turns: `who` is one of them, however often he asks; "" is the box.
        In the turn of `who`, each `client` of his has its own: a key's id, or "" for his browsers.

        `aside`: for what the engine does beside all answers; it needs no place, and waits only while the model loads.

        Raises:
            InferenceUnreachableError: no supervisor, or it ended meanwhile.
            BusyError: queue full, or `timeout` seconds passed.
            CancelledError: `stopped` returned True.
            HakoError: why the model can't be had.
        """
        connection = self._ask({"op": "lease", "model": model, "who": who, "client": client, "aside": aside})
        try:
            granted = _await(connection, "granted", timeout, stopped, waits)
        except BaseException:
            connection.close()
            raise
        where = Path(granted["socket"])
        return Lease(granted["model"], where, granted["api_key"], connection, granted.get("slots", ""))

    def keep(self, lease: Lease, prompt: list[int]) -> str:
        """Have what the model has computed of these tokens kept; the name it has there, or empty where it can't be.

        The lease must still be held by who has just had them answered.
        """
        message = {"op": "keep", "model": lease.model, "socket": str(lease.socket), "prompt": prompt}
        with self._ask(message) as connection:
            return str(_await(connection, "done", _KEEP_SECONDS)["name"])

    def is_kept(self, lease: Lease, name: str) -> bool:
        """Whether what `keep` called so is still there; asking makes it stay longer."""
        with self._ask({"op": "kept", "model": lease.model, "name": name}) as connection:
            return bool(_await(connection, "done", 10.0)["there"])

    def status(self) -> dict[str, dict[str, Any]]:
        """State by model id, of the models that were used since the supervisor began."""
        with self._ask({"op": "status"}) as connection:
            answer = _await(connection, "done", 10.0)
        return {entry["id"]: entry for entry in answer["models"]}

    def leaving(self) -> list[Try]:
        """Tries to leave, by a child in the sandbox that processes of models are in; see `machine.leaving`."""
        with self._ask({"op": "leaving"}) as connection:
            answer = _await(connection, "done", 90.0)
        return leaving.parse(json.dumps(answer["tries"]).encode())

    def load(self, model: str, waits: Waits | None = None) -> None:
        """Load and keep loaded; returns when it answers. Lifts a quarantine."""
        with self._ask({"op": "load", "model": model}) as connection:
            _await(connection, "done", _LOAD_SECONDS, None, waits)

    def unload(self, model: str) -> None:
        """Let running answers end, then free its memory."""
        with self._ask({"op": "unload", "model": model}) as connection:
            _await(connection, "done", 60.0)

    def stay(self, model: str, seconds: float) -> None:
        """How long a loaded model stays without a question, until it is unloaded: 0 to end when idle, below 0 for ever.

        What is pinned, or isn't loaded, stays as it is.
        """
        with self._ask({"op": "stay", "model": model, "seconds": seconds}) as connection:
            _await(connection, "done", 60.0)

    def trial(self, model: str) -> Trial:
        """For who measures whether a model is faster when it guesses; everybody's answers are written so meanwhile.

        Raises:
            BusyError: somebody else tries this model.
            ModelNotFoundError: no such model.
        """
        connection = self._ask({"op": "trial", "model": model})
        try:
            _await(connection, "done", _TRIAL_SECONDS)
        except BaseException:
            connection.close()
            raise
        return Trial(connection)

    def _ask(self, message: Message) -> socket.socket:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            connection.connect(str(self._path))
            send(connection, message)
        except OSError as error:
            connection.close()
            raise InferenceUnreachableError(f"{self._path}: {error}") from error
        return connection


def _await(
    connection: socket.socket,
    wanted: str,
    timeout: float,
    stopped: Callable[[], bool] | None = None,
    waits: Waits | None = None,
) -> Message:
    lines = Lines(connection)
    poll = select.poll()
    poll.register(connection, select.POLLIN)
    deadline = clock.monotonic() + timeout
    while True:
        message = _next(lines) if lines.pending or poll.poll(_LOOK_SECONDS * 1000) else {}
        match message.get("event"):
            case "error":
                raise by_code(message["code"], **message["params"])
            case "queued" | "loading" as stage:
                if waits:
                    waits(stage, message["position"], message.get("wait_s"))
            case event if event == wanted and event:
                return message
            case _:
                pass
        if stopped and stopped():
            raise CancelledError("stopped while waiting for a model")
        if clock.monotonic() > deadline:
            raise BusyError("no place in time", retry_after_s=30)


def _next(lines: Lines) -> Message:
    with contextlib.suppress(OSError):
        if message := lines.receive():
            return message
    raise InferenceUnreachableError("the supervisor closed the connection")
