"""The keys process's unix socket: one request a connection, from processes of its own user or root only."""

import contextlib
import socket
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from appliance import logs
from appliance.errors import BadInputError, HakoError
from appliance.unix_server import Allowed, UnixServer
from appliance.vault.keeper import Keeper
from appliance.vault.protocol import Message, receive, send

log = logs.get(__name__)

_PLACES = 64
"""Requests at once; more wait in the kernel until one has been answered or has timed out."""


_Handler = Callable[..., Message | None]


class KeysServer:
    """Answers for a keeper until stopped."""

    def __init__(self, path: Path, keeper: Keeper, allowed: Allowed, patience_s: float = 10.0) -> None:
        """`allowed`: whether the process at the other end may ask. `patience_s`: for a whole request to arrive."""
        self._handlers = _handlers(keeper)
        self._patience_s = patience_s
        self._server = UnixServer(path, self._serve, allowed, _PLACES)

    def start(self) -> None:
        """Open the socket and answer from now on; a socket that a killed process left is replaced.

        Raises:
            ConflictError: another keys process uses this socket.
        """
        self._server.start()

    def stop(self) -> None:
        """Close the socket. Requests that are being answered still get their answer if the process lives on."""
        self._server.stop()

    def _serve(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):  # a client that has gone or is too slow gets no answer
            answer = self._answer(connection)
            if answer is not None:
                connection.settimeout(self._patience_s)
                send(connection, answer)

    def _answer(self, connection: socket.socket) -> Message | None:
        try:
            message = receive(connection, self._patience_s)
            return None if message is None else {"ok": True, **self._act(message)}
        except HakoError as error:
            if error.status >= 500:
                log.warning("request_failed", code=error.code, detail=error.detail)
            return {"error": error.code, "params": error.params}

    def _act(self, message: Message) -> Message:
        handler, fields = self._handlers.get(_text(message, "op"), (None, ()))
        if handler is None:
            raise BadInputError("unknown operation", field="op")
        values = [_text(message, field) for field in fields]
        try:
            return handler(*values) or {}
        except HakoError:
            raise
        except Exception as error:  # e.g. a disk that can't be written
            log.exception("request_crashed")
            raise HakoError from error


def _handlers(keeper: Keeper) -> dict[str, tuple[_Handler, tuple[str, ...]]]:
    """What can be asked, with the names of the texts it takes."""
    return {
        "status": (lambda: asdict(keeper.status()), ()),
        "create": (keeper.create, ("passphrase",)),
        "unlock": (keeper.unlock, ("passphrase", "asker")),
        "recover": (keeper.recover, ("recovery_key", "asker")),
        "check-recovery": (keeper.check_recovery, ("recovery_key", "asker")),
        "new-recovery": (lambda: {"recovery_key": keeper.new_recovery()}, ()),
        "confirm-recovery": (keeper.confirm_recovery, ()),
        "change-passphrase": (keeper.change_passphrase, ("old", "new")),
        "reset-passphrase": (keeper.reset_passphrase, ("recovery_key", "new")),
        "seal": (keeper.seal, ()),
        "derive": (lambda purpose: {"key": keeper.derive(purpose).hex()}, ("purpose",)),
    }


def _text(message: Message, field: str) -> str:
    value = message.get(field)
    if not isinstance(value, str):
        raise BadInputError(f"{field} is not text", field=field)
    return value
