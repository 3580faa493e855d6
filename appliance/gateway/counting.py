"""How many tokens a chat is in its model's own form, and what is left out of one that is too long for it."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from appliance.gateway import overflow, schemas
from appliance.inference.load_settings import Overflow
from appliance.inference.manifest import Manifest
from appliance.inference.transport import ChildConnection

Stopped = Callable[[], bool]


def prompt_tokens(
    connection: ChildConnection, manifest: Manifest, body: Mapping[str, Any], stopped: Stopped | None
) -> int:
    """Tokens of the messages, and tools, of a chat's body.

    Raises:
        BadInputError: the engine refuses the messages.
        CancelledError: `stopped` said so.
    """
    if manifest.engine != "llama":
        texts = [str(message.get("content") or "") for message in body["messages"]]
        answer = connection.json("/tokenize", {"texts": texts}, stopped)
        return sum(int(count) for count in answer["counts"])
    prompt = connection.json("/apply-template", schemas.harmless(body), stopped)["prompt"]
    asked = {"content": prompt, "add_special": True, "parse_special": True}
    return len(connection.json("/tokenize", asked, stopped)["tokens"])


def fitted(
    connection: ChildConnection,
    manifest: Manifest,
    body: dict[str, Any],
    policy: Overflow,
    context: int,
    stopped: Stopped | None,
) -> tuple[dict[str, Any], int]:
    """The body as the policy leaves it, for a model loaded with so much context, and how many messages are out.

    Raises:
        ContextTooLongError: what has to stay is too much by itself.
        BadInputError: the engine refuses the messages.
    """
    if policy == "stop" or "messages" not in body:
        return body, 0

    def count(messages: Sequence[overflow.Message]) -> int:
        return prompt_tokens(connection, manifest, {**body, "messages": messages}, stopped)

    limit = overflow.room(context, body.get("max_tokens"))
    kept, left_out = overflow.fit(body["messages"], policy, limit, count)
    return {**body, "messages": kept}, left_out
