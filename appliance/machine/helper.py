"""Root's few errands: each does one thing to the machine by systemd's own tools, and says what it refuses."""

import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final, Protocol

from appliance import logs
from appliance.errors import HelperFailedError, HelperRefusedError
from appliance.machine.errands import MachineErrands
from appliance.machine.helper_shapes import (
    Install,
    Mount,
    PowerOff,
    Reboot,
    Request,
    Restart,
    Unmount,
)

log = logs.get(__name__)

MEDIA: Final = Path("run/hako/media")
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
        machine: MachineErrands | None = None,
    ) -> None:
        self._releases, self._root, self._run, self._is_mounted = releases, sysroot, run, is_mounted
        self.machine = machine or MachineErrands(sysroot)

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
            case _:
                return self.machine.act(request)
        return None

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
