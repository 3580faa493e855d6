"""Ask the helper, which is root, for one of its errands; safe to share between threads."""

import json
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from appliance.errors import HakoError, HelperAbsentError, HelperRefusedError, HelperUnreachableError, by_code
from appliance.machine.helper_shapes import WORKERS, Request
from appliance.vault.protocol import LONGEST_LINE, Message, send

_QUICK_S: Final = 150.0
_INSTALL_S: Final = 1800.0
"""From one word of the helper's to the next: a slow disk takes everything that was written at the end."""


class HelperClient:
    """One connection for each errand."""

    def __init__(self, path: Path) -> None:
        self._path = path

    @property
    def is_there(self) -> bool:
        """Whether this machine has a helper: systemd has made its socket."""
        return self._path.is_socket()

    def ask(self, request: Request, tell: Callable[[str, int, int], None] | None = None) -> dict[str, Any]:
        """Have it done; what the helper says of it. `tell(stage, done, total)` may raise to have it stopped.

        Raises:
            HelperAbsentError: there is none.
            HelperUnreachableError: nobody answers, or not in time.
            HelperRefusedError: not for this process, or this machine has no such thing.
            HelperFailedError: it did not work.
            HakoError: of a release, as it was verified and installed.
        """
        within_s = _INSTALL_S if request.verb in WORKERS else _QUICK_S
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(within_s)
            try:
                connection.connect(str(self._path))
                send(connection, request.model_dump(mode="json"))
                said = connection.makefile("rb")
            except FileNotFoundError as error:
                raise HelperAbsentError(str(self._path)) from error
            except ConnectionRefusedError as error:
                raise HelperUnreachableError(str(error)) from error
            except ConnectionError as error:
                raise HelperRefusedError(str(error), reason="account") from error
            except OSError as error:
                raise HelperUnreachableError(f"{self._path}: {error}") from error
            with said:
                answer = self._next(said.readline, HelperRefusedError(reason="account"))
                while "stage" in answer:
                    if tell is not None:
                        tell(str(answer["stage"]), int(answer["done"]), int(answer["total"]))
                    answer = self._next(said.readline, HelperUnreachableError(f"{self._path}: ended"))
        if "error" in answer:
            raise by_code(str(answer["error"]), **answer.get("params", {}))
        answer.pop("ok", None)
        return answer

    def _next(self, readline: Callable[[int], bytes], closed: HakoError) -> Message:
        """The next word. Raises `closed` where there is none."""
        try:
            line = readline(LONGEST_LINE + 1)
        except ConnectionError as error:
            raise closed from error
        except OSError as error:
            raise HelperUnreachableError(f"{self._path}: {error}") from error
        if not line:
            raise closed
        try:
            message: Message = json.loads(line)
        except ValueError as error:  # killed in the middle of a word
            raise HelperUnreachableError(f"{self._path}: half an answer") from error
        return message
