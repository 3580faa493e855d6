"""Waits for a medium, but not for ever: what a dying stick may hold up is done by a thread that can be left behind."""

import os
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import suppress
from errno import EIO
from functools import partial
from queue import SimpleQueue
from typing import Any, Final, TypeVar

from tuf.api.exceptions import SlowRetrievalError

Result = TypeVar("Result")

WITHIN_S: float = 60.0
"""For one call to the system."""
SLOWEST: Final = 64 << 10
"""Bytes a second, at least, after the first `WITHIN_S`: a stick of 1 kB/s would bring a model in half a year."""
_PIECE: Final = 1 << 20
_TRIES: Final = 3
_AGAIN_S: Final = 0.2


class Patience:
    """One thread that talks to one medium. Once it was waited for in vain, nothing more is asked of the medium."""

    def __init__(self) -> None:
        self._tasks: SimpleQueue[tuple[Future[Any], Callable[[], Any]] | None] = SimpleQueue()
        self._thread: threading.Thread | None = None
        self._is_gone = False

    def call(self, work: Callable[[], Result]) -> Result:
        """What `work` returns or raises. Raises SlowRetrievalError: it has not come back in time."""
        return self._awaited(self._begin(work))

    def pieces(self, opened: int) -> Iterator[bytes]:
        """The bytes of a file, closed at the end. While one piece is worked on, the next is read.

        Raises:
            OSError: it can't be read, also not once more.
            SlowRetrievalError: it hangs, or crawls.
        """
        offset, waited = 0, 0.0
        try:
            pending = self._begin(partial(_read, opened, 0))
            while True:
                began = time.monotonic()
                piece = self._awaited(pending)
                waited += time.monotonic() - began
                if not piece:
                    return
                offset += len(piece)
                if waited > WITHIN_S + offset / SLOWEST:
                    raise SlowRetrievalError("crawls")
                pending = self._begin(partial(_read, opened, offset))
                yield piece
        finally:
            self.release(opened)

    def release(self, opened: int) -> None:
        """Close a descriptor, once nothing uses it any more; if the medium hangs, when it has stopped doing so."""
        task: tuple[Future[None], Callable[[], None]] = (Future(), lambda: os.close(opened))
        if self._thread is None:
            os.close(opened)
        else:
            self._tasks.put(task)
            if not self._is_gone:
                with suppress(OSError, SlowRetrievalError):
                    self._awaited(task[0])

    def end(self) -> None:
        """Let the thread go, as soon as it can."""
        if self._thread is not None:
            self._tasks.put(None)
            if not self._is_gone:
                self._thread.join(WITHIN_S)
            self._thread = None

    def _begin(self, work: Callable[[], Result]) -> "Future[Result]":
        if self._is_gone:
            raise SlowRetrievalError("was given up")
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="medium", daemon=True)
            self._thread.start()
        future: Future[Result] = Future()
        self._tasks.put((future, work))
        return future

    def _awaited(self, future: "Future[Result]") -> Result:
        try:
            return future.result(WITHIN_S)
        except TimeoutError:
            if future.done():  # the system's own
                raise
            self._is_gone = True
            raise SlowRetrievalError("hangs") from None

    def _run(self) -> None:
        while (task := self._tasks.get()) is not None:
            future, work = task
            try:
                future.set_result(work())
            except BaseException as error:  # noqa: BLE001 - it is for who waits
                future.set_exception(error)
            del future, work, task  # holds no file and no piece while it waits


def _read(opened: int, offset: int) -> bytes:
    """A piece; a read error may be a loose contact, so it is tried again."""
    for _try in range(_TRIES - 1):
        try:
            return os.pread(opened, _PIECE, offset)
        except OSError as error:
            if error.errno != EIO:
                raise
            time.sleep(_AGAIN_S)
    return os.pread(opened, _PIECE, offset)
