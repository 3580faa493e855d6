"""How often a secret may be guessed: five tries, then a wait that grows with each further one, at each door."""

import math
from collections import OrderedDict, deque

from appliance import clock
from appliance.errors import TooManyTriesError

FREE_TRIES = 5
OF_ALL = 12
"""Wrong tries of all addresses together within `OF_ALL_S`: guessing is not cheaper for who has many addresses."""
OF_ALL_S = 900.0
_ADDRESSES = 1000
"""Whose count is remembered; who was refused longest ago goes first, and is still counted among all."""

_FIRST_WAIT_S = 30
_LONGEST_WAIT_S = 300
"""Not longer: who can reach the unlock page could otherwise keep the operator out for hours."""


class Tries:
    """Counts wrong tries in memory, for one secret at one door; the caller lets one try run at a time.

    A restart of the process forgets the count. The cost of Argon2id is what stands against guessing then.
    """

    def __init__(self) -> None:
        self._wrong = 0
        self._closed_until = 0.0

    def check(self) -> None:
        """Call before a try.

        Raises:
            TooManyTriesError: not before `retry_after_s` seconds.
        """
        wait = self._closed_until - clock.monotonic()
        if wait > 0:
            raise TooManyTriesError(retry_after_s=math.ceil(wait))

    def wrong(self) -> int:
        """Count a wrong try; returns how many are left before the next wait."""
        self._wrong += 1
        over = self._wrong - FREE_TRIES
        if over < 0:
            return -over
        wait = min(_FIRST_WAIT_S << min(over, 10), _LONGEST_WAIT_S)
        self._closed_until = clock.monotonic() + wait
        return 0

    def right(self) -> None:
        """Forget the wrong ones."""
        self._wrong = 0
        self._closed_until = 0.0


class Doors:
    """The tries of one secret by who asks: each address has its own, so that a stranger's don't keep others out.

    The box itself, which is who has its account or root, is a door of its own that no stranger can close.
    """

    def __init__(self) -> None:
        self._own = Tries()
        self._of: OrderedDict[str, Tries] = OrderedDict()
        self._wrong: deque[float] = deque(maxlen=OF_ALL)
        """When the latest wrong tries of any address were."""

    def check(self, asker: str) -> None:
        """Call before a try of `asker`, an address, or empty for the box itself.

        Raises:
            TooManyTriesError: not before `retry_after_s` seconds.
        """
        if not asker:
            self._own.check()
            return
        if asker in self._of:
            self._of[asker].check()
        wait = self._wrong[0] + OF_ALL_S - clock.monotonic() if len(self._wrong) == OF_ALL else 0
        if wait > 0:
            raise TooManyTriesError(retry_after_s=math.ceil(wait))

    def wrong(self, asker: str) -> int:
        """Count a wrong try; returns how many `asker` has left before the next wait."""
        if not asker:
            return self._own.wrong()
        self._wrong.append(clock.monotonic())
        tries = self._of.setdefault(asker, Tries())
        self._of.move_to_end(asker)
        if len(self._of) > _ADDRESSES:
            self._of.popitem(last=False)
        return tries.wrong()

    def right(self) -> None:
        """Forget the wrong ones of everybody."""
        self._own.right()
        self._of.clear()
        self._wrong.clear()
