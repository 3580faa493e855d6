"""Reads a WARC file without trusting it: in a jailed child, watched, timed, begun anew at a page that kills it."""

import json
import os
import select
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict
from typing import Final

from appliance import clock
from appliance.config import REPOSITORY, Limits
from appliance.errors import ReaderUnavailableError, WarcDamagedError, WarcOversizeError
from appliance.knowledge.web import wire
from appliance.knowledge.web.child import Orders
from appliance.knowledge.web.pages import Moved, Read
from appliance.machine import jail

_CHUNK: Final = 1 << 20
_START_S: Final = 60.0
_BEAT_S: Final = 0.25
_CPU_S: Final = 6 * 3600
"""Of one file. What counts is the time for each page, which is kept to from outside."""
_MOST_DEATHS: Final = 20
"""Pages of one file that may take their reader down before the file is refused."""


class WarcReader:
    """Safe for threads: every file has a child of its own."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits

    def read(
        self, file: int, name: str, tell: Callable[[int], None] = lambda _position: None
    ) -> Iterator[Read | Moved]:
        """The pages of the file that is open as `file`, and the addresses that lead to others.

        `tell` is called every now and then with the bytes that are done; if it raises, the child is killed.

        Raises:
            WarcDamagedError: it is not a sound WARC file.
            WarcOversizeError: more comes out of it than a box reads.
            ReaderUnavailableError: no child can be started, or none that is shut in.
        """
        first = 0
        unreadable: list[int] = []
        for _ in range(_MOST_DEATHS):
            orders = Orders(first, tuple(unreadable), self._limits.parse_memory_mb << 20, _CPU_S)
            watch = _Watch(file, orders, name, self._limits.parse_seconds)
            try:
                yield from watch.follow(tell)
            finally:
                watch.end()
            if watch.is_over:
                return
            if watch.at is None or watch.at in unreadable:
                raise WarcDamagedError("no page can be read", name=name)
            # A page took the child down: it is listed without text, and the child begins anew with it.
            first = watch.at
            unreadable.append(watch.at)
        raise WarcDamagedError("too many pages that can't be read", name=name)


class _Watch:
    """One child from its start to its end, seen from outside."""

    def __init__(self, file: int, orders: Orders, name: str, page_seconds: float) -> None:
        self.at: int | None = None
        """The record at which it is."""
        self.is_over = False
        self._position = 0
        self._name, self._page_seconds = name, page_seconds
        os.lseek(file, 0, os.SEEK_SET)
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "appliance.knowledge.web.child", json.dumps(asdict(orders))],
                stdin=file,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                cwd=REPOSITORY,
                env=jail.environment(),
                start_new_session=True,
            )
        except OSError as error:
            raise ReaderUnavailableError(f"reader of web pages: {error}") from error

    def follow(self, tell: Callable[[int], None]) -> Iterator[Read | Moved]:
        """Until the child has ended, or has taken too long for one page."""
        is_told = True
        for line in self._lines(tell):
            try:
                said = wire.read(line)
            except wire.LieError as error:
                raise WarcDamagedError("reader said nonsense", name=self._name) from error
            if isinstance(said, wire.BegunLine):
                if self.at is not None and said.record <= self.at:
                    raise WarcDamagedError("reader said nonsense", name=self._name)
                self.at, self._position, is_told = said.record, said.position, False
            elif isinstance(said, wire.PageLine | wire.MovedLine):
                if is_told:
                    raise WarcDamagedError("reader said nonsense", name=self._name)
                is_told = True
                yield wire.page_of(said) if isinstance(said, wire.PageLine) else Moved(said.url, said.to)
            elif isinstance(said, wire.RefusedLine):
                kind = WarcOversizeError if said.too_large else WarcDamagedError
                raise kind(said.why, name=self._name)
            else:
                self.is_over = True
                tell(self._position)
                return
        self._process.kill()
        if self.at is None and self._process.wait() == jail.NOT_JAILED:
            raise ReaderUnavailableError("reader of web pages: no jail")

    def _lines(self, tell: Callable[[int], None]) -> Iterator[bytes]:
        stdout = self._process.stdout
        assert stdout is not None
        handle, pending = stdout.fileno(), bytearray()
        poll = select.poll()
        poll.register(handle, select.POLLIN)
        due = clock.monotonic() + _START_S + self._page_seconds
        while True:
            tell(self._position)
            if poll.poll(_BEAT_S * 1000):
                data = os.read(handle, _CHUNK)
                if not data:
                    return
                pending += data
                if len(pending) > wire.LINE_BYTES:
                    raise WarcDamagedError("reader said too much", name=self._name)
                if b"\n" in data:
                    *whole, rest = bytes(pending).split(b"\n")
                    pending = bytearray(rest)
                    yield from whole
                    due = clock.monotonic() + self._page_seconds
            elif clock.monotonic() >= due:
                return

    def end(self) -> None:
        """Kill it if it still runs, and let go of everything."""
        self._process.kill()
        self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()
