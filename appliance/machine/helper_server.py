"""The helper's socket: one request a connection, one connection after the other, until nobody has asked for a while."""

import contextlib
import socket
from typing import Final

from appliance import logs
from appliance.errors import BadInputError, HakoError, HelperRefusedError
from appliance.machine import peers
from appliance.machine.helper import Helper
from appliance.machine.helper_shapes import parsed
from appliance.vault.protocol import Message, receive, send

log = logs.get(__name__)

PATIENCE_S: Final = 5.0
"""For a whole request to arrive, and for its answer to be taken."""


class HelperServer:
    """`listening` was opened by systemd. Only processes of `uid` are answered, not even root's."""

    def __init__(self, listening: socket.socket, helper: Helper, uid: int, patience_s: float = PATIENCE_S) -> None:
        self._listening, self._helper, self._uid, self._patience_s = listening, helper, uid, patience_s

    def serve(self, idle_s: float) -> None:
        """Until nobody has asked for so long and no network is on trial, or the socket is closed.

        Systemd starts the helper with the next connection.
        """
        self._listening.settimeout(idle_s)
        while True:
            try:
                connection, _ = self._listening.accept()
            except TimeoutError:
                if self._helper.machine.network.is_on_trial:
                    continue
                return
            except OSError:
                return
            with connection, contextlib.suppress(OSError):  # who has gone or is too slow gets no answer
                self._serve(connection)

    def _serve(self, connection: socket.socket) -> None:
        peer = peers.peer(connection)
        if peer.uid != self._uid:
            log.warning("helper_refused", reason="account", uid=peer.uid, pid=peer.pid)
            return
        answer = self._answer(connection, peer.pid)
        if answer is not None:
            connection.settimeout(self._patience_s)
            send(connection, answer)

    def _answer(self, connection: socket.socket, pid: int) -> Message | None:
        try:
            message = receive(connection, self._patience_s)
            if message is None:
                return None
            request = parsed(message)
            log.info("helper_asked", verb=request.verb, pid=pid)
            return {"ok": True, **self._helper.act(request)}
        except BadInputError:
            return self._refused(HelperRefusedError(reason="shape"), pid)
        except HelperRefusedError as error:
            return self._refused(error, pid)
        except HakoError as error:
            log.warning("helper_failed", code=error.code, detail=error.detail)
            return {"error": error.code, "params": error.params}
        except OSError:
            raise
        except Exception:
            log.exception("helper_crashed")
            return {"error": HakoError.code, "params": {}}

    @staticmethod
    def _refused(error: HelperRefusedError, pid: int) -> Message:
        log.warning("helper_refused", reason=error.params["reason"], pid=pid)
        return {"error": error.code, "params": error.params}
