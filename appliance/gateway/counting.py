"""How many tokens a chat is in its model's own form, and what is left out of one that is too long for it."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from appliance.gateway import overflow, pictures
from appliance.inference.load_settings import Policy
from appliance.inference.manifest import Manifest
from appliance.inference.transport import ChildConnection

Stopped = Callable[[], bool]

TRUNCATION: Final = "truncation"
"""Field of a body for the gateway that no engine gets: "auto" or "disabled", as in OpenAI's responses."""

_COUNTS: Final = "/v1/chat/completions/input_tokens"
"""Looks at the pictures too; it takes longer than counting words."""


def is_aside(manifest: Manifest, *, sees: bool = False) -> bool:
    """Whether the engine counts beside all that it is writing, as llama.cpp's server does; pictures need a place."""
    return manifest.engine == "llama" and not sees


def text_tokens(
    connection: ChildConnection, manifest: Manifest, texts: Sequence[str], stopped: Stopped | None
) -> list[int]:
    """Tokens of each bare text; with the marks that an embedding model reads around it. Raises as `prompt_tokens`."""
    if manifest.engine != "llama":
        answer = connection.json("/tokenize", {"texts": list(texts)}, stopped)
        return [int(count) for count in answer["counts"]]
    marked = {"add_special": manifest.kind == "embedding"}  # such a model reads them with each text
    return [len(connection.json("/tokenize", {"content": text, **marked}, stopped)["tokens"]) for text in texts]


def prompt_tokens(
    connection: ChildConnection, manifest: Manifest, body: Mapping[str, Any], stopped: Stopped | None
) -> int:
    """Tokens of the messages, with their pictures, and tools, of a chat's body.

    Raises:
        BadInputError: the engine refuses the messages.
        CancelledError: `stopped` said so.
    """
    if manifest.engine != "llama":
        texts = [pictures.words(message) for message in body["messages"]]
        return sum(text_tokens(connection, manifest, texts, stopped))
    if pictures.count(body["messages"]):
        return int(connection.json(_COUNTS, dict(body), stopped)["input_tokens"])
    prompt = connection.json("/apply-template", dict(body), stopped)["prompt"]
    asked = {"content": prompt, "add_special": True, "parse_special": True}
    return len(connection.json("/tokenize", asked, stopped)["tokens"])


def policy(body: dict[str, Any], own: Policy) -> tuple[dict[str, Any], Policy]:
    """The body without what the client wishes for a chat that is too long, and what is done then; `own`: the model's.

    To leave nothing out is the client's to say. What goes first, where it wishes that something does, is the model's.
    """
    asked = {name: value for name, value in body.items() if name != TRUNCATION}
    match body.get(TRUNCATION):
        case "disabled":
            return asked, "stop"
        case "auto" if own == "stop":
            return asked, "rolling"
        case _:
            return asked, own


def fitted(
    connection: ChildConnection,
    manifest: Manifest,
    body: dict[str, Any],
    policy: Policy,
    context: int,
    stopped: Stopped | None,
    *,
    strict: bool = True,
) -> tuple[dict[str, Any], int]:
    """The body as the policy leaves it, for a model loaded with so much context, and how many messages are out.

    What has to stay may leave little room for the answer where it isn't `strict`.

    Raises:
        ContextTooLongError: what has to stay is too much by itself.
        BadInputError: the engine refuses the messages.
    """
    if policy == "stop" or "messages" not in body:
        return body, 0

    def count(messages: Sequence[overflow.Message]) -> int:
        return prompt_tokens(connection, manifest, {**body, "messages": messages}, stopped)

    limit = overflow.room(context, body.get("max_tokens"))
    kept, left_out = overflow.fit(body["messages"], policy, limit, count, most=limit if strict else context)
    return {**body, "messages": kept}, left_out
