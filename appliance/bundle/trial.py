"""Starts a finished model once in its own engine and looks at what it answers, before anybody relies on it."""

import json
import secrets
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from appliance.errors import ModelDamagedError
from appliance.gateway import answers
from appliance.inference.engine import EngineSpec
from appliance.inference.manifest import Manifest, ModelKind
from appliance.inference.spawn import Child
from appliance.inference.transport import ChildConnection

LEAST_COSINE = 0.995
"""Between a vector of the rebuilt model and the recorded one of the original."""
_CONTEXT = 512
_MEMORY = 4 << 30
_WORDS = 8
_QUESTION = "What is the capital of Japan?"
_ANSWER = "The capital of Japan is Tokyo."
_OFF_TOPIC = "Wash your hands before you touch the machine."


def run(folder: Path, manifest: Manifest, vectors: Path | None) -> str:
    """Start the model in `folder`; returns in words how it did.

    Raises:
        ModelDamagedError: it refuses its files, writes nothing, its vectors are not those recorded in `vectors`, or it
            finds a passage that doesn't answer a question as good as one that does.
        ModelFailedError: its process died, or what it answered is no score.
    """
    with tempfile.TemporaryDirectory(prefix="hako-") as sockets:
        spec = EngineSpec(
            model=manifest.id,
            kind=manifest.kind,
            engine=manifest.engine,
            folder=str(folder.absolute()),
            entry=manifest.entry,
            socket=str(Path(sockets, "model.sock")),
            api_key=secrets.token_urlsafe(32),
            threads=1,
            parallel=1,
            context=min(manifest.context, _CONTEXT),
            dimensions=manifest.dimensions or 0,
            provider="cpu",
            memory_bytes=_MEMORY,
            pooling=manifest.pooling,
            projector=manifest.projector or "",
        )
        child = Child(spec, lambda _child: None)
        try:
            child.wait_ready()
            with ChildConnection(Path(spec.socket), spec.api_key, manifest.name) as connection:
                return _TRIALS[manifest.kind](connection, manifest, vectors)
        finally:
            child.stop()


def _embeds(connection: ChildConnection, manifest: Manifest, vectors: Path | None) -> str:
    if vectors is None:
        raise ModelDamagedError("no recorded vectors", name=manifest.name)
    return f"cosine {_compare(connection, manifest, vectors):.4f} to the recorded vectors"


def _compare(connection: ChildConnection, manifest: Manifest, path: Path) -> float:
    try:
        recorded = json.loads(path.read_text("utf-8"))["texts"]
        texts = [str(entry["text"]) for entry in recorded]
        wanted = np.array([entry["vector"] for entry in recorded], np.float32)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelDamagedError(f"recorded vectors {path.name}: {error}", name=manifest.name) from error
    answer = connection.json("/v1/embeddings", {"input": texts})
    got = np.array([entry["embedding"] for entry in answer["data"]], np.float32)
    if got.shape != wanted.shape or got.shape[1] != manifest.dimensions:
        raise ModelDamagedError(f"vectors of shape {got.shape}, not {wanted.shape}", name=manifest.name)
    least = float(_cosines(got, wanted).min())
    if not least >= LEAST_COSINE:  # also when it is not a number
        raise ModelDamagedError(f"cosine {least:.4f} to the recorded vectors", name=manifest.name)
    return least


def _cosines(left: NDArray[np.float32], right: NDArray[np.float32]) -> NDArray[np.float32]:
    lengths = np.linalg.norm(left, axis=1) * np.linalg.norm(right, axis=1)
    cosines: NDArray[np.float32] = (left * right).sum(axis=1) / lengths
    return cosines


def _reranks(connection: ChildConnection, manifest: Manifest, _vectors: Path | None) -> str:
    answer = connection.json("/v1/rerank", {"query": _QUESTION, "documents": [_ANSWER, _OFF_TOPIC], "raw": False})
    good, bad = answers.scores(answer, 2, manifest)
    if good <= bad:
        raise ModelDamagedError(f"scores {good:.4f} for an answer, {bad:.4f} for none", name=manifest.name)
    return f"scores {good:.4f} for an answer, {bad:.4f} for none"


def _chats(connection: ChildConnection, manifest: Manifest, _vectors: Path | None) -> str:
    question = [{"role": "user", "content": _QUESTION}]
    connection.send(
        "/v1/chat/completions", {"messages": question, "max_tokens": _WORDS, "temperature": 0, "stream": True}
    )
    connection.begin()
    events = b"".join(connection.chunks()).split(b"\n\n")
    text = "".join(_delta(event[len(b"data: ") :]) for event in events if event.startswith(b"data: {"))
    if not text.strip():
        raise ModelDamagedError("it answers nothing", name=manifest.name)
    return f"says {text.strip()!r}"


def _delta(event: bytes) -> str:
    choices: list[dict[str, Any]] = json.loads(event).get("choices") or []
    return "".join(str(choice.get("delta", {}).get("content") or "") for choice in choices)


_TRIALS: Final[dict[ModelKind, Callable[[ChildConnection, Manifest, Path | None], str]]] = {
    "chat": _chats,
    "embedding": _embeds,
    "reranker": _reranks,
}
