"""Whether root lets anything leave at all: a file of root's own, which the units of the way out ask for.

Destinations are named on the pages; without this file naming one opens nothing.
"""

from contextlib import suppress
from pathlib import Path
from typing import Final

from appliance import durable
from appliance.health.airgap import opening
from appliance.health.airgap.tools import Run, run
from appliance.machine.gap import WAY_OUT

WATCHING: Final = ("hako-egress.path", "hako-egress-rules.path")
"""They look whether a destination is named, and start the others."""
UNITS: Final = (*WATCHING, "hako-egress.service", "hako-egress-rules.service")
_READABLE: Final = 0o644


def open_up(mark: Path = WAY_OUT, ask: Run = run) -> None:
    """From now on, and after each start.

    Raises:
        OSError: systemd doesn't do it, and it stays shut. DiskFullError: likewise.
    """
    durable.replace(mark, b"", mode=_READABLE)
    try:
        ask(("systemctl", "start", *WATCHING), b"")
    except OSError:
        _remove(mark)
        raise


def shut(data: Path, mark: Path = WAY_OUT, ask: Run = run) -> None:
    """The file first: whatever stops this midway, the next start is without a way out.

    Raises:
        OSError: systemd doesn't stop who sends.
    """
    _remove(mark)
    ask(("systemctl", "stop", *UNITS), b"")
    with suppress(OSError):  # a server may have no firewall of ours
        opening.fill(data, ask, is_shut=True)


def _remove(mark: Path) -> None:
    mark.unlink(missing_ok=True)
    durable.sync(mark.parent)
