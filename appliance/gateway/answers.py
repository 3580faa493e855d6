"""What an engine answered whole, checked before anybody relies on it."""

import base64
import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from appliance.errors import ModelFailedError
from appliance.inference.manifest import Manifest

Vectors = NDArray[np.float32]


def vectors(answer: dict[str, Any], manifest: Manifest) -> Vectors:
    """The vectors that an engine answered with: (texts, dimensions).

    Raises:
        ModelFailedError: it answered something else.
    """
    try:
        rows = [np.frombuffer(base64.b64decode(item["embedding"]), "<f4") for item in answer["data"]]
        vectors: Vectors = np.stack(rows).astype(np.float32, copy=False)
    except (KeyError, TypeError, ValueError) as error:
        raise ModelFailedError(f"embedding answer: {error!r}", name=manifest.name) from error
    if vectors.shape[1] != manifest.dimensions:
        raise ModelFailedError(f"{vectors.shape[1]} dimensions", name=manifest.name)
    return vectors


def scores(answer: dict[str, Any], count: int, manifest: Manifest) -> list[float]:
    """The scores that an engine gave to `count` documents, in their order.

    Raises:
        ModelFailedError: it answered something else, or a score is no finite number.
    """
    try:
        by_index = {int(result["index"]): float(result["relevance_score"]) for result in answer["results"]}
        ordered = [by_index[index] for index in range(count)]
    except (KeyError, TypeError, ValueError) as error:
        raise ModelFailedError(f"rerank answer: {error!r}", name=manifest.name) from error
    if not all(map(math.isfinite, ordered)):
        raise ModelFailedError("a score that is no number", name=manifest.name)
    return ordered
