"""The helper's socket: one request a connection, each in a thread of its own, until nobody has asked for a while."""

import contextlib
import socket
import threading
from collections.abc import Collection, Mapping
from typing import Final

from appliance import clock, logs
from appliance.errors import BadInputError, CancelledError, HakoError, HelperRefusedError
from appliance.machine import peers
from appliance.machine.helper import Helper
from appliance.machine.helper_shapes import parsed
from appliance.vault.protocol import Message, receive, send

log = logs.get(__name__)

PATIENCE_S: Final = 5.0
"""For a whole request to arrive, and for its answer to be taken."""
_TELL_S: Final = 0.2
_MOST: Final = 16
"""Connections at once; who comes later waits."""


class HelperServer:
    """`listening` was opened by systemd. `allowed`: which verbs the processes of an account may ask for, by its uid;
    nobody else is answered, not even root.
    """

    def __init__(
        self,
        listening: socket.socket,
        helper: Helper,
        allowed: Mapping[int, Collection[str]],
        patience_s: float = PATIENCE_S,
    ) -> None:
        self._listening, self._helper, self._allowed, self._patience_s = listening, helper, allowed, patience_s
        self._places = threading.Semaphore(_MOST)

    def serve(self, idle_s: float) -> None:
        """Until nobody has asked for so long and no network is on trial, or the socket is closed.

        Systemd starts the helper with the next connection.
        """
        self._listening.settimeout(idle_s)
        threads: list[threading.Thread] = []
        while True:
            self._places.acquire()
            try:
                connection, _ = self._listening.accept()
            except TimeoutError:
                self._places.release()
                if self._helper.machine.network.is_on_trial or any(thread.is_alive() for thread in threads):
                    continue
                return
            except OSError:
                return
            threads = [thread for thread in threads if thread.is_alive()]
            threads.append(threading.Thread(target=self._serve, args=(connection,), daemon=True))
            threads[-1].start()

    def _serve(self, connection: socket.socket) -> None:
        try:
            with connection, contextlib.suppress(OSError):  # who has gone or is too slow gets no answer
                self.answer(connection)
        finally:
            self._places.release()

    def answer(self, connection: socket.socket) -> None:
        """One connection, to its end. Raises OSError: the other side has gone."""
        peer = peers.peer(connection)
        if peer.uid not in self._allowed:
            log.warning("helper_refused", reason="account", uid=peer.uid, pid=peer.pid)
            return
        answer = self._answer(connection, peer)
        if answer is not None:
            connection.settimeout(self._patience_s)
            send(connection, answer)

    def _answer(self, connection: socket.socket, peer: peers.Peer) -> Message | None:
        try:
            message = receive(connection, self._patience_s)
            if message is None:
                return None
            request = parsed(message)
            self._demand_allowed(request.verb, peer.uid)
            log.info("helper_asked", verb=request.verb, uid=peer.uid, pid=peer.pid)
            return {"ok": True, **self._helper.act(request, _Told(connection, self._patience_s).tell)}
        except BadInputError:
            return self._refused(HelperRefusedError(reason="shape"), peer.pid)
        except HelperRefusedError as error:
            return self._refused(error, peer.pid)
        except HakoError as error:
            log.warning("helper_failed", code=error.code, detail=error.detail)
            return {"error": error.code, "params": error.params}
        except OSError:
            raise
        except Exception:
            log.exception("helper_crashed")
            return {"error": HakoError.code, "params": {}}

    def _demand_allowed(self, verb: str, uid: int) -> None:
        if verb not in self._allowed[uid]:
            raise HelperRefusedError(reason="account")

    @staticmethod
    def _refused(error: HelperRefusedError, pid: int) -> Message:
        log.warning("helper_refused", reason=error.params["reason"], pid=pid)
        return {"error": error.code, "params": error.params}


class _Told:
    """Says how far an errand is, a few times a second; who has gone stops it."""

    def __init__(self, connection: socket.socket, patience_s: float) -> None:
        self._connection, self._patience_s, self._last = connection, patience_s, 0.0

    def tell(self, stage: str, done: int, total: int) -> None:
        """Raises CancelledError: nobody hears it."""
        now = clock.monotonic()
        if now - self._last < _TELL_S:
            return
        self._last = now
        try:
            self._connection.settimeout(self._patience_s)
            send(self._connection, {"stage": stage, "done": done, "total": total})
        except OSError as error:
            raise CancelledError(str(error)) from error
