"""An LM Studio chat that goes on: what was said before it, and where its answer is kept, beside OpenAI's responses."""

from typing import Any

from webui.dialects import responses_answer, responses_items, responses_request, responses_state
from webui.dialects.lmstudio_answer import Reply
from webui.dialects.lmstudio_request import ChatBody
from webui.dialects.responses_answer import ResponseWriter
from webui.dialects.responses_items import Item
from webui.dialects.responses_request import ResponsesBody
from webui.routing import Call


class Conversation:
    """One request's place in its chat; the other API can go on with what is kept here, and the other way round."""

    def __init__(self, call: Call, body: ChatBody) -> None:
        """Read what came before.

        Raises:
            BadInputError: nothing is asked, or something that the box can't do.
            NotFoundError: a part of the chat is not there, or another person's.
            KeyScopeError, ForbiddenError: not for this key, or nobody's account.
        """
        self._body, self._question = body, body.question()
        before = responses_state.conversation(call, body.previous_response_id)
        told = (response.answer.get("instructions") for response in reversed(before))
        # A chat keeps its system prompt until it is given another one; an empty one ends it.
        self._system = (
            body.system_prompt if body.system_prompt is not None else next((each for each in told if each), None)
        )
        self._before = [(response.input, response.answer["output"]) for response in before]
        self._item = _item(self._question)
        self._shelf = responses_state.Shelf(call, [self._item], body.previous_response_id, body.store)

    @property
    def messages(self) -> list[dict[str, Any]]:
        """The whole chat for an engine or a base, up to the question."""
        system = [{"role": "system", "content": self._system}] if self._system else []
        before = responses_items.messages(responses_request.conversation(self._before, []))
        said = [message for message in before if message["role"] != "system"]
        return [*system, *said, self._question]

    def keep(self, reply: Reply) -> None:
        """Keep the finished answer, which gets its id from that; nothing where the request or its key keeps none."""
        if not reply.is_whole or not self._shelf.stores:
            return
        writer = ResponseWriter(self._body.model, self._echo(), store=True, keep=self._shelf.keep)
        read, written = reply.counts
        told = [*writer.start(), *writer.text(reply.text)]
        told += writer.end(responses_answer.usage(read, written), cut=reply.was_cut)
        reply.response_id = writer.response["id"]

    def _echo(self) -> dict[str, Any]:
        body = self._body
        limit = body.max_output_tokens
        return ResponsesBody(
            model=body.model,
            input=[self._item],
            instructions=self._system,
            previous_response_id=body.previous_response_id,
            temperature=body.temperature,
            top_p=body.top_p,
            max_output_tokens=limit if limit and limit > 0 else None,
        ).echo()


def _item(question: dict[str, Any]) -> Item:
    """The question as an item of a response."""
    content = question["content"]
    if not isinstance(content, str):
        content = [
            {"type": "input_image", "image_url": part["image_url"]["url"]}
            if part["type"] == "image_url"
            else {"type": "input_text", "text": part["text"]}
            for part in content
        ]
    (item,) = responses_items.read([{"role": "user", "content": content}])
    return item
