"""The box's admin socket, as the command line reaches it, without a process: for commands that run in a test."""

import socket
from typing import Any, Self

from appliance import errors
from tests.simulators.box import TestBox


class Door:
    """In place of `Terminal.client()`; open while a test lasts, and a command may enter it again and again."""

    def __init__(self, box: TestBox) -> None:
        self._box = box
        self._ours, self._theirs = socket.socketpair(socket.AF_UNIX)
        self._entered = 0

    def __enter__(self) -> Self:
        self._entered += 1
        return self

    def __exit__(self, *_given: object) -> None:
        self._entered -= 1
        if not self._entered:
            self._ours.close()
            self._theirs.close()

    def _send(self, method: str, path: str, **options: Any) -> Any:
        answer = self._box.app.test_client().open(
            f"/api/v1{path}", method=method, environ_overrides={"gunicorn.socket": self._ours}, **options
        )
        if answer.status_code >= 400:
            raise errors.by_code(answer.get_json()["code"])
        return answer.get_json(silent=True)

    def get(self, path: str, **query: str) -> Any:
        return self._send("GET", path, query_string=query)

    def post(self, path: str, body: Any) -> Any:
        return self._send("POST", path, json=body)

    def delete(self, path: str) -> None:
        self._send("DELETE", path)
