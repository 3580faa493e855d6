"""The running box over its admin socket: the same JSON API that the pages use, as its operator."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2

from appliance import durable, errors
from appliance.closing import Closing
from appliance.config import Settings
from appliance.errors import BoxNotRunningError, HakoError

_TIMEOUT_S = 600.0


class BoxClient(Closing):
    """Calls of `/api/v1`. Every failure is the box's own HakoError, found by its code."""

    def __init__(self, settings: Settings, language: str) -> None:
        # With a certificate set, gunicorn speaks TLS on every socket, this one too. Nothing is checked then:
        # the kernel vouches for the path, which only the box's own account can make.
        scheme = "https" if settings.web.tls_certificate else "http"
        self._http = httpx2.Client(
            transport=httpx2.HTTPTransport(uds=str(settings.admin_socket), verify=False),
            base_url=f"{scheme}://localhost",
            headers={"Accept-Language": language},
            timeout=httpx2.Timeout(_TIMEOUT_S, connect=5.0),
        )

    def close(self) -> None:
        self._http.close()

    def get(self, path: str, **query: str) -> Any:
        """GET, decoded."""
        return self._send("GET", path, params=query)

    def post(self, path: str, body: object) -> Any:
        """POST of a JSON body, decoded."""
        return self._send("POST", path, json=body)

    def put(self, path: str, body: object) -> Any:
        """PUT of a JSON body, decoded."""
        return self._send("PUT", path, json=body)

    def delete(self, path: str) -> None:
        """DELETE."""
        self._send("DELETE", path)

    def download(self, path: str, file: Path) -> None:
        """GET into a file of mode 600, put in place whole.

        Raises:
            DiskFullError: no room; there is no file.
        """
        part = file.with_name(file.name + ".new")
        try:
            with durable.told_when_full(), self._http.stream("GET", "/api/v1" + path) as response:
                if response.is_error:
                    response.read()
                    raise _error(response)
                part.unlink(missing_ok=True)
                descriptor = os.open(part, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600)
                with os.fdopen(descriptor, "wb") as target:
                    for piece in response.iter_bytes():
                        target.write(piece)
                    target.flush()
                    os.fsync(target.fileno())
            part.rename(file)
        except httpx2.TransportError as error:
            raise BoxNotRunningError(str(error)) from error
        finally:
            part.unlink(missing_ok=True)

    def upload(self, path: str, file: Path) -> Any:
        """POST a file as the multipart field `file`, streamed."""
        with file.open("rb") as source:
            return self._send("POST", path, files={"file": (file.name, source, "application/octet-stream")})

    def events(self, path: str, body: object) -> Iterator[tuple[str, dict[str, Any]]]:
        """POST and read the answer as (event, data) pairs."""
        try:
            with self._http.stream(
                "POST", "/api/v1" + path, json=body, headers={"Accept": "text/event-stream"}
            ) as response:
                if response.is_error:
                    response.read()
                    raise _error(response)
                kind = "message"
                for line in response.iter_lines():
                    if line.startswith("event: "):
                        kind = line[7:]
                    elif line.startswith("data: "):
                        yield kind, json.loads(line[6:])
        except httpx2.TransportError as error:
            raise BoxNotRunningError(str(error)) from error

    def chat(self, model: str, messages: list[dict[str, str]]) -> Iterator[str]:
        """The answer to a conversation in pieces, through the OpenAI dialect."""
        body = {"model": model, "messages": messages, "stream": True}
        try:
            with self._http.stream("POST", "/v1/chat/completions", json=body) as response:
                if response.is_error:
                    response.read()
                    raise errors.by_code(str(response.json()["error"]["hako_code"]))
                for line in response.iter_lines():
                    if line.startswith("data: {"):
                        yield _piece(json.loads(line[6:]))
        except httpx2.TransportError as error:
            raise BoxNotRunningError(str(error)) from error

    def _send(self, method: str, path: str, **options: Any) -> Any:
        try:
            response = self._http.request(method, "/api/v1" + path, **options)
        except httpx2.TransportError as error:
            raise BoxNotRunningError(str(error)) from error
        if response.is_error:
            raise _error(response)
        return response.json() if response.content else None


def _piece(event: dict[str, Any]) -> str:
    if "error" in event:
        raise errors.by_code(str(event["error"]["hako_code"]))
    return "".join(choice["delta"].get("content") or "" for choice in event["choices"])


def _error(response: httpx2.Response) -> HakoError:
    try:
        problem = response.json()
        return errors.by_code(str(problem["code"]), **problem.get("params", {}))
    except (ValueError, KeyError, TypeError, AttributeError):
        return HakoError(f"status {response.status_code}")
