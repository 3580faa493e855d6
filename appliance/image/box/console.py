"""The screen at the machine: address, fingerprint and state, and what only somebody who stands there may do.

In plain English letters: a Linux console has no Japanese ones. There is no shell here; whoever gets one has the box.
"""

import json
import os
import select
import socket
import ssl
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from typing import Any, Final, Self

from appliance.bundle.update.state import Places
from appliance.bundle.update.system_state import SystemPlaces
from appliance.image.box import certificate, disks, slots
from appliance.image.box.disk import RECOVERY
from appliance.image.box.invited import Invited
from appliance.machine.gap import WAY_OUT

DATA: Final = Path("/var/lib/hako")
ADMIN: Final = Path("/run/hako/web/admin.sock")
HAKO: Final = "/usr/sbin/hako"
_LOOK_S: Final = 15.0
"""Each look costs a slow machine a second of its time; who types sees how things are at once."""
_ANSWER_S: Final = 60.0
_MENU: Final = (
    "[1] set this box up here   [2] open it   [3] new set-up code   [4] another operator   [5] restart   [6] switch off"
    "\n[7] factory reset   [8] publisher of releases   [9] the other slot's system   [10] way out"
)


@dataclass(frozen=True)
class Seen:
    """What the screen shows."""

    version: str
    addresses: tuple[str, ...]
    fingerprint: str
    state: str
    slot: str
    recovery: str
    failed: tuple[str, ...] = ()
    """Units of systemd."""
    code: str = ""
    """For the first set-up at the pages."""

    def lines(self) -> list[str]:
        """Of the screen."""
        pages = [f"https://{f'[{each}]' if ':' in each else each}/" for each in self.addresses]
        said = [
            "",
            f"Hako {self.version}",
            f"  pages        {'  '.join(pages) or 'no address yet: is the cable in?'}",
            f"  fingerprint  {self.fingerprint or 'no certificate yet'}",
            f"  state        {self.state}",
            f"  slot         {self.slot}",
        ]
        if self.code:
            said.append(f"  set-up code  {self.code}   open the pages, compare the fingerprint, and type it there")
        if self.failed:
            said.append(f"  failed       {'  '.join(self.failed)}")
        if self.recovery:
            said += ["", f"  recovery key of this machine's disk: {self.recovery}",
                     "  Write it on paper. It is shown until you type: noted"]  # fmt: skip
        return [*said, "", _MENU, "> "]


_invited = Invited(DATA / "vault.json")


def main() -> int:
    """Until the terminal goes."""
    shown: Seen | None = None
    while True:
        seen = look()
        if seen != shown:
            sys.stdout.write("\n".join(seen.lines()))
            sys.stdout.flush()
            shown = seen
        if select.select([sys.stdin], [], [], _LOOK_S)[0]:
            line = sys.stdin.readline()
            if not line:
                return 0
            act(line.strip())
            shown = None


def look() -> Seen:
    """As everything is now."""
    _invited.look(ask)
    return Seen(
        version=_read(Path("/usr/share/hako/release")),
        addresses=tuple(certificate.addresses()),
        fingerprint=certificate.fingerprint(),
        state=state(ask),
        slot=_read(slots.STATE) or disks.running_slot(),
        recovery=_read(RECOVERY),
        failed=_failed(),
        code=_invited.code,
    )


def state(asked: Callable[[str, str], Any]) -> str:
    """In a few words; `asked` as `ask`."""
    said = asked("GET", "/api/v1/state")
    if not isinstance(said, dict):
        return "starting"
    if not (DATA / "vault.json").exists():
        return "new: open the pages and type the set-up code, or take [1]"
    if said.get("vault", {}).get("state") != "open":
        return "closed: open it at its pages or with [2]"
    return "open" + (", on trial after an update" if said.get("trial") else "")


