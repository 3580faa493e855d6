"""An answer as OpenAI's response: its events in their fixed order, and the object that they add up to."""

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any, Final

from appliance import clock
from appliance.errors import HakoError
from webui.sse import Event

Keep = Callable[[dict[str, Any]], None]
"""Keeps the finished response, before the client is told that it is finished."""

_REASONING: Final = "reasoning"
_MESSAGE: Final = "message"
_CALL: Final = "function_call"


class ResponseWriter:
    """Writes one response; `response` is what its events have told so far."""

    def __init__(self, model: str, echo: Mapping[str, Any], *, store: bool, keep: Keep) -> None:
        self.response: dict[str, Any] = {
            "id": clock.new_id("resp"),
            "object": "response",
            "created_at": int(clock.now()),
            "completed_at": None,
            "status": "in_progress",
            "error": None,
            "incomplete_details": None,
            "model": model,
            "output": [],
            "store": store,
            "usage": None,
            **echo,
        }
        self._keep = keep
        self._number = 0
        self._open: dict[str, Any] | None = None

    def start(self) -> Iterator[Event]:
        """The head, before anything else."""
        yield self._told("created")
        yield self._told("in_progress")

    def text(self, piece: str, likely: Sequence[Mapping[str, Any]] = ()) -> Iterator[Event]:
        """A piece of text, in the open message or in a new one; `likely`: its tokens with their logprobs."""
        yield from self._piece(_MESSAGE, piece, likely)

    def reasoning(self, piece: str) -> Iterator[Event]:
        """A piece of what the model thinks before it answers."""
        yield from self._piece(_REASONING, piece)

    def call(self, call_id: str, name: str) -> Iterator[Event]:
        """The head of a function call; its arguments follow."""
        call_id = call_id or clock.new_id("call")
        yield from self._begin(_CALL, "fc", call_id=call_id, name=name, arguments="")

    def arguments(self, piece: str) -> Iterator[Event]:
        """A piece of the open call's arguments, which are JSON as a whole only."""
        if piece and self._open is not None and self._open["type"] == _CALL:
            self._open["arguments"] += piece
            yield self._of_item("function_call_arguments.delta", delta=piece)

    def annotations(self, found: Sequence[Mapping[str, Any]]) -> Iterator[Event]:
        """What stands behind places of the open message's text."""
        if self._open is None or self._open["type"] != _MESSAGE:
            return
        for index, annotation in enumerate(found):
            self._open["content"][0]["annotations"].append(dict(annotation))
            yield self._of_part("output_text.annotation.added", annotation_index=index, annotation=dict(annotation))

    def end(self, counts: Mapping[str, Any], *, cut: bool = False, **more: Any) -> Iterator[Event]:
        """The end and the counts; `more` stands at the top level. An answer without a word has one empty message."""
        if not self.response["output"]:
            yield from self.text("")
        status = "incomplete" if cut else "completed"
        yield from self._close(status)
        self.response |= {"status": status, "usage": dict(counts), **more}
        if cut:
            self.response["incomplete_details"] = {"reason": "max_output_tokens"}
        else:
            self.response["completed_at"] = int(clock.now())
        self._keep(self.response)
        yield self._told(status)

    def fail(self, error: Mapping[str, Any]) -> Iterator[Event]:
        """The end where there is no answer, or half of one."""
        if self._open is not None:
            self._open["status"] = "incomplete"
            self._open = None
        self.response |= {"status": "failed", "error": dict(error), "completed_at": None}
        with suppress(HakoError):  # what failed may be the keeping itself, and the client has to be told all the same
            self._keep(self.response)
        yield self._told("failed")

    # -- items

    def _piece(self, kind: str, piece: str, likely: Sequence[Mapping[str, Any]] = ()) -> Iterator[Event]:
        part: dict[str, Any] = {"type": "reasoning_text", "text": ""}
        if kind == _MESSAGE:
            part = {"type": "output_text", "text": "", "annotations": [], "logprobs": []}
        if self._open is None or self._open["type"] != kind:
            yield from self._begin(kind, "msg" if kind == _MESSAGE else "rs", **_head(kind))
            yield self._of_part("content_part.added", part=copy.deepcopy(part))
            if self._open is not None:
                self._open["content"].append(part)
        if piece and self._open is not None:
            self._open["content"][0]["text"] += piece
            if kind == _MESSAGE:
                self._open["content"][0]["logprobs"] += likely
            yield self._of_part(f"{part['type']}.delta", delta=piece, **_logprobs(kind, likely))

    def _begin(self, kind: str, prefix: str, **head: Any) -> Iterator[Event]:
        yield from self._close("completed")
        self._open = {"id": clock.new_id(prefix), "type": kind, "status": "in_progress", **head}
        self.response["output"].append(self._open)
        yield self._of_output("output_item.added", item=copy.deepcopy(self._open))

    def _close(self, status: str) -> Iterator[Event]:
        item = self._open
        if item is None:
            return
        item["status"] = status
        if item["type"] == _CALL:
            yield self._of_item("function_call_arguments.done", arguments=item["arguments"], name=item["name"])
        else:
            part = item["content"][0]
            yield self._of_part(
                f"{part['type']}.done", text=part["text"], **_logprobs(item["type"], part.get("logprobs", ()))
            )
            yield self._of_part("content_part.done", part=copy.deepcopy(part))
        yield self._of_output("output_item.done", item=copy.deepcopy(item))
        self._open = None

    # -- events

    def _of_part(self, kind: str, **data: Any) -> Event:
        return self._of_item(kind, content_index=0, **data)

    def _of_item(self, kind: str, **data: Any) -> Event:
        return self._of_output(kind, item_id=self.response["output"][-1]["id"], **data)

    def _of_output(self, kind: str, **data: Any) -> Event:
        return self._event(kind, output_index=len(self.response["output"]) - 1, **data)

    def _told(self, kind: str) -> Event:
        return self._event(kind, response={**self.response, "output": copy.deepcopy(self.response["output"])})

    def _event(self, kind: str, **data: Any) -> Event:
        kind = f"response.{kind}"
        event = Event(kind, {"type": kind, "sequence_number": self._number, **data})
        self._number += 1
        return event


