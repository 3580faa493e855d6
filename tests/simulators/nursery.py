"""Children of tests that are to be killed: forked from a clean process with one thread, never from the test itself."""

import multiprocessing
import sys
import traceback
from collections.abc import Callable
from multiprocessing.process import BaseProcess
from typing import Any

_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(["tests.simulators.taking_box", "tests.simulators.backed_box"])


def start(work: Callable[..., None], *given: Any) -> BaseProcess:
    """Have `work`, a function of a module, done in a child; it takes a few milliseconds to start."""
    child = _CONTEXT.Process(target=_done, args=(work, given), daemon=True)
    child.start()
    return child


def ended(child: BaseProcess, within_s: float = 60.0) -> int:
    """How it ended: 0, its status, or minus the signal that killed it."""
    child.join(within_s)
    if child.exitcode is None:
        child.kill()
        child.join()
        raise AssertionError("the child did not end")
    status = child.exitcode
    child.close()
    return status


def run(work: Callable[..., None], *given: Any) -> int:
    """`start`, then `ended`."""
    return ended(start(work, *given))


def _done(work: Callable[..., None], given: tuple[Any, ...]) -> None:
    try:
        work(*given)
    except BaseException:  # noqa: BLE001 - seen in the test's output, and as a status
        traceback.print_exc()
        sys.stderr.flush()
        sys.exit(1)
