"""Root's few errands: each does one thing to the machine by systemd's own tools, and says what it refuses."""

import subprocess
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Protocol

from appliance import durable, logs
from appliance.errors import HelperFailedError, HelperRefusedError
from appliance.machine.helper_shapes import (
    Install,
    Mount,
    PowerOff,
    Reboot,
    Request,
    SetClock,
    SetNetwork,
    SetZone,
    Switch,
    Trust,
    Unmount,
)

log = logs.get(__name__)

MEDIA: Final = Path("run/hako/media")
_NETWORKS: Final = Path("etc/systemd/network")
_WITHIN_S: Final = 60.0

Run = Callable[[Sequence[str]], None]
"""Runs a command to its end; raises OSError or subprocess.SubprocessError where it fails."""


Tell = Callable[[str, int, int], None]
"""`tell(stage, done, total)`: how far it is. Raises CancelledError when nobody waits for it any more."""


class Releases(Protocol):
    """What may become the box's program. All of them raise HakoError, and leave everything as it was."""

    def install(self, wish: Install, tell: Tell) -> str:
        """Verify the release on a medium by the machine's own root, and install it as root's; its version."""

    def agree(self, digest: str) -> str:
        """Let the box change to this release, which root has installed; its version."""

    def trust(self, root: bytes) -> str:
        """Trust this publisher where none is trusted yet; the fingerprint of the one that is trusted."""


def run(command: Sequence[str]) -> None:
    """On this machine."""
    subprocess.run(command, check=True, capture_output=True, timeout=_WITHIN_S, stdin=subprocess.DEVNULL)


class Helper:
    """`sysroot`: what is taken for `/`."""

    def __init__(self, releases: Releases, sysroot: Path = Path("/"), run: Run = run) -> None:
        self._releases, self._root, self._run = releases, sysroot, run

    def act(self, request: Request, tell: Tell = lambda _stage, _done, _total: None) -> dict[str, Any]:
        """Do it; what there is to say of it. `tell` hears of an errand that takes minutes.

        Raises:
            HelperRefusedError: this machine has no such thing.
            HelperFailedError: it has, but it did not work.
            HakoError: of a release, as `Releases.install`.
        """
        try:
            return self._act(request, tell) or {}
        except (OSError, subprocess.SubprocessError) as error:
            detail = error.stderr if isinstance(error, subprocess.CalledProcessError) else error
            log.warning("helper_failed", verb=request.verb, reason=str(detail)[-300:])
            raise HelperFailedError(str(detail)[-300:], verb=request.verb) from error

    def _act(self, request: Request, tell: Tell) -> dict[str, Any] | None:
        match request:
            case Reboot() | PowerOff():
                self._run(["systemctl", "--no-block", request.verb.replace("-", "")])
            case SetZone(zone=zone):
                self._set_zone(zone)
            case SetClock(at=at):
                self._set_clock(at)
            case SetNetwork():
                self._set_network(request)
            case Mount(partition=partition):
                self._demand_stick(partition)
                self._run(["systemctl", "start", f"hako-usb@{partition}.service"])
                return {"folder": f"/{MEDIA / partition}"}
            case Unmount(partition=partition):
                self._run(["systemctl", "stop", f"hako-usb@{partition}.service"])
            case Install():
                return {"version": self._releases.install(request, tell)}
            case Switch(digest=digest):
                return {"version": self._releases.agree(digest)}
            case Trust(root=root):
                return {"fingerprint": self._releases.trust(root.encode())}
        return None

    def _set_zone(self, zone: str) -> None:
        if not (self._root / "usr/share/zoneinfo" / zone).is_file():
            raise HelperRefusedError(reason="zone")
        self._run(["timedatectl", "set-timezone", zone])

    def _set_clock(self, at: int) -> None:
        self._run(["timedatectl", "set-ntp", "false"])
        self._run(["timedatectl", "set-time", datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")])

    def _set_network(self, wish: SetNetwork) -> None:
        """Written whole or not at all, and for all to read: systemd-networkd has an account of its own."""
        if not (self._root / "sys/class/net" / wish.interface / "device").exists():  # a bridge, or a tunnel, or none
            raise HelperRefusedError(reason="interface")
        folder = self._root / _NETWORKS
        durable.replace(folder / f"10-hako-{wish.interface}.network", _network(wish).encode(), mode=0o644)
        self._run(["networkctl", "reload"])
        self._run(["networkctl", "reconfigure", wish.interface])

    def _demand_stick(self, partition: str) -> None:
        """A disk that is plugged in by USB; never one that the box itself lies on."""
        place = self._root / "sys/class/block" / partition
        if not place.exists() or not any(part.startswith("usb") for part in place.resolve().parts):
            raise HelperRefusedError(reason="medium")


def _network(wish: SetNetwork) -> str:
    lines = ["# Written by Hako's helper.", "[Match]", f"Name={wish.interface}", "", "[Network]"]
    if wish.dhcp:
        lines += ["DHCP=yes"]
    else:
        lines += ["DHCP=no", "IPv6AcceptRA=no", f"Address={wish.address}"]
        lines += [f"Gateway={wish.gateway}"] if wish.gateway else []
        lines += [f"DNS={address}" for address in wish.dns]
    return "\n".join(lines) + "\n"
