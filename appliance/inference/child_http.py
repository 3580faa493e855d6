"""The HTTP server of engines that bring none: chat, completions, embeddings and reranking over a unix socket."""

import base64
import contextlib
import hashlib
import hmac
import itertools
import json
import os
import secrets
import select
import socketserver
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

Vectors = NDArray[np.float32]
Stopped = Callable[[], bool]

_LONGEST_BODY = 64 << 20


class ContextExceededError(Exception):
    """More tokens than the model holds; answered as llama.cpp's server does."""

    def __init__(self, tokens: int, limit: int) -> None:
        super().__init__(f"{tokens} tokens, {limit} fit")
        self.tokens = tokens
        self.limit = limit


class UnsupportedError(Exception):
    """This engine has no such endpoint, e.g. chat on an embedding model."""


class CallerGoneError(Exception):
    """Nobody waits for this answer any more."""


class Thought(str):
    """A piece of what a model thinks before it answers."""

    __slots__ = ()


class Answering(Protocol):
    """What this server needs of an engine."""

    def chat(self, body: dict[str, Any]) -> Iterator[str | None]:
        """Pieces of the answer, one for each token; raises before the first one or not at all.

        Closing the iterator cancels. Before the first piece there may be None, as often as it likes: nothing yet,
        and a moment at which a caller that has gone is noticed.
        """
        ...

    def complete(self, prompt: str, body: dict[str, Any]) -> Iterator[str | None]:
        """What follows a bare text, without a template; else as `chat`."""
        ...

    def embed(self, texts: Sequence[str], *, truncate: bool) -> tuple[Vectors, int]:
        """L2-normalised vectors in the order of `texts`, and the tokens they had together."""
        ...

    def rerank(self, query: str, documents: Sequence[str], *, raw: bool, stopped: Stopped) -> tuple[list[float], int]:
        """How well each document fits the query, in their order, and the tokens that were read.

        Scores lie between 0 and 1, unless `raw` asks for the model's own logits. What is too long is cut.

        Raises:
            CallerGoneError: `stopped`, which is asked again and again, said so.
        """
        ...

    def count_tokens(self, texts: Sequence[str]) -> list[int]: ...


def serve(path: str, api_key: str, model: str, engine: Answering) -> None:
    """Answer on the socket from now on, in threads of this process."""
    with contextlib.suppress(FileNotFoundError):
        Path(path).unlink()
    handler = type("Handler", (_Handler,), {"engine": engine, "model": model, "authorization": f"Bearer {api_key}"})
    server = _Server(path, handler)
    threading.Thread(target=server.serve_forever, name="http", daemon=True).start()


