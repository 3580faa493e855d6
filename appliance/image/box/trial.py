"""Whether a system on trial is good: the box answers, and its own look at itself passes once somebody has opened it."""

import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from appliance.bundle.update import launch, units
from appliance.bundle.update.launch import NOT_YET, PASSED, SEALED
from appliance.bundle.update.state import Places

DATA: Final = Path("/var/lib/hako")
NO_ANSWER: Final = "no-answer"
CLOSED: Final = "closed"
_LONGEST_REASON: Final = 80
_TIMEOUT: Final = "timeout"


@dataclass(frozen=True)
class Pace:
    """Seconds, and how many looks in a row decide."""

    between: float = 15.0
    look: float = 900.0
    """For one look; on a slow machine it takes minutes."""
    answer: float = 3600.0
    """Without any answer, from the start or since the last one."""
    patience: float = 1200.0
    """From the first look that failed after the box was opened, so that models may load first."""
    passes: int = 2
    fails: int = 3


Look = Callable[[], tuple[int, str]]
"""How `hako update check` ends, and which part has failed."""


def judge(look: Look, wait: Callable[[float], None], tell: Callable[[str], bool], pace: Pace | None = None,
          now: Callable[[], float] = time.monotonic) -> str:  # fmt: skip
    """Why the system is not to be kept; empty if it is good. As long as the box is closed, nothing is decided.

    `tell`: hears what it waits for or what has failed, and says whether somebody wants to go back (see `launch`).
    """
    pace = pace or Pace()
    passes = fails = 0
    failing, silent = None, now()
    while True:
        status, said = look()
        if status == PASSED:
            passes, fails, failing = passes + 1, 0, None
            if passes >= pace.passes:
                return ""
        elif status == NOT_YET:
            if now() - silent >= pace.answer:
                return NO_ANSWER
        elif status == SEALED:
            passes, fails, failing = 0, 0, None
        else:
            passes, fails = 0, fails + 1
            failing = now() if failing is None else failing
            if fails >= pace.fails and now() - failing >= pace.patience:
                return f"check-{said or status}"[:_LONGEST_REASON]
        if status != NOT_YET:
            silent = now()
        if tell({PASSED: "", SEALED: CLOSED, NOT_YET: NO_ANSWER}.get(status, f"check-{said}")):
            return "operator"
        wait(pace.between)


def look(places: Places | None = None, within_s: float = Pace.look) -> tuple[int, str]:
    """The release's own look at the box, as at a release on trial."""
    check = units.check(places or Places.of(DATA))
    try:
        status = check.wait(within_s)
    except subprocess.TimeoutExpired:
        check.kill()
        check.wait()
        launch.said_of(check)
        return launch.FAILED, _TIMEOUT
    return status, launch.said_of(check)
