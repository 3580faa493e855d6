"""What the dialects tell beside an answer, in headers that clients may look at or not: its wait, what was left out."""

from collections.abc import Mapping
from typing import Protocol

from flask import Response

from appliance.gateway import caps
from appliance.gateway.waited import Waited


class Stream(Protocol):
    """An engine's answer, or one that still stands in line."""

    @property
    def waited(self) -> Waited: ...

    @property
    def left_out(self) -> int: ...

    @property
    def lowered(self) -> Mapping[str, int]: ...


def told(response: Response, stream: Stream) -> Response:
    """The answer with its time in line, how many messages did not fit and what was capped, as far as that is known.

    A stream that begins while its request still stands in line tells the rest in comments.
    """
    waited = stream.waited
    if waited.place is not None:
        response.headers["X-Hako-Queue-Position"] = str(waited.place)
        if waited.seconds is not None:
            response.headers["X-Hako-Queue-Wait-Ms"] = str(round(waited.seconds * 1000))
    if stream.lowered:
        response.headers["X-Hako-Capped"] = caps.told(stream.lowered)
    return told_left_out(response, stream.left_out)


def told_left_out(response: Response, messages: int) -> Response:
    """The answer with how many messages of the chat the model did not get."""
    if messages:
        response.headers["X-Hako-Messages-Left-Out"] = str(messages)
    return response
