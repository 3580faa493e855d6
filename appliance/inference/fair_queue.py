"""Who waits for a model, and in which order: people take turns, each with their own requests in the order they came."""

from dataclasses import dataclass
from itertools import zip_longest
from typing import Final

LONGEST: Final = 64
"""Requests that may wait at one model."""
LONGEST_OF_ONE: Final = 16
"""Requests that one person may have waiting there."""


@dataclass(frozen=True, eq=False)
class Ticket:
    """One request that waits; equal to no other."""

    who: str
    aside: bool = False
    """Needs no place, only that the model is there: nobody's turn is over because of it."""


class FairQueue:
    """Not thread-safe. Whoever has just had a turn, or comes new, is the last of the round."""

    def __init__(self, longest: int = LONGEST, longest_of_one: int = LONGEST_OF_ONE) -> None:
        self._longest = longest
        self._longest_of_one = longest_of_one
        self._lines: dict[str, list[Ticket]] = {}
        """The waiting requests of each person who has any; the order of the keys is the order of turns."""

    def __len__(self) -> int:
        return sum(len(line) for line in self._lines.values())

    def __contains__(self, ticket: Ticket) -> bool:
        return ticket in self._lines.get(ticket.who, ())

    def is_full_for(self, who: str) -> bool:
        """Whether one more request of `who` would be too many, of theirs or altogether."""
        return len(self) >= self._longest or len(self._lines.get(who, ())) >= self._longest_of_one

    def join(self, who: str, *, aside: bool = False) -> Ticket:
        """Wait from now on."""
        ticket = Ticket(who, aside)
        self._lines.setdefault(who, []).append(ticket)
        return ticket

    def order(self) -> list[Ticket]:
        """Everybody in the order in which they will be served if nobody comes or goes."""
        rounds = zip_longest(*self._lines.values())
        return [ticket for turns in rounds for ticket in turns if ticket]

    def place(self, ticket: Ticket) -> int:
        """1 is next."""
        return self.order().index(ticket) + 1

    def is_next(self, ticket: Ticket) -> bool:
        return next(iter(self._lines.values()))[0] is ticket

    def serve(self, ticket: Ticket) -> None:
        """It has its place; the turn of its owner is over."""
        if ticket.aside:
            self.leave(ticket)
            return
        rest = [other for other in self._lines.pop(ticket.who) if other is not ticket]
        if rest:
            self._lines[ticket.who] = rest

    def put_back(self, ticket: Ticket) -> None:
        """It was served in vain: next again."""
        rest = self._lines.pop(ticket.who, [])
        self._lines = {ticket.who: [ticket, *rest], **self._lines}

    def leave(self, ticket: Ticket) -> None:
        """Stop waiting; its owner's other requests keep their turn. Harmless when it doesn't wait."""
        line = self._lines.get(ticket.who, [])
        if ticket in line:
            line.remove(ticket)
        if not line:
            self._lines.pop(ticket.who, None)
