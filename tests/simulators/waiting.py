"""Waiting in tests: for something to become true, never for a fixed time."""

import time
from collections.abc import Callable


def eventually(check: Callable[[], bool], within_s: float = 20.0) -> bool:
    """Whether it became true; generous, since machines that test are busy."""
    end = time.monotonic() + within_s
    while time.monotonic() < end:
        if check():
            return True
        time.sleep(0.01)
    return check()
