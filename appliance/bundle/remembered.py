"""Looks at a medium under the root that the operator has set, and with all that was learned of its publisher before."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Final

from appliance import clock, durable
from appliance.bundle.media import Place
from appliance.bundle.reading import Reading
from appliance.bundle.stale import Acceptances, Expired
from appliance.bundle.trust.anchors import Anchor, Anchors
from appliance.bundle.trust.state import TrustStore
from appliance.errors import BundleStaleError, BusyError, TrustDamagedError
from appliance.inference.importing import locked

_NAME_CHARS: Final = 32
_RETRY_S: Final = 3


def memory_of(fingerprint: str) -> str:
    """The name of a publisher's folder."""
    return fingerprint[:_NAME_CHARS]


class Remembered:
    """Used by web and worker; one of them looks at a time, for both write down what they learn."""

    def __init__(self, folder: Path, key: bytes, anchors: Anchors, stale: Acceptances) -> None:
        """`folder` holds a memory for each publisher; `key` is the box's own, so that nobody else can write one."""
        self._folder, self._key, self._anchors, self.stale = folder, key, anchors, stale

    @contextmanager
    def reading(self, place: Place) -> Iterator[tuple[Anchor, Reading]]:
        """A look at the medium, and the root it was judged by.

        Raises:
            NoPublisherError: no root is set.
            BusyError: somebody else looks just now.
            TrustDamagedError, BundleUnreadableError, …: as `Reading`.
        """
        with self._reading(place, self._accepts) as found:
            yield found

    def expired(self, place: Place) -> Expired | None:
        """The statement on the medium, if it is past its date. Raises as `reading`, but for BundleStaleError."""
        seen: list[Expired] = []

        def note(_fingerprint: str, expired: Expired) -> bool:
            seen.append(expired)
            return False

        with suppress(BundleStaleError), self._reading(place, note):
            pass
        return seen[0] if seen else None

    def _accepts(self, fingerprint: str, expired: Expired) -> bool:
        return self.stale.holds(fingerprint, expired.identity)

    @contextmanager
    def _reading(self, place: Place, accepts: Callable[[str, Expired], bool]) -> Iterator[tuple[Anchor, Reading]]:
        anchor = self._anchors.demand()
        with self._store(anchor.fingerprint) as store:
            try:
                opened = Reading(
                    place.folder,
                    anchor.root,
                    store,
                    at_least=anchor.serial,
                    clock=clock.now(),
                    below=place.below,
                    accepts=lambda expired: accepts(anchor.fingerprint, expired),
                )
            finally:
                # Also what was learned of a medium that was refused: it must not be forgotten either.
                with suppress(TrustDamagedError):
                    self._anchors.seen(anchor.fingerprint, store.load(anchor.serial).serial)
        with opened:
            yield anchor, opened

    def installed(self, fingerprint: str, counter: int, floor: int) -> None:
        """Never forget that this release was installed for good, and below which one none may run any more.

        Raises:
            BusyError, TrustDamagedError: as `reading`.
        """
        with self._store(fingerprint) as store:
            state = store.load(self._anchors.serial(fingerprint))
            if counter > state.counter or floor > state.floor:
                raised = replace(state, counter=max(counter, state.counter), floor=max(floor, state.floor))
                self._anchors.seen(fingerprint, store.save(raised).serial)

    def mark(self) -> tuple[int, int]:
        """The highest counter that was installed for good, and the floor, as remembered of the present publisher.

        Raises:
            TrustDamagedError: the memory can't be believed.
        """
        anchor = self._anchors.current()
        if anchor is None:
            return 0, 0
        state = TrustStore(self._folder / memory_of(anchor.fingerprint), self._key).load(anchor.serial)
        return state.counter, state.floor

    @contextmanager
    def _store(self, fingerprint: str) -> Iterator[TrustStore]:
        memory = self._folder / memory_of(fingerprint)
        durable.folder(memory)
        lock = locked(memory)
        if lock is None:
            raise BusyError(retry_after_s=_RETRY_S)
        try:
            yield TrustStore(memory, self._key)
        finally:
            os.close(lock)
