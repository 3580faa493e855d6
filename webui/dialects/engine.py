"""An engine's stream as objects, for dialects that can't pass its bytes on."""

from collections.abc import Iterable, Iterator
from typing import Any

from appliance.errors import ModelFailedError
from appliance.gateway.stream import events
from appliance.inference.refusals import from_engine


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
