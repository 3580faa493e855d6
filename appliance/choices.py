"""What an operator chose, kept as one small JSON object: read anew on each look, put in place whole."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from appliance import durable, logs

log = logs.get(__name__)


class Choices:
    """Each process sees a change at once. Who changes something in it sees to it that nobody else does meanwhile."""

    def __init__(self, path: Path, unreadable: str, *, most_bytes: int = -1) -> None:
        """`unreadable`: what the log calls a file that can't be read; `most_bytes`: of a longer one nothing counts."""
        self._path = path
        self._unreadable = unreadable
        self._most_bytes = most_bytes

    def read(self) -> dict[str, Any]:
        """The object; empty while there is none, or none that can be read."""
        try:
            with self._path.open("rb") as file:
                stored = json.loads(file.read(self._most_bytes))
        except FileNotFoundError:
            return {}
        except (OSError, ValueError) as error:
            log.warning(self._unreadable, kind=type(error).__name__)
            return {}
        return stored if isinstance(stored, dict) else {}

    def write(self, chosen: Mapping[str, Any]) -> None:
        """Raises DiskFullError: no room; the old file is as it was."""
        content = json.dumps(chosen, indent=1, sort_keys=True, ensure_ascii=False)
        durable.replace(self._path, content.encode() + b"\n")
