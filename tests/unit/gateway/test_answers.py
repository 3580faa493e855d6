"""What engines answer is believed only as far as it has the right shape."""

from typing import Any

import numpy as np
import pytest

from appliance.errors import ModelFailedError
from appliance.gateway import answers
from appliance.inference.manifest import Manifest

MANIFEST = Manifest.model_validate(
    {
        "id": "m", "name": "M", "kind": "embedding", "engine": "onnx", "files": {"f": {"sha256": "0" * 64, "size": 1}},
        "entry": "f", "licence": "MIT", "source": "s", "languages": ["en"], "context": 8, "dimensions": 2,
    }
)  # fmt: skip
GOOD = "AACAPwAAAEA="  # 1.0, 2.0


def test_scores_are_put_in_the_order_of_the_documents() -> None:
    results = [{"index": index, "relevance_score": score} for index, score in ((2, 0.1), (0, 0.7), (1, 0.2))]
    assert answers.scores({"results": results}, 3, MANIFEST) == [0.7, 0.2, 0.1]


@pytest.mark.parametrize(
    "answer",
    [
        {},
        {"results": None},
        {"results": []},
        {"results": [{"index": 1, "relevance_score": 1}]},
        {"results": [{"index": 0}]},
        {"results": [{"index": 0, "relevance_score": "high"}]},
        {"results": [{"index": 0, "relevance_score": float("nan")}]},
        {"results": [{"index": 0, "relevance_score": float("inf")}]},
    ],
)
def test_scores_of_another_shape_are_the_models_failure(answer: dict[str, Any]) -> None:
    with pytest.raises(ModelFailedError):
        answers.scores(answer, 1, MANIFEST)


def test_vectors_are_read_from_their_bytes() -> None:
    found = answers.vectors({"data": [{"embedding": GOOD}, {"embedding": GOOD}]}, MANIFEST)
    np.testing.assert_array_equal(found, [[1, 2], [1, 2]])


@pytest.mark.parametrize(
    "answer",
    [
        {},
        {"data": []},
        {"data": [{"embedding": 5}]},
        {"data": [{"embedding": "AACAPw=="}]},
        {"data": [{"embedding": "AAA="}]},
    ],
)
def test_vectors_of_another_shape_are_the_models_failure(answer: dict[str, Any]) -> None:
    with pytest.raises(ModelFailedError):
        answers.vectors(answer, MANIFEST)
