"""An engine without a model behind the real HTTP server of the children."""

import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from appliance.inference import child_http
from appliance.inference.child_http import CallerGoneError, ContextExceededError, Stopped, UnsupportedError, Vectors
from appliance.inference.transport import ChildConnection

KEY = "the-key"
LIMIT = 100


class Parrot:
    """Says words one after the other; remembers how many, and whether it was told to stop."""

    def __init__(self) -> None:
        self.said = 0
        self.stopped = threading.Event()

    def chat(self, body: dict[str, Any]) -> Iterator[str]:
        text = str(body["messages"][-1]["content"])
        if text == "unsupported":
            raise UnsupportedError("no chat")
        if len(text) > LIMIT:
            raise ContextExceededError(len(text), LIMIT)
        return self._words(text, float(body.get("pause", 0)))

    def _words(self, text: str, pause: float) -> Iterator[str]:
        try:
            for word in text.split():
                self.said += 1
                yield word + " "
                time.sleep(pause)
        finally:
            self.stopped.set()

    def embed(self, texts: Sequence[str], *, truncate: bool) -> tuple[Vectors, int]:
        longest = max(map(len, texts))
        if longest > LIMIT and not truncate:
            raise ContextExceededError(longest, LIMIT)
        return np.array([[len(text), 0.5] for text in texts], np.float32), sum(map(len, texts))

    def rerank(self, query: str, documents: Sequence[str], *, raw: bool, stopped: Stopped) -> tuple[list[float], int]:
        scores = []
        for document in documents:
            if stopped():
                self.stopped.set()
                raise CallerGoneError
            time.sleep(0.05 if query == "slow" else 0)
            self.said += 1
            scores.append(float(len(document)) / (1 if raw else LIMIT))
        return scores, len(query) + sum(map(len, documents))

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        return [len(text.split()) for text in texts]


@pytest.fixture
def parrot() -> Parrot:
    return Parrot()


@pytest.fixture
def path(parrot: Parrot) -> Iterator[Path]:
    """The socket that the parrot answers on."""
    with tempfile.TemporaryDirectory(prefix="hako-") as folder:
        socket = Path(folder, "p.sock")
        child_http.serve(str(socket), KEY, "parrot", parrot)
        yield socket


@pytest.fixture
def connection(path: Path) -> Iterator[ChildConnection]:
    with ChildConnection(path, KEY, "parrot") as connection:
        yield connection
