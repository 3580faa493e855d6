"""The outermost process of a box that takes releases: picks one, starts it, watches a trial, goes back by itself.

It comes from what the machine was set up with, not from the release, and needs nothing but the standard library.
"""

import contextlib
import ctypes
import fcntl
import json
import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from appliance import durable
from appliance.bundle.update import switch
from appliance.bundle.update.state import BASE, RESTING, Places
from appliance.errors import DiskFullError

RUNNING_RELEASE: Final = "HAKO_RELEASE"
"""Set for what the launcher starts: the name of its release."""
PASSED, FAILED, NOT_YET, SEALED = 0, 1, 3, 4
"""How `hako update check` ends."""
_PR_SET_PDEATHSIG: Final = 1
_PR_SET_CHILD_SUBREAPER: Final = 36
_LONGEST_REASON: Final = 80


@dataclass(frozen=True)
class Pace:
    """Seconds, and how many checks in a row decide."""

    look: float = 0.25
    between_checks: float = 3.0
    check: float = 300.0
    """For one check; a release that leaves a client waiting has failed it."""
    answer: float = 300.0
    """From the start until it answers at all."""
    trial: float = 1200.0
    """From the first look, or from the unlocking, until it is kept or taken back."""
    stop: float = 60.0
    leave: float = 15.0
    """For the box's processes that are left when it has ended."""
    passes: int = 2
    fails: int = 3


