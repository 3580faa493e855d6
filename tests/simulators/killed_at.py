"""Work in a child that is killed right before one of its calls of the system, whichever it is."""

import os
import signal
from collections.abc import Callable
from typing import Any, Final

from tests.simulators import nursery

CALLS: Final = ("rename", "replace", "unlink", "symlink", "link", "fsync", "mkdir", "open", "rmdir")
"""As Python's `os` has them; pathlib goes through them too."""


def killed_at(call: int, work: Callable[..., object], *given: Any) -> bool:
    """Do `work`, a function of a module, until right before its call of this number; whether it came so far."""
    status = nursery.run(_until, call, work, given)
    assert status in (0, -signal.SIGKILL)
    return status != 0


def _until(call: int, work: Callable[..., object], given: tuple[Any, ...]) -> None:
    count = 0

    def counted(real: Callable[..., object]) -> Callable[..., object]:
        def step(*values: object, **more: object) -> object:
            nonlocal count
            count += 1
            if count == call:
                os.kill(os.getpid(), signal.SIGKILL)
            return real(*values, **more)

        return step

    for name in CALLS:
        setattr(os, name, counted(getattr(os, name)))
    work(*given)
    os._exit(0)  # at once: what an ordinary end would do isn't to be counted
