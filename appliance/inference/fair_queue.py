"""Who waits for a model, and in which order: people take turns, and so do each one's browsers and programs."""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import zip_longest
from typing import Final

LONGEST: Final = 64
"""Requests that may wait at one model."""
LONGEST_OF_ONE: Final = 16
"""Requests that one person may have waiting there."""
LONGEST_OF_KEY: Final = 14
"""How many of these may be one key's: no program keeps its owner's other ones, or the browser, out of the queue."""


@dataclass(frozen=True, eq=False)
class Ticket:
    """One request that waits; equal to no other."""

    who: str
    client: str = ""
    """Which of that one's clients asks: a key's id, or empty for their browsers."""
    aside: bool = False
    """Needs no place, only that the model is there: nobody's turn is over because of it."""


Lines = dict[str, list[Ticket]]
"""The waiting requests of each client that has any; the order of the keys is the order of turns."""


class FairQueue:
    """Not thread-safe. Whoever has just had a turn, or comes new, is the last of the round.

    That holds for people, and then for the clients of the one whose turn it is.
    """

    def __init__(
        self,
        longest: int = LONGEST,
        longest_of_one: int = LONGEST_OF_ONE,
        longest_of_key: int = LONGEST_OF_KEY,
    ) -> None:
        self._longest = longest
        self._longest_of_one = longest_of_one
        self._longest_of_key = longest_of_key
        self._people: dict[str, Lines] = {}
        """Everybody who has any requests waiting; the order of the keys is the order of turns."""

    def __len__(self) -> int:
        return sum(_count(lines) for lines in self._people.values())

    def __contains__(self, ticket: Ticket) -> bool:
        return ticket in self._people.get(ticket.who, {}).get(ticket.client, ())

    def is_full_for(self, who: str, client: str = "") -> bool:
        """Whether one more request of that client would be too many, of its own, its owner's or altogether."""
        lines = self._people.get(who, {})
        return (
            len(self) >= self._longest
            or _count(lines) >= self._longest_of_one
            or bool(client and len(lines.get(client, ())) >= self._longest_of_key)
        )

    def join(self, who: str, client: str = "", *, aside: bool = False) -> Ticket:
        """Wait from now on."""
        ticket = Ticket(who, client, aside)
        self._people.setdefault(who, {}).setdefault(client, []).append(ticket)
        return ticket

    def order(self) -> list[Ticket]:
        """Everybody in the order in which they will be served if nobody comes or goes."""
        return _in_turns(_in_turns(lines.values()) for lines in self._people.values())

    def place(self, ticket: Ticket) -> int:
        """1 is next."""
        return self.order().index(ticket) + 1

    def is_next(self, ticket: Ticket) -> bool:
        lines = next(iter(self._people.values()))
        return next(iter(lines.values()))[0] is ticket

    def serve(self, ticket: Ticket) -> None:
        """It has its place; the turn of its owner is over, and its client's among the owner's."""
        if ticket.aside:
            self.leave(ticket)
            return
        lines = self._people.pop(ticket.who)
        rest = [other for other in lines.pop(ticket.client) if other is not ticket]
        if rest:
            lines[ticket.client] = rest
        if lines:
            self._people[ticket.who] = lines

    def put_back(self, ticket: Ticket) -> None:
        """It was served in vain: next again."""
        lines = self._people.pop(ticket.who, {})
        rest = lines.pop(ticket.client, [])
        self._people = {ticket.who: {ticket.client: [ticket, *rest], **lines}, **self._people}

    def leave(self, ticket: Ticket) -> None:
        """Stop waiting; its owner's other requests keep their turn. Harmless when it doesn't wait."""
        lines = self._people.get(ticket.who, {})
        line = lines.get(ticket.client, [])
        if ticket in line:
            line.remove(ticket)
        if not line:
            lines.pop(ticket.client, None)
        if not lines:
            self._people.pop(ticket.who, None)


def _count(lines: Lines) -> int:
    return sum(len(line) for line in lines.values())


def _in_turns(lines: Iterable[list[Ticket]]) -> list[Ticket]:
    """The first of each line, then the second of each, and so on."""
    return [ticket for turns in zip_longest(*lines) for ticket in turns if ticket]
