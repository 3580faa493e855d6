"""Models of other machines: asked through the egress process, each call recorded, their words never taken on trust."""

import contextlib
import json
import math
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np

from appliance import clock
from appliance.closing import Closing
from appliance.errors import (
    BadInputError,
    BusyError,
    CancelledError,
    ContextTooLongError,
    DestinationIdentityError,
    DestinationKeyError,
    DestinationUnreachableError,
    EgressAwayError,
    HakoError,
    ModelFailedError,
    NotFoundError,
)
from appliance.gateway import egress, far, overflow, pictures
from appliance.gateway.destinations import Destination, Destinations, FarKind, FarModel
from appliance.gateway.remote_stream import RemoteStream
from appliance.inference.transport import ChildConnection, Stopped

_PASSED: Final = frozenset(
    (
        "messages", "prompt", "max_tokens", "temperature", "top_p", "top_k", "min_p", "stop", "seed",
        "presence_penalty", "frequency_penalty", "repeat_penalty", "logit_bias", "logprobs", "top_logprobs", "tools",
        "tool_choice", "parallel_tool_calls", "response_format", "stream_options",
    )
)  # fmt: skip
"""Fields of a request that other servers know; what is our own engine's only stays here."""
_TOO_LONG: Final = ("context length", "context size", "context window", "context_length", "context overflow")
_OF_TOO_LONG: Final = (
    HTTPStatus.BAD_REQUEST,
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    HTTPStatus.UNPROCESSABLE_ENTITY,
    HTTPStatus.INTERNAL_SERVER_ERROR,
)
_SOCKET_WITHIN_S: Final = 5.0
"""The egress process starts within about a second after the first destination was named."""
_RETRY_S: Final = 5
_MOST_LISTED: Final = 500

Vectors = np.ndarray[Any, np.dtype[np.float32]]


class Record(Protocol):
    """The audit log's `record`."""

    def __call__(self, actor: str, action: str, target: str = "", **detail: str | float) -> None: ...


@dataclass(frozen=True)
class RemoteModel:
    """A model of a destination; `name` is what it is called there."""

    id: str
    name: str
    kind: FarKind
    context: int
    destination: Destination