class _Server(socketserver.ThreadingUnixStreamServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that has gone is no event."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    engine: ClassVar[Answering]
    model: ClassVar[str]
    authorization: ClassVar[str]

    def do_GET(self) -> None:
        if self.path == "/health":
            self._json({"status": "ok"})
        else:
            self._refuse(HTTPStatus.NOT_FOUND, "not_found_error", "no such path")

    def do_POST(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        if not 0 < length <= _LONGEST_BODY:
            self.close_connection = True
            self._refuse(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "invalid_request_error", "body")
            return
        raw = self.rfile.read(length)
        if not hmac.compare_digest(self.headers.get("Authorization", "").encode(), self.authorization.encode()):
            self._refuse(HTTPStatus.UNAUTHORIZED, "authentication_error", "wrong key")
            return
        routes: dict[str, Callable[[dict[str, Any]], None]] = {
            "/v1/chat/completions": self._chat,
            "/v1/completions": self._complete,
            "/v1/embeddings": self._embeddings,
            "/v1/rerank": self._rerank,
            "/tokenize": self._tokenize,
        }
        route = routes.get(self.path)
        if route is None:
            self._refuse(HTTPStatus.NOT_FOUND, "not_found_error", "no such path")
            return
        try:
            route(_object(raw))
        except ContextExceededError as error:
            extra = {"n_prompt_tokens": error.tokens, "n_ctx": error.limit}
            self._refuse(HTTPStatus.BAD_REQUEST, "exceed_context_size_error", str(error), extra)
        except (ValueError, TypeError, LookupError) as error:
            self._refuse(HTTPStatus.BAD_REQUEST, "invalid_request_error", str(error))
        except UnsupportedError as error:
            self._refuse(HTTPStatus.NOT_IMPLEMENTED, "not_supported_error", str(error))
        except CallerGoneError:
            self.close_connection = True

    # -- routes

    def _embeddings(self, body: dict[str, Any]) -> None:
        given = body["input"]
        texts = [given] if isinstance(given, str) else list(given)
        if not texts or not all(isinstance(text, str) for text in texts):
            raise ValueError("input must be a text or a list of texts")
        vectors, tokens = self.engine.embed(texts, truncate=bool(body.get("truncate")))
        rows = vectors.astype("<f4", copy=False)
        encoded = body.get("encoding_format") == "base64"
        data = [
            {"object": "embedding", "index": i, "embedding": _base64(row) if encoded else row.tolist()}
            for i, row in enumerate(rows)
        ]
        usage = {"prompt_tokens": tokens, "total_tokens": tokens}
        self._json({"object": "list", "model": self.model, "data": data, "usage": usage})

    def _rerank(self, body: dict[str, Any]) -> None:
        query, documents = body["query"], _texts(body["documents"], "documents")
        if not isinstance(query, str) or not documents:
            raise ValueError("query must be a text, and documents a list with something in it")
        scores, tokens = self.engine.rerank(query, documents, raw=bool(body.get("raw")), stopped=self._gone)
        results = [{"index": i, "relevance_score": score} for i, score in enumerate(scores)]
        usage = {"prompt_tokens": tokens, "total_tokens": tokens}
        self._json({"object": "list", "model": self.model, "results": results, "usage": usage})

    def _tokenize(self, body: dict[str, Any]) -> None:
        self._json({"counts": self.engine.count_tokens(_texts(body["texts"], "texts"))})

    def _chat(self, body: dict[str, Any]) -> None:
        _demand_stream(body)
        pieces = self.engine.chat(body)
        self._answer(body, pieces, _delta, [said(message) for message in body["messages"]])

    def _complete(self, body: dict[str, Any]) -> None:
        _demand_stream(body)
        prompt = body["prompt"]
        if not isinstance(prompt, str):
            raise TypeError("prompt must be a text")
        self._answer(body, self.engine.complete(prompt, body), _text, [prompt])

    def _answer(
        self, body: dict[str, Any], pieces: Iterator[str | None], shape: "_Shape", prompt: Sequence[str]
    ) -> None:
        try:
            begun = self._begun(pieces)
            if begun is None:
                self.close_connection = True
                return
            self.send_response(HTTPStatus.OK)
            self.send_header("Content-Type", "text/event-stream")
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            self._stream(body, begun, shape, prompt)
        except OSError:
            self.close_connection = True
        finally:
            getattr(pieces, "close", lambda: None)()

    def _begun(self, pieces: Iterator[str | None]) -> Iterator[str] | None:
        """The pieces once the first one has come; None if the caller goes before that."""
        for first in pieces:
            if first is not None:
                return (piece for piece in itertools.chain((first,), pieces) if piece is not None)
            if self._gone():
                return None
        return iter(())

    def _stream(self, body: dict[str, Any], pieces: Iterator[str], shape: "_Shape", prompt: Sequence[str]) -> None:
        chat = shape is _delta
        frame = {
            "id": f"chatcmpl-{secrets.token_hex(12)}",
            "object": "chat.completion.chunk" if chat else "text_completion",
            "created": int(time.time()),
            "model": self.model,
        }
        prompt_tokens = sum(self.engine.count_tokens(prompt))
        if chat:
            self._event({"choices": [_choice({"role": "assistant", "content": None})], **frame})
        count = 0
        limit = body.get("max_tokens") or -1
        finish = "stop"
        for piece in pieces:
            if count == limit:
                finish = "length"
                break
            count += 1
            event: dict[str, Any] = {"choices": [shape(piece)], **frame}
            if body.get("timings_per_token"):
                event["timings"] = {"cache_n": 0, "prompt_n": prompt_tokens, "predicted_n": count}
            self._event(event)
            if self._gone():
                return
        usage = {"prompt_tokens": prompt_tokens, "completion_tokens": count, "total_tokens": prompt_tokens + count}
        self._event({"choices": [shape("", finish)], **frame})
        if (body.get("stream_options") or {}).get("include_usage"):
            self._event({"choices": [], "usage": usage, **frame})
        self._chunk(b"data: [DONE]\n\n")
        self.wfile.write(b"0\r\n\r\n")

    # -- bytes

    def _event(self, event: dict[str, Any]) -> None:
        self._chunk(b"data: " + json.dumps(event, ensure_ascii=False).encode() + b"\n\n")

    def _chunk(self, data: bytes) -> None:
        self.wfile.write(b"%x\r\n%b\r\n" % (len(data), data))

    def _gone(self) -> bool:
        poll = select.poll()
        poll.register(self.connection, select.POLLRDHUP | select.POLLHUP)
        return bool(poll.poll(0))

    def _json(self, answer: dict[str, Any], status: HTTPStatus = HTTPStatus.OK) -> None:
        data = json.dumps(answer, ensure_ascii=False).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def _refuse(self, status: HTTPStatus, kind: str, message: str, extra: dict[str, Any] | None = None) -> None:
        self._json({"error": {"code": int(status), "type": kind, "message": message, **(extra or {})}}, status)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the parent's name
        """No request log: paths and sizes tell nothing, and the box logs at its own door."""

    def address_string(self) -> str:
        return f"pid {os.getpid()}"


def said(message: dict[str, Any]) -> str:
    """What a message says; of each picture in it a word that is the same for the same one."""
    content = message.get("content") or ""
    if not isinstance(content, list):
        return str(content)
    return "\n".join(_said(part) for part in content)


def _said(part: dict[str, Any]) -> str:
    if part.get("type") != "image_url":
        return str(part.get("text") or "")
    return f"picture-{hashlib.sha256(str(part['image_url']['url']).encode()).hexdigest()[:8]}"


def _object(raw: bytes) -> dict[str, Any]:
    body = json.loads(raw)
    if not isinstance(body, dict):
        raise TypeError("not an object")
    return body


def _texts(given: Any, field: str) -> list[str]:
    if not isinstance(given, list) or not all(isinstance(text, str) for text in given):
        raise ValueError(f"{field} must be a list of texts")
    return given


_Shape = Callable[..., dict[str, Any]]
"""A choice for a piece of text and, at the end, the reason."""


def _delta(piece: str, finish: str | None = None) -> dict[str, Any]:
    name = "reasoning_content" if isinstance(piece, Thought) else "content"
    return _choice({name: piece} if piece else {}, finish)


def _text(piece: str, finish: str | None = None) -> dict[str, Any]:
    return {"index": 0, "text": piece, "logprobs": None, "finish_reason": finish}


def _choice(delta: dict[str, Any], finish: str | None = None) -> dict[str, Any]:
    return {"index": 0, "delta": delta, "finish_reason": finish}


def _demand_stream(body: dict[str, Any]) -> None:
    if not body.get("stream"):
        raise ValueError("stream must be true: this server always streams")


def _base64(row: Vectors) -> str:
    return base64.b64encode(row.tobytes()).decode()
