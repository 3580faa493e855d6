"""What only the machine's own network shows: firewall, sockets, routes, resolvers, units, processes.

Under units, web has an empty network of its own and sees none of it. So root looks, once a minute, and leaves what it
has seen where web may read it: `python -m appliance.health.airgap.outside /run/hako/airgap/seen.json DATA`.
"""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from pydantic import ValidationError

from appliance import clock, config, durable, modes
from appliance.config import Settings
from appliance.errors import ConfigError, DiskFullError
from appliance.health.airgap import firewall, network, sandboxes, units
from appliance.health.airgap.facts import (
    Fact,
    Firewall,
    Place,
    Processes,
    Resolvers,
    Routes,
    Sockets,
    Units,
    Why,
    reason,
)
from appliance.health.airgap.tools import Run, run

FRESH_S: Final = 180.0
"""What was seen longer ago is not told as if it were so now."""
_TRIED_AGAIN_S: Final = 3600.0
_LONGEST: Final = 4 << 20


class Outside(Fact):
    """One look. `tried`: the firewall's rules in a network of their own; `listed`: how nftables lists the file's."""

    at: float
    firewall: Firewall
    sockets: Sockets
    routes: Routes
    resolvers: Resolvers
    units: Units
    processes: Processes
    tried: Place
    tried_at: float = 0
    listed: str = ""


def look(root: Path, settings: Settings, ask: Run = run, before: Outside | None = None) -> Outside:
    """Everything now; the firewall's rules are tried again after an hour, or when the file has changed.

    A container has neither firewall nor units of its own: those are its host's, and can't be seen from inside.
    """
    now, is_closed = clock.now(), settings.accounts.are_separate
    if settings.container:
        return _unseen("container").model_copy(
            update={
                "at": now,
                "sockets": network.sockets(root, frozenset(settings.web.ports.values()), is_closed=is_closed),
                "routes": network.routes(root),
                "resolvers": network.resolvers(root),
                "processes": sandboxes.seen(root / "proc", is_closed=is_closed),
            }
        )
    plain = firewall.seen(root, ask, expected=before.listed if before else "")
    is_known = before is not None and before.listed and before.firewall.digest == plain.digest
    if before is not None and is_known and 0 <= now - before.tried_at < _TRIED_AGAIN_S:
        tried, listed, tried_at = before.tried, before.listed, before.tried_at
    else:
        tried_at = now
        tried, listed = firewall.tried(root, ask)
        plain = firewall.seen(root, ask, expected=listed)
    fences = units.seen(ask)
    filtered = frozenset(unit.name for unit in fences.units if unit.name in units.FILTERED and not unit.open)
    return Outside(
        at=now,
        firewall=plain,
        sockets=network.sockets(root, frozenset(settings.web.ports.values()), is_closed=is_closed),
        routes=network.routes(root),
        resolvers=network.resolvers(root),
        units=fences,
        processes=sandboxes.seen(root / "proc", is_closed=is_closed, filtered=filtered),
        tried=tried,
        tried_at=tried_at,
        listed=listed,
    )


def read(path: Path) -> Outside:
    """What root has seen last; parts that say why not where there is nothing, or nothing fresh."""
    try:
        found = Outside.model_validate_json(path.read_bytes()[:_LONGEST])
    except FileNotFoundError:
        return _unseen("no-look")
    except OSError as error:
        return _unseen(reason(error))
    except ValidationError:
        return _unseen("unreadable")
    return found if 0 <= clock.now() - found.at <= FRESH_S else _unseen("stale")


def place(settings: Settings) -> Path | None:
    """Where root leaves what it has seen; None where the box has no units, and looks by itself."""
    if not settings.accounts.are_separate or settings.sockets_dir is None:
        return None
    return settings.sockets_dir / "airgap" / "seen.json"


def _unseen(why: Why) -> Outside:
    return Outside(
        at=0,
        firewall=Firewall(state="unknown", why=why),
        sockets=Sockets(state="unknown", why=why),
        routes=Routes(state="unknown", why=why),
        resolvers=Resolvers(state="unknown", why=why),
        units=Units(state="unknown", why=why),
        processes=Processes(state="unknown", why=why),
        tried=Place(name="firewall", state="unknown", why=why),
    )


def main(words: Sequence[str]) -> int:
    """`FILE DATA`: look, and leave it in FILE for all to read."""
    file, data = Path(words[0]), Path(words[1])
    modes.open_to_all()
    try:
        settings = config.load(data_dir=data)
    except ConfigError:
        return 1
    try:
        before = Outside.model_validate_json(file.read_bytes())
    except (OSError, ValidationError):
        before = None
    found = look(Path("/"), settings, before=before)
    try:
        durable.replace(file, found.model_dump_json().encode(), mode=modes.file())
    except DiskFullError:
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
