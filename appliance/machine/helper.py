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
    Restart,
    SetClock,
    SetNetwork,
    SetZone,
    Unmount,
)

log = logs.get(__name__)

MEDIA: Final = Path("run/hako/media")
_NETWORKS: Final = Path("etc/systemd/network")
_WITHIN_S: Final = 60.0

Run = Callable[[Sequence[str]], None]
"""Runs a command to its end; raises OSError or subprocess.SubprocessError where it fails."""


class Releases(Protocol):
    """What may become the box's program."""

    def install(self, folder: Path, below: tuple[str, ...], digest: str) -> str:
        """Verify the release on a medium by the machine's own root, and install it as root's; its version.

        Raises HakoError: not signed as it must be, or it can't be installed; nothing is left of it.
        """

    def is_wanted(self, digest: str) -> bool:
        """Whether an operator has said that the box is to change to this release, and root has installed it."""


def run(command: Sequence[str]) -> None:
    """On this machine."""
    subprocess.run(command, check=True, capture_output=True, timeout=_WITHIN_S, stdin=subprocess.DEVNULL)


class Helper:
    """`sysroot`: what is taken for `/`."""

    def __init__(
        self,
        releases: Releases,
        sysroot: Path = Path("/"),
        run: Run = run,
        is_mounted: Callable[[Path], bool] = Path.is_mount,
    ) -> None:
        self._releases, self._root, self._run, self._is_mounted = releases, sysroot, run, is_mounted

    def act(self, request: Request) -> dict[str, Any]:
        """Do it; what there is to say of it.

        Raises:
            HelperRefusedError: this machine has no such thing.
            HelperFailedError: it has, but it did not work.
            HakoError: of a release, as `Releases.install`.
        """
        try:
            return self._act(request) or {}
        except (OSError, subprocess.SubprocessError) as error:
            detail = error.stderr if isinstance(error, subprocess.CalledProcessError) else error
            log.warning("helper_failed", verb=request.verb, reason=str(detail)[-300:])
            raise HelperFailedError(str(detail)[-300:], verb=request.verb) from error

    def _act(self, request: Request) -> dict[str, Any] | None:
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
                return self._install(request)
            case Restart(digest=digest):
                if not self._releases.is_wanted(digest):
                    raise HelperRefusedError(reason="release")
                self._run(["systemctl", "--no-block", "restart", "hako.target"])
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

    def _install(self, wish: Install) -> dict[str, Any]:
        self._demand_stick(wish.partition)
        folder = self._root / MEDIA / wish.partition
        if not self._is_mounted(folder):
            raise HelperRefusedError(reason="medium")
        return {"version": self._releases.install(folder, wish.below, wish.digest)}


def _network(wish: SetNetwork) -> str:
    lines = ["# Written by Hako's helper.", "[Match]", f"Name={wish.interface}", "", "[Network]"]
    if wish.dhcp:
        lines += ["DHCP=yes"]
    else:
        lines += ["DHCP=no", "IPv6AcceptRA=no", f"Address={wish.address}"]
        lines += [f"Gateway={wish.gateway}"] if wish.gateway else []
        lines += [f"DNS={address}" for address in wish.dns]
    return "\n".join(lines) + "\n"