class Remote:
    """Safe to share between threads. Without destinations there is nothing here."""

    def __init__(
        self, destinations: Destinations, socket: Path, key_of: Callable[[str], str | None], record: Record
    ) -> None:
        """`key_of`: the key for a destination by its name, from the encrypted settings; `record`: the audit log."""
        self._destinations = destinations
        self._socket = socket
        self._key_of = key_of
        self._record = record
        self._failures: dict[str, str] = {}
        self.sent = 0
        """Calls that left since the process began."""

    def all(self) -> list[RemoteModel]:
        """Every model of every destination."""
        named = self._destinations.all().values()
        return [_model(destination, model) for destination in named for model in destination.models]

    def find(self, model: str) -> RemoteModel | None:
        """The model of that id; None if it is none of these."""
        name, slash, _ = model.partition("/")
        destination = self._destinations.all().get(name) if slash else None
        if destination is None:
            return None
        return next((found for each in destination.models if (found := _model(destination, each)).id == model), None)

    def state(self, model: RemoteModel) -> str:
        """As models are: "failed" is one whose destination failed in its last call, "loaded" any other."""
        return "failed" if model.destination.name in self._failures else "loaded"

    def open(
        self,
        model: RemoteModel,
        path: str,
        body: Mapping[str, Any],
        who: str,
        stopped: Stopped | None,
        *,
        rolls: bool = False,
    ) -> RemoteStream:
        """Start an answer, as Gateway.open. Too long a chat loses its beginning where it `rolls`.

        Raises:
            DestinationUnreachableError, DestinationKeyError, DestinationIdentityError: nothing to be had there.
            ModelFailedError, BusyError, ContextTooLongError, BadInputError: it can't answer, or not this.
        """
        asked = {name: value for name, value in body.items() if name in _PASSED}
        left_out = 0
        if rolls:
            asked, left_out = _rolled(asked, model.context)
        if biases := asked.get("logit_bias"):
            asked["logit_bias"] = {str(token): bias for token, bias in biases}  # OpenAI's form; pairs are our engine's
        call = _Call(self, model.destination, model.id, who, estimate_prompt(asked), model.context)
        try:
            connection = call.connected(stopped)
            call.send(connection, path, {**asked, "model": model.name, "stream": True})
            connection.begin(stopped)
        except BaseException as error:
            call.end(error)
            raise
        stream = RemoteStream(call, connection, stopped, model.id)
        stream.left_out = left_out
        return stream

    def embed(self, model: RemoteModel, texts: Sequence[str], who: str, stopped: Stopped | None) -> tuple[Vectors, int]:
        """Vectors of the texts, float32 (n, dimensions) as they are sent, and their tokens."""
        if not texts:
            return np.empty((0, 0), np.float32), 0
        call = _Call(self, model.destination, model.id, who, max(estimate(texts)), model.context)
        body = {"model": model.name, "input": list(texts), "encoding_format": "float"}
        answer = call.json("/v1/embeddings", body, stopped)
        vectors = _vectors(answer, len(texts), model.id)
        usage = answer.get("usage")
        tokens = usage.get("prompt_tokens") if isinstance(usage, dict) else None
        return vectors, tokens if isinstance(tokens, int) and tokens >= 0 else sum(estimate(texts))

    def offered(self, name: str, who: str) -> list[str]:
        """Ask a destination which models it has: their names, without anything that couldn't be one.

        Raises:
            NotFoundError: no such destination.
            DestinationUnreachableError, DestinationKeyError, DestinationIdentityError: nothing to be had there.
        """
        destination = self._destinations.get(name)
        call = _Call(self, destination, name, who, 0, 0)
        listed = call.json("/v1/models", {}, None).get("data")
        names = [item.get("id") for item in listed if isinstance(item, dict)] if isinstance(listed, list) else []
        return sorted({found for found in names if isinstance(found, str) and _is_name(found)})[:_MOST_LISTED]

    def note(self, destination: str, error: BaseException | None) -> None:
        """How a call of a destination ended; a stop or a refused request says nothing about it."""
        if error is None:
            self._failures.pop(destination, None)
        elif isinstance(error, HakoError) and error.status == HTTPStatus.BAD_GATEWAY:
            self._failures[destination] = error.code

    def begin(self, who: str, destination: str, target: str, size: int) -> None:
        """Record a call before it leaves. Raises DiskFullError: then it must not."""
        self._record(who or "box", "remote-call", target, destination=destination, sent_bytes=size)
        self.sent += 1

    def done(self, who: str, destination: str, target: str, size: int, result: str) -> None:
        """Record what came back."""
        self._record(who or "box", "remote-answer", target, destination=destination, bytes=size, result=result)

    def connect(self, destination: Destination, refused: "Callable[[int, bytes, str], HakoError]") -> ChildConnection:
        """A connection to the egress process, which may just be starting. Raises EgressAwayError."""
        until = clock.monotonic() + _SOCKET_WITHIN_S
        key = self._key_of(destination.name) or egress.NO_KEY
        while True:
            try:
                return ChildConnection(self._socket, key, destination.name, refused)
            except ModelFailedError as error:
                if clock.monotonic() > until:
                    raise EgressAwayError("no egress process") from error
                time.sleep(0.1)


