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
    Switch,
    SystemBack,
    TakeSystem,
    Trust,
    Unmount,
)

log = logs.get(__name__)

MEDIA: Final = Path("run/hako/media")
_SLOTS: Final = ("systemctl", "--no-block", "restart", "hako-slots.service")
"""Of an imaged machine: it has the disk, and looks for orders at its start."""
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

    def take_system(self, wish: TakeSystem, tell: Tell) -> str:
        """Verify a whole system in the same way, and order the machine to put it into its other slot; its version."""

    def back(self) -> None:
        """Order the machine to start with the system in its other slot."""

    def trust(self, root: bytes) -> str:
        """Trust this publisher where none is trusted yet; the fingerprint of the one that is trusted."""


def run(command: Sequence[str]) -> None:
    """On this machine."""
    subprocess.run(command, check=True, capture_output=True, timeout=_WITHIN_S, stdin=subprocess.DEVNULL)


class Helper:
    """`sysroot`: what is taken for `/`."""

    def __init__(
        self, releases: Releases, sysroot: Path = Path("/"), run: Run = run, machine: MachineErrands | None = None
    ) -> None:
        self._releases, self._root, self._run = releases, sysroot, run
        self.machine = machine or MachineErrands(sysroot)

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
            case Mount(partition=partition):
                self._demand_stick(partition)
                self._run(["systemctl", "start", f"hako-usb@{partition}.service"])
                return {"folder": f"/{MEDIA / partition}"}
            case Unmount(partition=partition):
                self._run(["systemctl", "stop", f"hako-usb@{partition}.service"])
            case Install() | TakeSystem() | SystemBack() | Switch() | Trust():
                return self._change(request, tell)
            case _:
                return self.machine.act(request)
        return None

    def _change(self, request: Install | TakeSystem | SystemBack | Switch | Trust, tell: Tell) -> dict[str, Any] | None:
        """What the box or the whole machine is made of."""
        match request:
            case Install():
                return {"version": self._releases.install(request, tell)}
            case TakeSystem():
                version = self._releases.take_system(request, tell)
                self._run(_SLOTS)
                return {"version": version}
            case SystemBack():
                self._releases.back()
                self._run(_SLOTS)
                return None
            case Switch(digest=digest):
                return {"version": self._releases.agree(digest)}
            case Trust(root=root):
                return {"fingerprint": self._releases.trust(root.encode())}

    def _demand_stick(self, partition: str) -> None:
        """A disk that is plugged in by USB; never one that the box itself lies on."""
        place = self._root / "sys/class/block" / partition
        if not place.exists() or not any(part.startswith("usb") for part in place.resolve().parts):
            raise HelperRefusedError(reason="medium")