class Translation:
    """An engine's chunks in OpenAI's older words as a response's events."""

    def __init__(self, writer: ResponseWriter) -> None:
        self._writer = writer
        self._finish = "stop"
        self._usage: dict[str, Any] = {}
        self._thoughts = 0
        self._call: int | None = None

    def add(self, chunk: Mapping[str, Any]) -> Iterator[Event]:
        """The events of the next chunk."""
        self._usage = chunk.get("usage") or self._usage
        for choice in chunk.get("choices", ()):
            self._finish = choice.get("finish_reason") or self._finish
            yield from self._delta(choice.get("delta") or {}, _likely(choice))

    def end(self) -> Iterator[Event]:
        """The events when no chunk follows."""
        yield from self._writer.end(_usage(self._usage, self._thoughts), cut=self._finish == "length")

    def _delta(self, delta: Mapping[str, Any], likely: Sequence[Mapping[str, Any]]) -> Iterator[Event]:
        if thought := delta.get("reasoning_content"):
            self._thoughts += 1
            yield from self._writer.reasoning(thought)
        if content := delta.get("content"):
            yield from self._writer.text(content, likely)
        for part in delta.get("tool_calls") or ():
            function = part.get("function") or {}
            index = int(part.get("index", 0))
            if index != self._call:
                self._call = index
                yield from self._writer.call(part.get("id") or "", function.get("name") or "")
            yield from self._writer.arguments(function.get("arguments") or "")


def usage(prompt_tokens: int, tokens: int, *, cached: int = 0, thought: int = 0) -> dict[str, Any]:
    """Token counts; nothing is ever billed for being written to a cache."""
    return {
        "input_tokens": prompt_tokens,
        "input_tokens_details": {"cached_tokens": cached, "cache_write_tokens": 0},
        "output_tokens": tokens,
        "output_tokens_details": {"reasoning_tokens": thought},
        "total_tokens": prompt_tokens + tokens,
    }


def _usage(told: Mapping[str, Any], thoughts: int) -> dict[str, Any]:
    """The counts; an engine that tells none of `thoughts` sends one for each token."""
    return usage(
        int(told.get("prompt_tokens") or 0),
        int(told.get("completion_tokens") or 0),
        cached=int((told.get("prompt_tokens_details") or {}).get("cached_tokens") or 0),
        thought=int((told.get("completion_tokens_details") or {}).get("reasoning_tokens") or thoughts),
    )


def _head(kind: str) -> dict[str, Any]:
    return {"role": "assistant", "content": []} if kind == _MESSAGE else {"summary": [], "content": []}


def _logprobs(kind: str, likely: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    return {"logprobs": list(likely)} if kind == _MESSAGE else {}


def _likely(choice: Mapping[str, Any]) -> list[dict[str, Any]]:
    """A chunk's tokens with their logprobs; none where nobody asked for them. Of what an engine adds, nothing."""

    def token(entry: Mapping[str, Any]) -> dict[str, Any]:
        return {name: entry.get(name) for name in ("token", "bytes", "logprob")}

    return [
        {**token(entry), "top_logprobs": [token(other) for other in entry.get("top_logprobs") or ()]}
        for entry in (choice.get("logprobs") or {}).get("content") or ()
    ]
