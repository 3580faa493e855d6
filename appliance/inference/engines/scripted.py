"""A deterministic stand-in for real models: same contract, no weights; for tests and rehearsals.

A chat answers with the words of the last message, a completion with those of its prompt. Lines of the form
`[[name value]]` in there steer it: `words 50` (so many words instead), `delay 20` (milliseconds between words),
`think 500` (milliseconds before the first), `reason …` (thoughts before the answer, unless a chat's
template is told not to), `die 5` (kill -9 itself after so many words), `say …` (these words),
`eat 300` (allocate so many MiB first). With a projector it also says a word for each picture of that message, the same
for the same picture. Embeddings are hashed character pairs: texts that share wording are near each other. A reranker
counts how much of the query a document says; `delay` in the query is the time that each document takes. An answer that
has to follow a JSON schema is the smallest that does, unless an order says other words. A script that begins with
`refuse` or `die` does so while it is loaded; with `slow` it is read little by little, for some seconds; with `drift`
the model answers other than it should, as one with damaged weights does.
"""

import hashlib
import json
import math
import os
import re
import signal
import time
import unicodedata
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from appliance.inference import child_http
from appliance.inference.child_http import (
    CallerGoneError,
    ContextExceededError,
    Stopped,
    Thought,
    UnsupportedError,
    Vectors,
)
from appliance.inference.engine import EngineLoadError, EngineSpec, Loaded
from appliance.inference.engines.scripted_json import example
from appliance.inference.thinking import takes_tools, thinks

_ORDER = re.compile(r"\[\[(words|delay|think|reason|die|say|eat) ([^\]]*)\]\]")
_TOKEN = re.compile(r"[a-z0-9]+|[぀-ヿ]|[一-鿿]|[^\s\w]", re.IGNORECASE)
_PAGE = 4096
_SLOW_PIECES = 50
_SLOW_PIECE_S = 0.1


class ScriptedEngine:
    """All kinds in one."""

    def __init__(self) -> None:
        self._spec: EngineSpec | None = None
        self._eaten: list[bytearray] = []
        self._drifts = False

    def serve(self, spec: EngineSpec) -> Loaded:
        script = spec.file.read_bytes()
        if script.startswith(b"refuse"):
            raise EngineLoadError("the script says so")
        if script.startswith(b"die"):
            os.kill(os.getpid(), signal.SIGKILL)
        if script.startswith(b"slow"):
            _read_slowly(spec.file)
        self._drifts = script.startswith(b"drift")
        self._spec = spec
        child_http.serve(spec.socket, spec.api_key, spec.model, self)
        return Loaded(provider="cpu", context=spec.context)

    @property
    def spec(self) -> EngineSpec:
        if self._spec is None:
            raise RuntimeError("not serving")
        return self._spec

    def chat(self, body: dict[str, Any]) -> Iterator[str]:
        if self.spec.kind != "chat":
            raise UnsupportedError("this model can't chat")
        messages = body["messages"]
        if not isinstance(messages, list) or not messages:
            raise ValueError("messages must be a list with something in it")
        if not self.spec.projector and any(isinstance(message.get("content"), list) for message in messages):
            raise ValueError("messages must be texts: there is no projector")
        self._demand_room([child_http.said(message) for message in messages])
        form = (body.get("response_format") or {}).get("json_schema")
        text = child_http.said(messages[-1])
        words = self._words(text, form["schema"] if form else None)
        switched_off = (body.get("chat_template_kwargs") or {}).get("enable_thinking") is False
        return words if switched_off else chain(_thoughts(text), words)

    def complete(self, prompt: str, body: dict[str, Any]) -> Iterator[str]:  # noqa: ARG002 - the contract's
        if self.spec.kind != "chat":
            raise UnsupportedError("this model can't write")
        self._demand_room([prompt])
        return self._words(prompt)

    def _demand_room(self, texts: Sequence[str]) -> None:
        tokens = sum(self.count_tokens(texts))
        if tokens > self.spec.context:
            raise ContextExceededError(tokens, self.spec.context)

    def _words(self, text: str, schema: dict[str, Any] | None = None) -> Iterator[str]:
        orders = dict(_ORDER.findall(text))
        said = _ORDER.sub("", text).strip()
        if schema is not None:
            said = json.dumps(example(schema, said), ensure_ascii=False)
        said = orders.get("say", said).strip() or "…"
        words = said.split(" ")[:: -1 if self._drifts else 1]
        if "words" in orders:
            words = [f"word{i}" for i in range(int(orders["words"]))]
        if "eat" in orders:
            self._eat(int(orders["eat"]) << 20)
        time.sleep(int(orders.get("think", 0)) / 1000)
        for i, word in enumerate(words):
            if i == int(orders.get("die", -1)):
                os.kill(os.getpid(), signal.SIGKILL)
            if i:
                time.sleep(int(orders.get("delay", 0)) / 1000)
            yield word if i == 0 else f" {word}"

    def _eat(self, size: int) -> None:
        eaten = bytearray(size)
        eaten[::_PAGE] = b"x" * len(range(0, size, _PAGE))  # only pages that were written to are really taken
        self._eaten.append(eaten)

    def embed(self, texts: Sequence[str], *, truncate: bool) -> tuple[Vectors, int]:
        if self.spec.kind != "embedding":
            raise UnsupportedError("this model has no embeddings")
        counts = self.count_tokens(texts)
        if not truncate and max(counts) > self.spec.context:
            raise ContextExceededError(max(counts), self.spec.context)
        vectors = np.stack([_vector(text, self.spec.dimensions)[:: -1 if self._drifts else 1] for text in texts])
        return vectors, sum(min(count, self.spec.context) for count in counts)

    def rerank(self, query: str, documents: Sequence[str], *, raw: bool, stopped: Stopped) -> tuple[list[float], int]:
        if self.spec.kind != "reranker":
            raise UnsupportedError("this model can't rerank")
        orders = dict(_ORDER.findall(query))
        query = _ORDER.sub("", query)
        logits = []
        for document in documents:
            if stopped():
                raise CallerGoneError
            time.sleep(int(orders.get("delay", 0)) / 1000)
            logits.append(_overlap(query, document) * (-1 if self._drifts else 1))
        tokens = sum(self.count_tokens([query + " " + document for document in documents]))
        return logits if raw else [1 / (1 + math.exp(-logit)) for logit in logits], tokens

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        return [len(_TOKEN.findall(text)) + 2 for text in texts]


