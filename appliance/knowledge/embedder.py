"""What knowledge needs of an embedding model, and the texts that it is given."""

from collections.abc import Callable, Sequence
from typing import Literal, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

Vectors: TypeAlias = NDArray[np.float32]
"""One L2-normalised vector a row."""

Waits: TypeAlias = Callable[[str, int, float | None], None]
"""Is told while a request stands in line for its model: the stage, its place, the seconds it may take."""

DIMENSIONS = 384
"""What the vector tables are made for."""


class Embedder(Protocol):
    """The default embedding model; the gateway is one."""

    def embed(
        self,
        texts: Sequence[str],
        kind: Literal["query", "passage"],
        *,
        stopped: Callable[[], bool] | None = None,
        waits: Waits | None = None,
    ) -> Vectors:
        """(len(texts), DIMENSIONS), L2-normalised; a text that is too long counts with its beginning only.

        Raises:
            InferenceUnreachableError, ModelFailedError: passing trouble; try again later.
        """

    def count_tokens(self, texts: Sequence[str], model: str | None = None) -> list[int]:
        """Tokens of each text as the model counts them."""


def passage_text(title: str, heading: str, text: str) -> str:
    """A passage as it is embedded: what it is about comes first."""
    return f"{title} {heading}".strip() + "\n" + text


def sentence_text(title: str, sentence: str) -> str:
    """A sentence as it is embedded; alone it often doesn't say what it is about."""
    return f"{title} {sentence}"
