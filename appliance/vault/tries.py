"""How often a secret may be guessed: five tries, then a wait that grows with each further one."""

import math

from appliance import clock
from appliance.errors import TooManyTriesError

FREE_TRIES = 5
_FIRST_WAIT_S = 30
_LONGEST_WAIT_S = 300
"""Not longer: who can reach the unlock page could otherwise keep the operator out for hours."""


class Tries:
    """Counts wrong tries in memory, for one secret; the caller lets one try run at a time.

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
