"""Programs of the machine that show how it stands; what goes wrong with them is told as an OSError."""

import os
import subprocess
from collections.abc import Callable, Sequence
from typing import Final

Run = Callable[[Sequence[str], bytes], bytes]
"""`run(command, given)`: what it has written. Raises FileNotFoundError: not installed; PermissionError: it may not;
OSError: it failed, or said nothing in time."""

_WITHIN_S: Final = 10.0
_PLACES: Final = "/usr/sbin:/usr/bin:/sbin:/bin"


def run(command: Sequence[str], given: bytes = b"") -> bytes:
    """For real; see `Run`."""
    try:
        ran = subprocess.run(
            list(command),
            input=given,
            capture_output=True,
            timeout=_WITHIN_S,
            check=False,
            env={**os.environ, "PATH": _PLACES, "LC_ALL": "C"},
        )
    except subprocess.TimeoutExpired as error:
        raise OSError(f"{command[0]}: nothing in time") from error
    if ran.returncode == 0:
        return ran.stdout
    said = ran.stderr.decode("utf-8", "replace")[:200]
    if "not permitted" in said or "must be root" in said or "ermission denied" in said:
        raise PermissionError(f"{command[0]}: {said}")
    raise OSError(f"{command[0]}: {said}")
