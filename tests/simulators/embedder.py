"""An embedder without a model: vectors of hashed character pairs, as the scripted engine makes them."""

from collections.abc import Callable, Sequence
from typing import Literal

import numpy as np

from appliance.inference.engines.scripted import _TOKEN, _vector
from appliance.knowledge.embedder import DIMENSIONS, Vectors, Waits


class WordingEmbedder:
    """Texts that share wording are near each other. `texts` is what was asked, `before` runs ahead of each request."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.before: Callable[[], None] | None = None

    def embed(
        self,
        texts: Sequence[str],
        kind: Literal["query", "passage"],
        *,
        stopped: Callable[[], bool] | None = None,
        waits: Waits | None = None,
    ) -> Vectors:
        if self.before is not None:
            self.before()
        if kind == "passage":
            self.texts += texts
        return np.stack([_vector(text, DIMENSIONS) for text in texts])

    def count_tokens(self, texts: Sequence[str], model: str | None = None) -> list[int]:
        return [len(_TOKEN.findall(text)) + 2 for text in texts]
