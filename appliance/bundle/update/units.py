"""What systemd's units call instead of the launcher: the same steps, taken by root, while the target stops and starts.

Like the launcher it comes from what the machine was set up with, and needs nothing but the standard library.
"""

import contextlib
import json
import os
import subprocess
import sys
import time
import tomllib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from appliance import modes
from appliance.bundle.update import launch, switch
from appliance.bundle.update.launch import Pace, Trial
from appliance.bundle.update.state import RESTING, Places
from appliance.errors import DiskFullError

_BACKOFF_S: Final = (0.0, 0.2, 1.0, 3.0, 10.0)
_STEADY_S: Final = 60.0
_RESTART: Final = ("systemctl", "--no-block", "restart", "hako.target")


def start(places: Places, process: str) -> None:
    """Become a process of the release that is current; one that has just died again and again waits a little."""
    time.sleep(pause(os.environ.get("RUNTIME_DIRECTORY", ""), time.monotonic()))
    _become(places, ["-m", "appliance.processes", process, "--data-dir", str(places.data)])


def command(places: Places, arguments: Sequence[str]) -> None:
    """Become a command line of the release that is current."""
    _become(places, ["-m", "appliance", "--data-dir", str(places.data), *arguments])


def pause(folder: str, now: float) -> float:
    """Seconds to wait before this start, by how many there were in a row; kept in the unit's own folder.

    systemd before 254 waits the same time before each, and after some of them for good.
    """
    if not folder:
        return 0.0
    memory = Path(folder, "starts.json")
    try:
        row, last = json.loads(memory.read_bytes())
        row = row + 1 if 0 <= now - last < _STEADY_S else 0
    except (OSError, ValueError, TypeError):
        row = 0
    wait = _BACKOFF_S[min(row, len(_BACKOFF_S) - 1)]
    with contextlib.suppress(OSError):
        memory.write_text(json.dumps([row, now + wait]), "ascii")
    return wait


def _become(places: Places, arguments: Sequence[str]) -> None:
    python, environment = launch.place_of(places, places.current)
    os.execve(python, [python, *arguments], environment)  # noqa: S606 - no shell, and our own words


def resume(places: Places) -> None:
    """Before anything of the box starts: bring it to where a release can run, as `switch.advance`."""
    with contextlib.suppress(DiskFullError):  # a box that runs is where somebody can make room
        switch.advance(places)


def watch(places: Places, restart: Callable[[], None], pace: Pace | None = None) -> None:
    """Look at a release on trial until that is decided; have the target restarted where another is to follow."""
    pace = pace or Pace()
    trial = Trial(places, pace, lambda: check(places))
    try:
        while places.read().is_trial:
            trial.look()
            time.sleep(pace.look)
    finally:
        trial.close()
    if places.read().phase not in RESTING:
        restart()


def check(places: Places) -> "subprocess.Popen[bytes]":
    """The release's own command, as the launcher starts it."""
    python, environment = launch.place_of(places, places.current)
    return subprocess.Popen(
        [python, "-m", "appliance", "--data-dir", str(places.data), "update", "check", "--json"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=environment,
        start_new_session=True,
    )


def _restart() -> None:
    subprocess.run(_RESTART, check=True)


def _are_separate(data: Path) -> bool:
    """Whether the accounts of a group share the box's files; read leniently, as `Places.of` does."""
    try:
        return "accounts" in tomllib.loads((data / "hako.toml").read_text("utf-8"))
    except (OSError, ValueError):
        return False


def main(arguments: Sequence[str]) -> int:
    """`start DATA PROCESS`, `command DATA WORD…`, `resume DATA` or `watch DATA`."""
    what, data = arguments[0], Path(arguments[1]).absolute()
    places = Places.of(data)
    modes.share(_are_separate(data))
    os.umask(modes.umask())
    if what == "start":
        start(places, arguments[2])
    elif what == "command":
        command(places, arguments[2:])
    elif what == "resume":
        resume(places)
    elif what == "watch":
        watch(places, _restart)
    else:
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