class _Call(Closing):
    """One call: recorded when it leaves and when it has ended, however it ends."""

    def __init__(
        self, remote: Remote, destination: Destination, target: str, who: str, tokens: int, context: int
    ) -> None:
        self._remote, self._destination, self._target, self._who = remote, destination, target, who
        self._tokens, self._context = tokens, context
        self._connection: ChildConnection | None = None
        self._has_left = False
        self.received = 0
        self.error: BaseException | None = None

    def connected(self, stopped: Stopped | None) -> ChildConnection:
        if stopped and stopped():
            raise CancelledError("stopped")
        self._connection = self._remote.connect(self._destination, self._refused)
        return self._connection

    def send(self, connection: ChildConnection, path: str, body: dict[str, Any]) -> None:
        size = len(json.dumps(body, ensure_ascii=False).encode()) if body else 0
        self._remote.begin(self._who, self._destination.name, self._target, size)
        self._has_left = True
        connection.send(f"/{self._destination.name}{path}", body)

    def json(self, path: str, body: dict[str, Any], stopped: Stopped | None) -> dict[str, Any]:
        error: BaseException | None = None
        try:
            connection = self.connected(stopped)
            self.send(connection, path, body)
            connection.begin(stopped)
            parts = list(connection.chunks(stopped))
            self.received = sum(map(len, parts))
            answer: dict[str, Any] = dict(json.loads(b"".join(parts)).items())
        except (ValueError, AttributeError, RecursionError) as found:
            error = DestinationUnreachableError("no JSON", name=self._destination.name)
            raise error from found
        except BaseException as found:
            error = found
            raise
        else:
            return answer
        finally:
            self.end(error)

    def end(self, error: BaseException | None) -> None:
        self.error = error
        self.close()

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
        if not self._has_left:
            if self.error is not None:
                self._remote.note(self._destination.name, self.error)
            return
        self._has_left = False
        self._remote.note(self._destination.name, self.error)
        result = "ok" if self.error is None else getattr(self.error, "code", "HK-BOX-001")
        self._remote.done(self._who, self._destination.name, self._target, self.received, result)

    def _refused(self, status: int, body: bytes, _model: str) -> HakoError:
        """The error for an answer other than 200, by its status; its words are only looked at, never kept."""
        name = self._destination.name
        words = body[:4096].decode("utf-8", "replace").lower()
        if status in _OF_TOO_LONG and any(sign in words for sign in _TOO_LONG):
            return ContextTooLongError("remote", tokens=self._tokens, limit=self._context)
        if status in (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE):
            return BusyError("remote", retry_after_s=_RETRY_S)
        if status in (HTTPStatus.BAD_REQUEST, HTTPStatus.UNPROCESSABLE_ENTITY):
            return BadInputError(f"remote status {status}", field="request")
        kinds: dict[int, type[HakoError]] = {
            HTTPStatus.UNAUTHORIZED: DestinationKeyError,
            HTTPStatus.FORBIDDEN: DestinationKeyError,
            far.WRONG_IDENTITY: DestinationIdentityError,
            far.REDIRECTS: DestinationUnreachableError,
            far.UNREACHABLE: DestinationUnreachableError,
        }
        if status == egress.NOT_NAMED:
            return NotFoundError("no longer a destination")
        return kinds.get(status, ModelFailedError)(f"remote status {status}", name=name)


def estimate(texts: Sequence[str]) -> list[int]:
    """About how many tokens each text has, rather too many: another machine's vocabulary isn't known here."""
    return [math.ceil(sum(1 / 3 if sign.isascii() else 1 for sign in text)) + 4 for text in texts]


def estimate_prompt(body: Mapping[str, Any]) -> int:
    """About how many tokens a request has, rather too many, with a guess for each picture."""
    told, looking = pictures.guessed(body.get("messages"))
    read = {name: body[name] for name in ("prompt", "tools", "response_format") if name in body}
    return estimate([json.dumps({**read, "messages": told}, ensure_ascii=False)])[0] + looking


def _rolled(body: dict[str, Any], context: int) -> tuple[dict[str, Any], int]:
    """The body without the beginning of its chat, as far as it seems too long, and how many messages are out.

    What has to stay is sent however long it seems: that is only an estimate, and the other machine counts.
    """

    def count(messages: Sequence[overflow.Message]) -> int:
        return sum(estimate([pictures.words(message) for message in messages]))

    limit = overflow.room(context, body.get("max_tokens"))
    kept, left_out = overflow.fit(body["messages"], "rolling", limit, count, most=sys.maxsize)
    return {**body, "messages": kept}, left_out


def _model(destination: Destination, model: FarModel) -> RemoteModel:
    return RemoteModel(f"{destination.name}/{model.name}", model.name, model.kind, model.context, destination)


def _is_name(text: str) -> bool:
    with contextlib.suppress(ValueError):
        return bool(FarModel(name=text))
    return False


def _vectors(answer: dict[str, Any], count: int, name: str) -> Vectors:
    try:
        rows: Iterator[Any] = iter(sorted(answer["data"], key=lambda item: int(item["index"])))
        vectors: Vectors = np.array([row["embedding"] for row in rows], np.float32)
    except (KeyError, TypeError, ValueError) as error:
        raise ModelFailedError("remote embedding", name=name) from error
    if vectors.ndim != 2 or len(vectors) != count or not vectors.shape[1] or not np.isfinite(vectors).all():
        raise ModelFailedError("remote embedding", name=name)
    return vectors
