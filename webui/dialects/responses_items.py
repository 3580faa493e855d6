"""The items of a conversation in the Responses API: what clients send, as it is kept, and as an engine's messages."""

from collections.abc import Iterable, Sequence
from typing import Any, Final

from appliance import clock
from appliance.errors import BadInputError
from webui.dialects import pictures

Item = dict[str, Any]
Message = dict[str, Any]

_ROLES: Final = {"user": "user", "assistant": "assistant", "system": "system", "developer": "system"}
_TEXTS: Final = {"input_text": "text", "output_text": "text", "text": "text", "refusal": "refusal"}
"""Kinds of parts that are text, and where it stands in them."""
_PICTURE: Final = "input_image"
_CALL: Final = "function_call"
_RESULT: Final = "function_call_output"
_LONGEST_ID: Final = 200


def read(given: str | Sequence[Item]) -> list[Item]:
    """The items of a request, each with an id; thoughts of an earlier answer are left out.

    Raises:
        BadInputError: an item that no model of this box can take; `field` says which one.
    """
    if isinstance(given, str):
        return [_message({"role": "user", "content": given}, "input")]
    found = []
    for number, item in enumerate(given):
        kind, where = item.get("type", "message"), f"input.{number}"
        if kind == "message" or (kind is None and "role" in item):
            found.append(_message(item, where))
        elif kind == _CALL:
            found.append(_call(item, where))
        elif kind == _RESULT:
            found.append(_result(item, where))
        elif kind != "reasoning":
            raise BadInputError("input item", field=f"{where}.type")
    return found


def messages(items: Iterable[Item]) -> list[Message]:
    """As a chat engine takes them: calls belong to the message before them, and half a call is none."""
    found: list[Message] = []
    for item in items:
        if item["type"] == "message":
            parts = [_shown(part) for part in item["content"]]
            found.append({"role": _ROLES[item["role"]], "content": pictures.content(parts)})
        elif item["type"] == _CALL and item["status"] != "incomplete":
            if not found or found[-1]["role"] != "assistant":
                found.append({"role": "assistant", "content": ""})
            function = {"name": item["name"], "arguments": item["arguments"]}
            call = {"id": item["call_id"], "type": "function", "function": function}
            found[-1].setdefault("tool_calls", []).append(call)
        elif item["type"] == _RESULT:
            found.append({"role": "tool", "content": item["output"], "tool_call_id": item["call_id"]})
    return found


def _message(item: Item, where: str) -> Item:
    role = item.get("role")
    if not isinstance(role, str) or role not in _ROLES:
        raise BadInputError("role", field=f"{where}.role")
    content = _content(item.get("content"), role, f"{where}.content")
    return {"id": _id(item, "msg"), "type": "message", "role": role, "status": "completed", "content": content}


def _content(given: Any, role: str, where: str) -> list[Item]:
    """One text; with a person's pictures, texts and pictures in their order."""
    if role == "user" and isinstance(given, list) and any(_is_picture(part) for part in given):
        return [_seen(part, where) if _is_picture(part) else _said(_text([part], where)) for part in given]
    said = _said(_text(given, where))
    return [said | {"type": "output_text", "annotations": [], "logprobs": []} if role == "assistant" else said]


def _said(text: str) -> Item:
    return {"type": "input_text", "text": text}


def _is_picture(part: Any) -> bool:
    return isinstance(part, dict) and part.get("type") == _PICTURE


def _seen(part: Item, where: str) -> Item:
    url = part.get("image_url")
    if not isinstance(url, str):  # a file that OpenAI would keep
        raise BadInputError("picture", field=where)
    return {"type": _PICTURE, "image_url": url, "detail": "auto"}


def _shown(part: Item) -> pictures.Part:
    """A kept part as a chat engine takes it."""
    return pictures.picture(part["image_url"]) if _is_picture(part) else pictures.text(part["text"])


def _call(item: Item, where: str) -> Item:
    call = {name: _word(item, name, where) for name in ("call_id", "name", "arguments")}
    status = "incomplete" if item.get("status") == "incomplete" else "completed"
    return {"id": _id(item, "fc"), "type": _CALL, **call, "status": status}


def _result(item: Item, where: str) -> Item:
    output = _text(item.get("output"), f"{where}.output")
    call_id = _word(item, "call_id", where)
    return {"id": _id(item, "fco"), "type": _RESULT, "call_id": call_id, "output": output, "status": "completed"}


def _text(content: Any, where: str) -> str:
    """A text, or the text of its parts."""
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        raise BadInputError("content", field=where)
    return "\n".join(_words(part, where) for part in content)


def _words(part: Any, where: str) -> str:
    name = _TEXTS.get(str(part.get("type"))) if isinstance(part, dict) else None
    words = part.get(name) if name else None
    if not isinstance(words, str):
        raise BadInputError("content part", field=where)
    return words


def _word(item: Item, name: str, where: str) -> str:
    value = item.get(name)
    if not isinstance(value, str):
        raise BadInputError(name, field=f"{where}.{name}")
    return value


def _id(item: Item, prefix: str) -> str:
    """The item's own id, e.g. of an earlier answer that the client brings along."""
    own = item.get("id")
    return own if isinstance(own, str) and 0 < len(own) <= _LONGEST_ID else clock.new_id(prefix)
