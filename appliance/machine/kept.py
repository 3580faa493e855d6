"""What the machine was told of itself and must know at its next start, whatever of the system is made anew then."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from appliance import durable

FILE: Final = Path("etc/hako/machine.json")


@dataclass(frozen=True)
class Kept:
    """Empty for what nobody has said: the machine's name and its time zone."""

    name: str = ""
    zone: str = ""


def read(root: Path = Path("/")) -> Kept:
    """What is kept; nothing where there is none, or none that can be read."""
    try:
        said: Any = json.loads((root / FILE).read_text("utf-8"))
        return Kept(str(said.get("name", "")), str(said.get("zone", "")))
    except (OSError, ValueError, AttributeError):
        return Kept()


def write(kept: Kept, root: Path = Path("/")) -> None:
    """For all to read: web has to know under which name it may be asked."""
    durable.replace(root / FILE, json.dumps(asdict(kept), sort_keys=True).encode() + b"\n", mode=0o644)