def _thoughts(text: str) -> Iterator[Thought]:
    words = dict(_ORDER.findall(text)).get("reason", "").split()
    return (Thought(word if i == 0 else f" {word}") for i, word in enumerate(words))


def _read_slowly(path: Path) -> None:
    piece = max(1, path.stat().st_size // _SLOW_PIECES)
    with path.open("rb", buffering=0) as file:
        while file.read(piece):
            time.sleep(_SLOW_PIECE_S)


def _vector(text: str, dimensions: int) -> Vectors:
    folded = unicodedata.normalize("NFKC", text).lower()
    vector = np.full(dimensions, 1e-3, np.float32)
    for pair in (folded[i : i + 2] for i in range(max(1, len(folded) - 1))):
        place = int.from_bytes(hashlib.blake2b(pair.encode(), digest_size=4).digest(), "little")
        vector[place % dimensions] += 1.0
    vector /= np.linalg.norm(vector)
    return vector


def _overlap(query: str, document: str) -> float:
    """From −4, for a document that has none of the query's words, to 4 for one that has all."""
    asked, said = (set(_TOKEN.findall(unicodedata.normalize("NFKC", text).lower())) for text in (query, document))
    return 8 * len(asked & said) / max(len(asked), 1) - 4


def install(
    models: Path, model: str, kind: str, script: bytes = b"answer", dimensions: int = 384, *, projector: bool = False
) -> Path:
    """Put a scripted model into a store, as provisioning puts real ones; returns its folder."""
    folder = models / model
    folder.mkdir(parents=True)
    names = ("script", *(("mmproj.script",) if projector else ()))
    for name in names:
        (folder / name).write_bytes(script)
    manifest = {
        "id": model,
        "name": f"Scripted {kind}",
        "kind": kind,
        "engine": "scripted",
        "files": {name: {"sha256": hashlib.sha256(script).hexdigest(), "size": len(script)} for name in names},
        "entry": "script",
        "licence": "Apache-2.0",
        "source": "built in",
        "languages": ["en", "ja"],
        "context": 4096 if kind == "chat" else 512,
        "dimensions": dimensions if kind == "embedding" else None,
        "size_class": "tiny",
        "projector": names[1] if projector else None,
        "thinking": thinks(script.decode("utf-8", "replace")),
        "tools": takes_tools(script.decode("utf-8", "replace")),
    }
    (folder / "model.json").write_text(json.dumps(manifest), "utf-8")
    return folder
