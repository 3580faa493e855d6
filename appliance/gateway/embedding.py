"""Asks a model's engine for vectors, and cuts texts that are too long where the engine doesn't do that itself."""

from collections.abc import Sequence
from typing import Any, Final

from appliance.errors import ContextTooLongError
from appliance.inference.transport import ChildConnection, Stopped

_PATH: Final = "/v1/embeddings"


def ask(
    connection: ChildConnection, texts: Sequence[str], *, truncate: bool, stopped: Stopped | None = None
) -> dict[str, Any]:
    """The engine's answer, as OpenAI has it, with vectors in base64.

    Raises:
        ContextTooLongError: a text is too long and `truncate` is off.
        BadInputError: the engine refuses a text.
        CancelledError: `stopped` said so.
        ModelFailedError: the engine died.
    """
    body = {"input": list(texts), "encoding_format": "base64", "truncate": truncate}
    try:
        return connection.json(_PATH, body, stopped)
    except ContextTooLongError as error:
        if not truncate:
            raise
        limit = int(error.params["limit"])
    # Only llama.cpp's server comes here. It takes tokens as well as texts.
    cut = [_cut(connection, text, limit, stopped) for text in texts]
    return connection.json(_PATH, {**body, "input": cut}, stopped)


def _cut(connection: ChildConnection, text: str, limit: int, stopped: Stopped | None) -> list[int]:
    """At most `limit` tokens of the text; the last one stays, with which many models end each text."""
    tokens: list[int] = connection.json("/tokenize", {"content": text, "add_special": True}, stopped)["tokens"]
    return tokens if len(tokens) <= limit else [*tokens[: limit - 1], tokens[-1]]