class Launcher:
    """`options` are those of `hako serve`."""

    def __init__(self, places: Places, options: Sequence[str] = (), pace: Pace | None = None) -> None:
        self._places = places
        self._options = list(options)
        self._pace = pace or Pace()
        self._asked_to_stop = False

    def run(self) -> int:
        """Until the box ends by itself or somebody ends it; its exit status."""
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._take_signal)
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1)  # what loses its parent becomes ours, and can be ended
        while True:
            with contextlib.suppress(DiskFullError):  # a box that runs is where somebody can make room
                switch.advance(self._places)
            if self._asked_to_stop:
                return 0
            ended = self._turn()
            if ended is not None:
                return ended

    def _take_signal(self, _number: int, _frame: object) -> None:
        self._asked_to_stop = True

    def _turn(self) -> int | None:
        """Run one release to its end; None if another one, or this one once more, is to follow."""
        name = self._places.current
        box = self._start(name, ["serve", *self._options])
        trial = Trial(self._places, self._pace, lambda: self._start(name, ["update", "check", "--json"], piped=True))
        try:
            while box.poll() is None:
                if self._asked_to_stop:
                    return self._end(box)
                now = self._places.read()
                if now.phase not in RESTING and not now.is_trial:
                    return None
                if now.is_trial:
                    trial.look()
                time.sleep(self._pace.look)
        finally:
            trial.close()
            self._end(box)
        # One that ends by itself while it is on trial has had one of its boots; else it is the box that ends.
        return box.returncode if self._places.read().phase in RESTING else None

    def _start(self, name: str, arguments: list[str], *, piped: bool = False) -> "subprocess.Popen[bytes]":
        python, environment = place_of(self._places, name)
        parent = os.getpid()

        def tie() -> None:
            ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
            if os.getppid() != parent:
                os._exit(1)

        return subprocess.Popen(
            [python, "-m", "appliance", "--data-dir", str(self._places.data), *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE if piped else None,
            stderr=subprocess.DEVNULL if piped else None,
            env=environment,
            start_new_session=True,
            preexec_fn=tie,  # noqa: PLW1509 - there are no threads here
        )

    def _end(self, box: "subprocess.Popen[bytes]") -> int:
        """Also what the box has started and not ended itself: nothing may write while a release is switched."""
        status = _end(box, self._pace.stop)
        until = time.monotonic() + self._pace.leave
        while children := _children():
            if time.monotonic() >= until:
                for child in children:
                    with contextlib.suppress(ProcessLookupError, PermissionError):
                        os.kill(child, signal.SIGKILL)
            with contextlib.suppress(ChildProcessError):
                while os.waitpid(-1, os.WNOHANG)[0]:
                    pass
            time.sleep(0.02)
        return status


class Trial:
    """Has the release on trial looked at again and again, by its own command, until that decides."""

    def __init__(self, places: Places, pace: Pace, start: "Callable[[], subprocess.Popen[bytes]]") -> None:
        self._places, self._pace, self._start = places, pace, start
        self._began = self._asked = time.monotonic()
        self._check: subprocess.Popen[bytes] | None = None
        self._answered = False
        self._passes = self._fails = 0
        self._until = math.inf
        if places.read().is_trial:
            switch.limit(places, time.time() + pace.answer)

    def look(self) -> None:
        """Once around; returns at once."""
        now = time.monotonic()
        if now >= self._until:
            self.close()
            switch.give_up(self._places, switch.TOO_LONG)
            return
        if self._check is None:
            if now - self._asked >= self._pace.between_checks:
                self._check, self._asked = self._start(), now
            return
        if self._check.poll() is None:
            if now - self._asked >= self._pace.check:
                self.close()
                self._judge(FAILED, "timeout")
            return
        status, said = self._check.returncode, said_of(self._check)
        self._check, self._asked = None, now
        self._judge(status, said)

    def close(self) -> None:
        """End a check that goes on."""
        if self._check is not None:
            _end(self._check, 0.0)
            self._check, self._asked = None, time.monotonic()

    def _judge(self, status: int, said: str) -> None:
        if status == NOT_YET and not self._answered:
            if time.monotonic() - self._began >= self._pace.answer:
                switch.give_up(self._places, "no-answer")
            return
        self._answered = True
        if status == SEALED:  # only a person can go on, and may take a night over it
            self._passes = self._fails = 0
            self._until = math.inf
            switch.limit(self._places, 0.0, sealed=True)
            return
        switch.probing(self._places)
        if self._until == math.inf:
            self._until = time.monotonic() + self._pace.trial
            switch.limit(self._places, time.time() + self._pace.trial)
        if status == PASSED:
            self._passes, self._fails = self._passes + 1, 0
            if self._passes >= self._pace.passes:
                switch.commit(self._places)
        else:
            self._passes, self._fails = 0, self._fails + 1
            if self._fails >= self._pace.fails:
                switch.give_up(self._places, f"check-{said or status}"[:_LONGEST_REASON])


def place_of(places: Places, name: str) -> tuple[str, dict[str, str]]:
    """The interpreter of a release, and the environment that it is to be started with."""
    environment = {**os.environ, RUNNING_RELEASE: name}
    if name == BASE:
        return sys.executable, environment
    # Else the folder that we stand in, or one that somebody has named, could take the release's place.
    environment = {key: value for key, value in environment.items() if not key.startswith("PYTHON")}
    return str(places.python(name)), {**environment, "PYTHONSAFEPATH": "1"}


def hand_over(data: Path, options: Sequence[str]) -> None:
    """Let the launcher take this process's place, where the box's releases need one; else nothing happens.

    Whatever the launcher has started is not handed over again.
    """
    if RUNNING_RELEASE not in os.environ and Places.of(data).is_in_use:
        os.execv(  # noqa: S606 - no shell, and our own words
            sys.executable, [sys.executable, "-m", "appliance.bundle.update.launch", str(data), *options]
        )


def is_to_make_way(data: Path) -> bool:
    """Whether a box that no launcher watches should end for one."""
    return RUNNING_RELEASE not in os.environ and Places.of(data).read().phase not in RESTING


def _end(process: "subprocess.Popen[bytes]", within_s: float) -> int:
    """Ask it to end, and see that it and all that it has started are gone."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(within_s)
        except subprocess.TimeoutExpired:
            process.kill()
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    if process.stdout:
        process.stdout.close()
    return process.wait()


def _children() -> list[int]:
    """Processes whose parent we are."""
    return [int(child) for child in Path(f"/proc/self/task/{os.getpid()}/children").read_text("ascii").split()]


def said_of(check: "subprocess.Popen[bytes]") -> str:
    """Which part of the check has failed, in one word of its own."""
    if check.stdout is None:
        return ""
    with check.stdout as out:
        words = out.read(1 << 16)
    try:
        failed = str(json.loads(words).get("failed") or "")
    except (ValueError, AttributeError):
        return ""
    return "".join(sign for sign in failed if sign.isalnum() or sign in "-_ ")


def main(arguments: Sequence[str]) -> int:
    """`DATA [OPTION…]`."""
    os.umask(0o077)
    places = Places.of(Path(arguments[0]).absolute())
    durable.folder(places.root)
    with (places.root / "launch.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            print(f"{places.data}: a box runs here already", file=sys.stderr)  # noqa: T201 - nobody else can say it
            return 1
        return Launcher(places, arguments[1:]).run()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
