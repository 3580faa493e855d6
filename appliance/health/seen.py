"""A look with its time, as JSON: how it gets from the process that looks to those that keep and show it."""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from appliance import durable, logs
from appliance.errors import DiskFullError
from appliance.health.check import Group
from appliance.health.finding import Finding, Fix, Look

log = logs.get(__name__)

_LONGEST: Final = 4 << 20


@dataclass(frozen=True)
class Seen:
    """What a check saw. `at` in seconds since the epoch."""

    look: Look
    group: Group
    at: float


def packed(seen: Seen) -> dict[str, Any]:
    """As JSON takes it."""
    return asdict(seen)


def unpacked(stored: dict[str, Any]) -> Seen:
    """The other way round. Raises KeyError, TypeError or ValueError for what isn't one."""
    look = dict(stored["look"])
    look["findings"] = [_finding(each) for each in look["findings"]]
    return Seen(Look(**look), stored["group"], float(stored["at"]))


def _finding(stored: dict[str, Any]) -> Finding:
    fix = stored["fix"]
    return Finding(**{**stored, "fix": None if fix is None else Fix(**fix)})


def write(path: Path, looks: Iterable[Seen]) -> None:
    """Put all of them in the file's place; a full disk is only logged, for it is itself among what is found."""
    content = json.dumps([packed(seen) for seen in looks]).encode()
    try:
        durable.replace(path, content)
    except (OSError, DiskFullError) as error:
        log.warning("health_not_written", kind=type(error).__name__)


def read(path: Path) -> list[Seen]:
    """What was written last; nothing where it can't be read: then nobody looks, and that is found out by its age."""
    try:
        with path.open("rb") as file:
            return [unpacked(each) for each in json.loads(file.read(_LONGEST))]
    except FileNotFoundError:
        return []
    except (OSError, ValueError, KeyError, TypeError) as error:
        log.warning("health_unreadable", kind=type(error).__name__)
        return []
