"""Looks at a medium under the root that the operator has set, and with all that was learned of its publisher before."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from appliance import clock
from appliance.bundle.reading import Reading
from appliance.bundle.trust.anchors import Anchor, Anchors
from appliance.bundle.trust.state import TrustStore
from appliance.errors import BusyError, TrustDamagedError
from appliance.inference.importing import locked

_NAME_CHARS: Final = 32
_RETRY_S: Final = 3


class Remembered:
    """Used by web and worker; one of them looks at a time, for both write down what they learn."""

    def __init__(self, folder: Path, key: bytes, anchors: Anchors) -> None:
        """`folder` holds a memory for each publisher; `key` is the box's own, so that nobody else can write one."""
        self._folder, self._key, self._anchors = folder, key, anchors

    @contextmanager
    def reading(self, medium: Path) -> Iterator[tuple[Anchor, Reading]]:
        """A look at the medium, and the root it was judged by.

        Raises:
            NoPublisherError: no root is set.
            BusyError: somebody else looks just now.
            TrustDamagedError, BundleUnreadableError, …: as `Reading`.
        """
        anchor = self._anchors.demand()
        memory = self._folder / anchor.fingerprint[:_NAME_CHARS]
        memory.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = locked(memory)
        if lock is None:
            raise BusyError(retry_after_s=_RETRY_S)
        try:
            store = TrustStore(memory, self._key)
            try:
                opened = Reading(medium, anchor.root, store, at_least=anchor.serial, clock=clock.now())
            finally:
                # Also what was learned of a medium that was refused: it must not be forgotten either.
                with suppress(TrustDamagedError):
                    self._anchors.seen(anchor.fingerprint, store.load(anchor.serial).serial)
        finally:
            os.close(lock)
        with opened:
            yield anchor, opened
