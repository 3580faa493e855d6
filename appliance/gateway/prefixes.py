"""Notices long system prompts that come again, and has the inference process keep what was computed of them.

Nobody waits for it: the answer has ended, only the place at the model is held a moment longer. What is kept belongs to
the inference process's account; this one only knows it by name.
"""

import hashlib
import json
import threading
from collections import OrderedDict
from collections.abc import Mapping
from itertools import takewhile
from typing import Any, Final

from appliance import logs
from appliance.errors import HakoError
from appliance.inference.client import InferenceClient, Lease, Place
from appliance.inference.transport import ChildConnection

log = logs.get(__name__)

_LEAST_TOKENS: Final = 256
_LEAST_CHARS: Final = 256
"""A token has one character at least in the languages that need most of them."""
_REMEMBERED: Final = 512
_QUESTIONS: Final = ("a", "1")
"""Two chats that differ after the system prompt only: what their tokens share is its prefix in the model's form."""
_NONE: Final = "-"
_LEADING: Final = ("system", "developer")
_OF_FORM: Final = ("tools", "chat_template_kwargs")
"""What a model's template is told beside the messages, and may put before them."""


class Prefixes:
    """One for each process; safe to share between threads."""

    def __init__(self, client: InferenceClient) -> None:
        self._client = client
        self._lock = threading.Lock()
        self._seen: OrderedDict[str, str] = OrderedDict()
        """By a digest of folder and prompt: empty when it came once, else the name it is kept by, or `-` for none."""

    def wants(self, lease: Lease, body: Mapping[str, Any]) -> bool:
        """Whether the prompt of `body`, which was just answered, is one for `keep`."""
        leading = _leading(body)
        if not lease.slots or sum(len(str(message.get("content") or "")) for message in leading) < _LEAST_CHARS:
            return False
        key = _key(lease, body)
        with self._lock:
            kept = self._seen.get(key)
            self._seen[key] = kept or ""
            self._seen.move_to_end(key)
            while len(self._seen) > _REMEMBERED:
                self._seen.popitem(last=False)
        return kept is not None and kept != _NONE

    def keep(self, lease: Lease, body: Mapping[str, Any]) -> None:
        """Have it kept, or say that it was used; the lease must still be held. What goes wrong is logged."""
        key = _key(lease, body)
        with self._lock:
            name = self._seen.get(key, "")
        try:
            if not (name and self._client.is_kept(lease, name)):  # it may have had to make room
                name = self._kept(lease, body)
        except (HakoError, KeyError, TypeError, ValueError, OSError) as error:
            log.warning("kv_slot_not_kept", model=lease.model, kind=type(error).__name__)
            name = _NONE
        with self._lock:
            self._seen[key] = name

    def _kept(self, lease: Lease, body: Mapping[str, Any]) -> str:
        prefix = _shared(*(_tokens(lease, body, question) for question in _QUESTIONS))
        return (self._client.keep(lease, prefix) if len(prefix) >= _LEAST_TOKENS else "") or _NONE


class Keeping(Place):
    """A lease that, once its answer has ended, is held until the prompt is kept, where that is wanted."""

    def __init__(self, lease: Lease, prefixes: Prefixes) -> None:
        self._lease, self._prefixes = lease, prefixes
        self.body: Mapping[str, Any] = {}
        """Of the request that is being answered; empty before there is an answer."""

    def wrote(self, tokens: int) -> None:
        self._lease.wrote(tokens)

    def close(self) -> None:
        body, self.body = self.body, {}
        if body and self._prefixes.wants(self._lease, body):
            threading.Thread(target=self._keep, args=(body,), name="keep-prefix", daemon=True).start()
        else:
            self._lease.close()

    def _keep(self, body: Mapping[str, Any]) -> None:
        with self._lease:
            self._prefixes.keep(self._lease, body)


def _tokens(lease: Lease, body: Mapping[str, Any], question: str) -> list[int]:
    asked: dict[str, Any] = {"messages": [*_leading(body), {"role": "user", "content": question}]}
    asked |= {name: body[name] for name in _OF_FORM if name in body}
    prompt = _ask(lease, "/apply-template", asked)["prompt"]
    answer = _ask(lease, "/tokenize", {"content": prompt, "add_special": True, "parse_special": True})
    return [int(token) for token in answer["tokens"]]


def _shared(left: list[int], right: list[int]) -> list[int]:
    return [token for token, _same in takewhile(lambda pair: pair[0] == pair[1], zip(left, right, strict=False))]


def _ask(lease: Lease, path: str, body: dict[str, Any]) -> dict[str, Any]:
    with ChildConnection(lease.socket, lease.api_key, lease.model) as connection:
        return connection.json(path, body)


def _leading(body: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    messages = body.get("messages")
    if not isinstance(messages, list):
        return []
    return list(takewhile(lambda message: isinstance(message, dict) and message.get("role") in _LEADING, messages))


def _key(lease: Lease, body: Mapping[str, Any]) -> str:
    form = [body.get(name) for name in _OF_FORM]
    content = json.dumps([lease.slots, _leading(body), form], sort_keys=True, default=str)
    return hashlib.sha256(content.encode()).hexdigest()