def act(choice: str) -> None:
    """One choice of the menu."""
    deeds: dict[str, Callable[[], object]] = {
        "1": _set_up,
        "2": lambda: _hako("unlock"),
        "3": lambda: _invited.renew(ask),
        "4": _new_operator,
        "5": lambda: _sure("restart") and subprocess.run(["systemctl", "reboot"], check=False),
        "6": lambda: _sure("switch off") and subprocess.run(["systemctl", "poweroff"], check=False),
        "7": lambda: _hako("erase"),
        "8": _publisher,
        "9": _other_system,
        "10": _way_out,
        "noted": lambda: RECOVERY.unlink(missing_ok=True),
    }
    deed = deeds.get(choice)
    if deed is not None:
        try:
            deed()
        except (EOFError, KeyboardInterrupt):
            _say("")


def _set_up() -> None:
    """The vault, by its own command; the code for its first operator then stands on the screen."""
    if (DATA / "vault.json").exists():
        _say("It has a vault already; type the set-up code at the pages.")
    else:
        _hako("init")


def _new_operator() -> None:
    """For a box whose operators can't sign in: only for who opens the vault once more, even if it is open."""
    if _hako("unlock") == 0:
        name = input("Name of the new account: ").strip()
        if name and not name.startswith("-"):
            _hako("user", "add", name, "--role", "operator")


def _other_system() -> None:
    """Go back to the system before, also from one on trial, or drop one that waits; `hako-slots` does it."""
    places = SystemPlaces(Places.of(DATA).root)
    standing = places.standing()
    if standing is not None and standing.phase == "waiting" and standing.wanted is not None:
        what = f"drop system {standing.wanted.number}, which waits for a restart"
    elif standing is not None and standing.other is not None and standing.can_go_back:
        what = f"restart with system {standing.other.number} ({standing.other.version})"
    else:
        _say("The other slot has no other system that was started before.")
        return
    if _sure(what):
        places.want_back()
        subprocess.run(["systemctl", "restart", "hako-slots.service"], check=False)


def _publisher() -> None:
    """Whose releases root installs; another one only from a stick, by its fingerprint and with the vault's secret."""
    if _hako("publisher") == 0 and _sure("change the publisher"):
        _hako("publisher", "--change")


def _way_out() -> None:
    """Whether the destinations that operators name can be reached at all."""
    if _hako("way-out") == 0:
        verb = "shut" if WAY_OUT.exists() else "open"
        if _sure(f"{verb} the way out"):
            _hako("way-out", f"--{verb}")


def _hako(*words: str) -> int:
    return subprocess.run([HAKO, *words], check=False).returncode


def _sure(what: str) -> bool:
    return input(f"{what}: type yes ").strip() == "yes"


def ask(method: str, path: str) -> Any:
    """What the box answers root at its own socket; None where it doesn't."""
    try:
        with _Admin(ADMIN) as box:
            box.request(method, path, body=b"{}" if method == "POST" else None,
                        headers={"Content-Type": "application/json", "Host": "localhost"})  # fmt: skip
            return json.loads(box.getresponse().read())
    except (OSError, ValueError):
        return None


class _Admin(HTTPConnection):
    """HTTP over the box's socket; TLS on it is the server's habit, and the kernel vouches for the path."""

    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=_ANSWER_S)
        self._path = path

    def connect(self) -> None:
        plain = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        plain.settimeout(_ANSWER_S)
        plain.connect(os.fspath(self._path))
        self.sock = ssl._create_unverified_context().wrap_socket(plain)  # noqa: S323, SLF001

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _failed() -> tuple[str, ...]:
    words = ["systemctl", "list-units", "--failed", "--plain", "--no-legend", "--no-pager"]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    return tuple(sorted(line.split()[0] for line in done.stdout.splitlines() if line.strip()))


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def _read(path: Path) -> str:
    try:
        return path.read_text("utf-8").strip()
    except OSError:
        return ""


if __name__ == "__main__":
    sys.exit(main())
