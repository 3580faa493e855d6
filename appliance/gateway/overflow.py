"""A chat that has outgrown its model's context: what is left out of it, so that the rest fits."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

from appliance.errors import ContextTooLongError

Message = Mapping[str, Any]
Count = Callable[[Sequence[Message]], int]
"""Tokens that messages have once they are in the model's own form; fewer messages never have more."""

_ALWAYS = ("system", "developer")
_ANSWER_SHARE = 4
"""At most so small a part of the context is kept free for the answer."""


def room(context: int, max_tokens: object) -> int:
    """Tokens that the messages may have in a `context`, so that an answer of `max_tokens` finds some place too."""
    share = context // _ANSWER_SHARE
    wanted = max_tokens if isinstance(max_tokens, int) and 0 < max_tokens < share else share
    return context - wanted


def fit(
    messages: Sequence[Message], policy: Literal["middle", "rolling"], limit: int, count: Count, *, most: int = 0
) -> tuple[list[Message], int]:
    """The messages that fit into `limit` tokens, in their order, and how many were left out.

    `rolling` leaves out the oldest first. `middle` does so after the first question and its answer, which often say
    what the whole chat is about. System messages and the last one always stay. A question goes with its answer, a
    tool's call with its results: models' templates refuse one without the other. What has to stay may have `most`
    tokens, where that is more than `limit`.

    Raises:
        ContextTooLongError: what has to stay is too much by itself.
    """
    if count(messages) <= limit:
        return list(messages), 0
    spans = _spans(messages, policy)
    least = count(_without(messages, spans))
    most = max(most, limit)
    if least > most:
        raise ContextTooLongError("what has to stay", tokens=least, limit=most)
    few, enough = 0, len(spans)
    while few + 1 < enough:
        half = (few + enough) // 2
        if count(_without(messages, spans[:half])) <= limit:
            enough = half
        else:
            few = half
    kept = _without(messages, spans[:enough])
    return kept, len(messages) - len(kept)


def _without(messages: Sequence[Message], spans: Sequence[Sequence[int]]) -> list[Message]:
    gone = {place for span in spans for place in span}
    return [message for place, message in enumerate(messages) if place not in gone]


def _spans(messages: Sequence[Message], policy: str) -> list[list[int]]:
    """What may go, in the order of going: places of messages that only make sense together."""
    turns = _parts(messages, range(len(messages)), ("user",))
    *older, last = turns or [[]]
    if policy == "middle":
        first = next((at for at, turn in enumerate(older) if _role(messages[turn[0]]) == "user"), len(older))
        older = older[first + 1 :]
    # An agent's long errand is one turn: its first steps go before the question that it is about.
    steps = _parts(messages, last[1:], ("assistant",))
    return older + steps[:-1]


def _parts(messages: Sequence[Message], places: Sequence[int], beginning: tuple[str, ...]) -> list[list[int]]:
    """The places in parts that each begin with one of those roles; system messages belong to none."""
    parts: list[list[int]] = []
    for place in places:
        role = _role(messages[place])
        if role in _ALWAYS:
            continue
        if role in beginning or not parts:
            parts.append([])
        parts[-1].append(place)
    return parts


def _role(message: Message) -> str:
    return str(message.get("role", ""))
