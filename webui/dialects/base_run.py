"""A base asked as a model `kb:<name>`, in any dialect: who may, what is asked, what happens until it has answered."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from appliance.apps import runs
from appliance.apps.answering import Question
from appliance.apps.writing import Answer
from appliance.errors import BadInputError, CancelledError, ModelNotFoundError, NoVisionError, by_code
from appliance.gateway import pictures, tool_choice
from appliance.gateway.waited import Waited
from appliance.knowledge.bases import Base
from webui.dialects import opening
from webui.routing import Call
from webui.sse import Comment

BASE_PREFIX: Final = "kb:"

Left = Callable[[], bool]


@dataclass(frozen=True)
class Turn:
    """One message before it is said in a dialect: `user` and `assistant` count here, other roles have no meaning."""

    role: str
    text: str
    pictures: int = 0

    @classmethod
    def of(cls, message: Mapping[str, Any]) -> "Turn":
        """A message as the gateway takes it."""
        return cls(message["role"], pictures.words(message), pictures.count([message]))


@dataclass(frozen=True)
class Answered:
    """A base's whole answer; counts are zero where no model wrote."""

    text: str
    citations: list[dict[str, Any]]
    """The sources that the `[n]` in the text refer to, as programs get them."""
    verdict: str
    cut: bool
    """Whether it ended for its length."""
    prompt_tokens: int
    tokens: int
    files: Mapping[int, str]
    """The id of the document behind each number."""
    left_out: int = 0
    """Messages of the chat that the model did not get."""


def is_base(model: str) -> bool:
    """Whether a request means a base by this model name."""
    return model.startswith(BASE_PREFIX)


def find(call: Call, model: str) -> Base:
    """The base behind a model name.

    Raises:
        ModelNotFoundError: none that this person may read.
    """
    name = model.removeprefix(BASE_PREFIX)
    bases = call.services.bases.readable(call.who)
    # Ids first: a name can be chosen, also one that looks like another base's id.
    for base in sorted(bases, key=lambda base: base.id != name):
        if name in (base.name, base.id):
            return base
    raise ModelNotFoundError(name=model[:100])


def ask(call: Call, model: str, turns: Sequence[Turn], wish: object = None) -> runs.Writer:
    """Start answering the last question; what came before is history. Sampling parameters have no meaning here.

    `wish` is the `tool_choice` in OpenAI's words: a base calls nothing.

    Raises:
        ModelNotFoundError: no such base.
        BadInputError: the last message is no question, or a call is demanded.
        NoVisionError: there are pictures, which no base has anything to say about.
    """
    if tool_choice.demands_call(wish):
        raise BadInputError("a base calls nothing", field="tool_choice")
    base = find(call, model)
    if any(turn.pictures for turn in turns):
        raise NoVisionError(name=model[:100])
    if turns[-1].role != "user" or not turns[-1].text.strip():
        raise BadInputError("the last message is no question", field="messages")
    question = Question(
        text=turns[-1].text,
        model=call.gateway.model().id,
        bases=[base],
        history=[
            {"role": turn.role, "content": turn.text} for turn in turns[:-1] if turn.role in ("user", "assistant")
        ],
        asker=call.asker,
        client=call.client,
    )
    return runs.write_apart(lambda sink: _write(call, question, sink))


def _write(call: Call, question: Question, sink: runs.Writer) -> None:
    answer = call.services.answering.answer(question, sink)
    call.services.audit.record(call.who.name, "asked", question.bases[0].id)
    sink.emit("done", **_done(answer))


def _done(answer: Answer) -> dict[str, Any]:
    body = answer.body()
    return {
        "text": answer.text,
        "citations": [_citation(source) for source in body["citations"]],
        "verdict": body["verdict"],
        "cut": answer.stats.get("finish") == "length",
        "prompt_tokens": int(answer.stats.get("prompt_tokens", 0)),
        "tokens": int(answer.stats.get("tokens", 0)) + int(answer.stats.get("thought_tokens", 0)),
        "files": {source["n"]: source["document_id"] for source in body["citations"]},
        "left_out": int(answer.stats.get("left_out", 0)),
    }


def _citation(source: Mapping[str, Any]) -> dict[str, Any]:
    return {name: source[name] for name in ("n", "document", "page", "start", "end", "quote", "mark")}


def follow(writer: runs.Writer, left: Left) -> Iterator[str | Answered | Comment | None]:
    """Pieces of text, and at last the whole; ends early when the client has left.

    While nothing happens None, or where the search or the answer stands in line for its model.

    Raises:
        HakoError: why there is no answer.
    """
    waited = Waited()
    news = opening.News(waited)
    for happened in runs.follow(writer):
        if left():
            return
        if happened is None:
            yield news.look() if waited.now() else None
        elif happened.kind == "stage":
            if "position" in happened.data:
                waited.told(happened.data["stage"], happened.data["position"], happened.data.get("wait_s"))
                yield news.look()
            else:
                waited.end()
        elif happened.kind == "delta":
            yield happened.data["text"]
        elif happened.kind == "error":
            raise by_code(happened.data["code"], **happened.data["params"])
        elif happened.kind == "done":
            answered = Answered(**happened.data)
            if answered.left_out:
                yield opening.left_out(answered.left_out)
            yield answered


def whole(writer: runs.Writer, left: Left) -> Answered:
    """Wait for the answer; a client that leaves stops the run.

    Raises:
        CancelledError: the client left.
        HakoError: why there is no answer.
    """
    try:
        for happened in follow(writer, left):
            if isinstance(happened, Answered):
                return happened
    finally:
        writer.stop()
    raise CancelledError("the client has left")
