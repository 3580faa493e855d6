"""An engine's stream for the dialects: as objects, or its own bytes, with an error in the middle as one of ours."""

import json
import re
from collections.abc import Iterable, Iterator
from typing import Any, Final

from appliance.errors import ModelFailedError
from appliance.gateway.stream import events
from appliance.inference.refusals import from_engine

_ERROR: Final = re.compile(rb'^data: *\{ *"error".*', re.MULTILINE)


def chunks(stream: Iterable[bytes], model: str) -> Iterator[dict[str, Any]]:
    """OpenAI's chat completion chunks, up to the last.

    Raises:
        CancelledError: the client has left.
        ModelFailedError: the engine died, told of an error, or wrote something that is no chunk.
    """
    try:
        for chunk in events(iter(stream)):
            if error := chunk.get("error"):
                raise from_engine(error if isinstance(error, dict) else {}, model)
            yield chunk
    except ValueError as error:
        raise ModelFailedError(f"engine stream: {type(error).__name__}", name=model) from error


def own(stream: Iterable[bytes], model: str) -> Iterator[bytes]:
    """The engine's bytes as they are, in whole lines; what it says of an error is not passed on.

    Raises:
        CancelledError, ModelFailedError: as `chunks`.
        HakoError: what the engine's error means.
    """
    rest = b""
    for piece in stream:
        whole, end, rest = (rest + piece).rpartition(b"\n")
        yield from _before_error(whole + end, model)
    yield from _before_error(rest, model)


def _before_error(lines: bytes, model: str) -> Iterator[bytes]:
    """The lines, up to one that tells of an error."""
    for found in _ERROR.finditer(lines):
        if error := _read(found.group()):
            if before := lines[: found.start()]:
                yield before
            raise from_engine(error, model)
    if lines:
        yield lines


def _read(line: bytes) -> dict[str, Any] | None:
    """The error of such a line; one that can't be read is one all the same."""
    try:
        error = json.loads(line.removeprefix(b"data:"))["error"]
    except ValueError:
        error = {"message": "unreadable"}
    return (error if isinstance(error, dict) else {"message": "unreadable"}) if error else None
