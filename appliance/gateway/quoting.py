"""How fast a model writes what it quotes, and what it doesn't: questions whose answers stand in them, and one other."""

import statistics
from collections.abc import Callable, Sequence
from typing import Final

from appliance import clock
from appliance.inference.speculation import Gains

Talk = list[dict[str, str]]
Write = Callable[[Talk], float | None]
"""Has a talk answered, with `TOKENS` tokens at most; tokens per second, None where too few came to have a speed."""

TOKENS = 120
FEWEST_TOKENS: Final = 16
CONTEXT: Final = 1024
"""Tokens that a model must hold for these questions."""
ROUNDS = 3
_LONGEST_S: Final = 45.0
"""Of one way of writing: a slow box gets fewer rounds."""

_NOTICES: Final = """\
The night entrance of the hospital is the guard room of the east wing. Visiting hours are from 2 pm to 8 pm. \
Please return the visitor card to the desk before you leave. The car park has room for 300 cars.
The recovery key is printed once when the box is set up. Keep it in a safe place away from the box. \
Whoever has it can open the vault without the passphrase. If it is lost, make a new one in the settings.
Night duty is paid by the hour from ten in the evening until five in the morning. The rate is one and a quarter \
of the hourly wage. Requests are handed in by the third working day of the next month at the office.
""".splitlines()
_QUOTE: Final = "Quote this notice word for word:\n\n{passage}"
_QUOTED: Final = (
    "The canteen opens at 11 and closes at 2. Lunch costs 600 yen. Please bring your own cup. Fish on Fridays.",
    "Parcels are handed over at the back door before noon. A receipt is given for each. Keep it for one year.",
)
"""Turns before the question that show a small model what quoting is: by itself it puts half in its own words."""
OTHER: Final = "{passage}\n\nNow an entirely different story about a lighthouse keeper and the sea."


class Pace:
    """What was measured of one way of writing, in the order of the questions."""

    def __init__(self) -> None:
        self.quoting: list[float | None] = []
        self.other: list[float | None] = []

    def gains(self, plain: "Pace") -> Gains:
        """How many times as fast as without guesses; none where one of them has no speed."""
        return Gains(_times(self.quoting, plain.quoting), _times(self.other, plain.other))


def written(write: Write, like: Pace | None = None) -> Pace:
    """Ask all that the time allows, or as much as another pace has: only the same answers can be compared."""
    pace, began = Pace(), clock.monotonic()
    for number in range(ROUNDS):
        if like and number >= len(like.quoting):
            break
        if number and not like and clock.monotonic() - began > _LONGEST_S:
            break
        passage = notice(number)
        pace.quoting.append(write(talk(passage)))
        if not number:
            pace.other.append(write([{"role": "user", "content": OTHER.format(passage=passage)}]))
    return pace


def notice(number: int) -> str:
    """The text of such a number, from 0: as many as are asked for, and none begins like the one before it."""
    turn = number % len(_NOTICES)
    return " ".join([f"Notice {number + 1}.", *_NOTICES[turn:], *_NOTICES[:turn]])


def talk(passage: str) -> Talk:
    """Asks for the passage word for word."""
    turns = [(("user", _QUOTE.format(passage=each)), ("assistant", each)) for each in _QUOTED]
    said = [*(each for turn in turns for each in turn), ("user", _QUOTE.format(passage=passage))]
    return [{"role": role, "content": content} for role, content in said]


def _times(found: Sequence[float | None], plain: Sequence[float | None]) -> float:
    pairs = [(one, other) for one, other in zip(found, plain, strict=True) if one and other]
    return round(statistics.median(one / other for one, other in pairs), 2) if pairs else 0.0
