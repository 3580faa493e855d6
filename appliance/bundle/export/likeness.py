"""Runs what was exported on onnxruntime, as the box's engine does, and measures how far it is from the original."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np

from appliance.bundle.encoder_onnx import Floats
from appliance.bundle.export.network import Kind
from appliance.errors import ModelFailedError
from appliance.inference.engine import EngineSpec
from appliance.inference.engines import vocabularies
from appliance.inference.engines.onnx_session import Session

LEAST_COSINE: Final = 0.99
"""As the golden check demands of an 8-bit model on every CPU."""

TEXTS: Final = (
    "query: 日本の首都はどこですか。",
    "passage: 日本の首都は東京で、政治と経済の中心です。",
    "passage: Wash your hands before you touch the machine.",
    "query: 機械を止めるには、どのボタンを押しますか。",
    "非常停止は、操作盤の右にある赤いボタンを押します。押した後は鍵で戻すまで動きません。",
    "The invoice is due thirty days after delivery; a reminder is sent by post.",
    "学校の図書室は、平日の午前9時から午後5時まで開いています。",
    "Which forms does the city hall need for a change of address?",
)
_QUESTIONS: Final = ("日本の首都はどこですか。", "Which forms does the city hall need for a change of address?")
_LENGTHS: Final = (4, 48)
_MADE_UP: Final = 16
_TWO: Final = 2


class Sample(NamedTuple):
    """What the network is given at once."""

    ids: list[int]
    types: list[int]
    """Which of two texts each token belongs to."""


def samples(kind: Kind, folder: Path | None, limit: int, words: int) -> list[Sample]:
    """Token ids to compare on: of real texts, or of real pairs for rerankers.

    Without a `folder` whose vocabulary can be read here they are made up, always the same ones. `limit`: tokens that
    the model holds; `words`: tokens that it knows.
    """
    if folder is None:
        random = np.random.default_rng(7)
        shortest, longest = (min(length, limit) for length in _LENGTHS)
        made = [random.integers(0, words, random.integers(shortest, longest + 1)).tolist() for _ in range(_MADE_UP)]
        return [Sample(ids, [0] * len(ids)) for ids in made]
    tokenizer = vocabularies.opened(folder)
    if kind == "embedding":
        whole = [tokenizer.truncate(ids, limit) for ids in tokenizer.encode(TEXTS)]
        return [Sample(ids, [0] * len(ids)) for ids in whole]
    questions, texts = tokenizer.pieces(_QUESTIONS), tokenizer.pieces(TEXTS)
    pairs = [tokenizer.pair(question, text, limit) for question in questions for text in texts]
    return [Sample(pair, tokenizer.types(pair)) for pair in pairs]


def answers(graph: Path, kind: Kind, samples: Sequence[Sample]) -> Floats:
    """Vectors of length 1 (samples, width), or a reranker's scores (samples,), each computed alone.

    Raises:
        ModelFailedError: the runtime refuses the graph, or what it says is no number.
    """
    spec = EngineSpec(
        model="export", kind=kind, engine="onnx", folder=str(graph.parent.absolute()), entry=graph.name, socket="",
        api_key="", threads=1, parallel=1, context=0, dimensions=0, provider="cpu", memory_bytes=0,
    )  # fmt: skip
    try:
        session = Session(spec)
        rows: Floats = np.concatenate([session.run([each.ids], types=[each.types])[0] for each in samples])
    except Exception as error:  # the runtime's errors have no common parent but Exception
        raise ModelFailedError(f"{graph.name}: {error}", name=graph.parent.name) from error
    if not np.isfinite(rows).all():
        raise ModelFailedError("answers that are no numbers", name=graph.parent.name)
    if kind == "embedding":
        lengths: Floats = np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
        return rows / lengths
    scores: Floats = rows[:, 1] - rows[:, 0] if rows.shape[1] == _TWO else rows[:, 0]
    return scores


def cosine(kind: Kind, original: Floats, exported: Floats) -> float:
    """The least one between two vectors of a text; of rerankers that of all scores, seen from their mean.

    A reranker's scores are mostly far from zero on the same side, where everything is alike; what counts is how they
    differ from each other.
    """
    if kind == "embedding":
        return float((original * exported).sum(axis=1).min())
    left, right = original - original.mean(), exported - original.mean()
    return float(left @ right / max(float(np.linalg.norm(left) * np.linalg.norm(right)), 1e-12))
