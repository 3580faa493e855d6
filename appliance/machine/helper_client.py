"""Ask the helper, which is root, for one of its errands; safe to share between threads."""

import socket
from pathlib import Path
from typing import Any, Final

from appliance.errors import BadInputError, HelperRefusedError, HelperUnreachableError, by_code
from appliance.machine.helper_shapes import Request
from appliance.vault.protocol import receive, send

_QUICK_S: Final = 150.0
_INSTALL_S: Final = 3600.0


class HelperClient:
    """One connection for each errand."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def ask(self, request: Request) -> dict[str, Any]:
        """Have it done; what the helper says of it.

        Raises:
            HelperUnreachableError: nobody answers, or not in time.
            HelperRefusedError: not for this process, or this machine has no such thing.
            HelperFailedError: it did not work.
            HakoError: of a release, as it was verified and installed.
        """
        within_s = _INSTALL_S if request.verb == "install" else _QUICK_S
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(within_s)
            try:
                connection.connect(str(self._path))
                send(connection, request.model_dump(mode="json"))
                answer = receive(connection, within_s)
            except ConnectionError as error:
                if isinstance(error, ConnectionRefusedError):
                    raise HelperUnreachableError(str(error)) from error
                raise HelperRefusedError(str(error), reason="account") from error
            except (OSError, BadInputError) as error:
                raise HelperUnreachableError(f"{self._path}: {error}") from error
        if answer is None:
            raise HelperRefusedError(reason="account")
        if "error" in answer:
            raise by_code(str(answer["error"]), **answer.get("params", {}))
        answer.pop("ok", None)
        return answer
