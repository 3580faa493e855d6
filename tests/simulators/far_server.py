"""Another machine that speaks OpenAI's API, as the box meets it: it says back what it is told, word by word."""

import json
import socket
import ssl
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self


class FarServer:
    """Listens on loopback from entering to leaving. What it was asked is in `seen`: (method, path, headers, body)."""

    def __init__(self, *, key: str = "", models: tuple[str, ...] = ("talker", "embedder"), pause_s: float = 0) -> None:
        """`pause_s`: between two words."""
        self.key, self.models, self.pause_s = key, models, pause_s
        self.context = 0
        """Words that it reads at most; where it is set, `stop` and `max_tokens` are kept, too."""
        self.seen: list[tuple[str, str, dict[str, str], dict[str, Any]]] = []
        self.answers: dict[str, tuple[int, dict[str, str], bytes]] = {}
        """Fixed answers by path, instead of the engine's."""
        self.writing = 0
        """Answers that are being written now."""
        self.words = 0
        server = self

        class Handler(_Handler):
            far = server

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.port = int(self._server.server_address[1])
        self.connections: list[socket.socket] = []
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    def use_tls(self, context: ssl.SSLContext) -> None:
        """From now on it is greeted over TLS."""
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True)

    def die(self) -> None:
        """Every connection ends as with a machine that is switched off."""
        for connection in self.connections:
            try:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(10)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    far: FarServer

    def setup(self) -> None:
        super().setup()
        self.far.connections.append(self.connection)

    def do_GET(self) -> None:
        self._note({})
        if self._is_fixed() or self._is_stranger():
            return
        self._json(200, {"object": "list", "data": [{"id": name} for name in self.far.models]})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self._note(body)
        if self._is_fixed() or self._is_stranger():
            return
        if self.path.endswith("/embeddings"):
            data = [{"index": i, "embedding": [len(text), 1.0, 0.5]} for i, text in enumerate(body["input"])]
            self._json(200, {"data": data[::-1], "usage": {"prompt_tokens": 7}})
            return
        self._stream(body)

    def _stream(self, body: dict[str, Any]) -> None:
        text = body["messages"][-1]["content"] if "messages" in body else body["prompt"]
        if isinstance(text, list):
            text = " ".join(part.get("text", part["type"]) for part in text)
        words, finish = text.split(" "), "stop"
        if self.far.context:
            if len(words) > self.far.context:
                self._json(400, {"error": {"code": "context_length_exceeded", "message": "too long"}})
                return
            ends = [words.index(stop) for stop in body.get("stop") or () if stop in words]
            words = words[: min(ends, default=len(words))]
            if len(words) > body.get("max_tokens", len(words)):
                words, finish = words[: body["max_tokens"]], "length"
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        self.far.writing += 1
        try:
            for piece in words:
                self.far.words += 1
                choice = {"index": 0, "delta": {"content": piece + " "}, "text": piece + " ", "finish_reason": None}
                self._event({"model": "far", "choices": [choice]})
                time.sleep(self.far.pause_s)
            self._event({"choices": [{"index": 0, "delta": {}, "text": "", "finish_reason": finish}]})
            usage = {"prompt_tokens": 3, "completion_tokens": self.far.words, "total_tokens": 3 + self.far.words}
            self._event({"choices": [], "usage": usage})
            self._chunk(b"data: [DONE]\n\n")
            self._chunk(b"")
        except OSError:
            self.close_connection = True
        finally:
            self.far.writing -= 1

    def _event(self, event: dict[str, Any]) -> None:
        self._chunk(b"data: " + json.dumps(event).encode() + b"\n\n")

    def _chunk(self, data: bytes) -> None:
        self.wfile.write(b"%x\r\n%b\r\n" % (len(data), data))

    def _note(self, body: dict[str, Any]) -> None:
        self.far.seen.append((self.command, self.path, dict(self.headers), body))

    def _is_fixed(self) -> bool:
        fixed = self.far.answers.get(self.path)
        if fixed:
            status, headers, content = fixed
            self.send_response(status)
            for name, value in {"Content-Length": str(len(content)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)
        return fixed is not None

    def _is_stranger(self) -> bool:
        wrong = bool(self.far.key) and self.headers["Authorization"] != f"Bearer {self.far.key}"
        if wrong:
            self._json(401, {"error": {"message": f"not {self.headers['Authorization']}"}})
        return wrong

    def _json(self, status: int, answer: dict[str, Any]) -> None:
        content = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the parent's name
        """Quiet."""
