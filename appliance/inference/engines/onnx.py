"""Models on onnxruntime that read and don't write: embedding models and rerankers."""

from collections.abc import Iterator, Sequence
from typing import Any

from appliance.inference import child_http
from appliance.inference.child_http import Stopped, UnsupportedError, Vectors
from appliance.inference.engine import EngineLoadError, EngineSpec, Loaded
from appliance.inference.engines import vocabularies
from appliance.inference.engines.onnx_embed import Embedder
from appliance.inference.engines.onnx_rerank import Reranker
from appliance.inference.engines.onnx_session import Session
from appliance.inference.engines.vocabularies import Tokenizer


class OnnxEngine:
    """Answers what its kind of model can, many requests at a time."""

    def __init__(self) -> None:
        self._tokenizer: Tokenizer | None = None
        self._embedder: Embedder | None = None
        self._reranker: Reranker | None = None

    def serve(self, spec: EngineSpec) -> Loaded:
        if spec.pooling == "last":
            raise EngineLoadError("this engine pools by the mean or the first token only")
        if spec.kind == "chat":
            raise EngineLoadError("this engine runs embedding models and rerankers only")
        self._tokenizer = vocabularies.opened(spec.file.parent)
        session = Session(spec)
        if spec.kind == "embedding":
            self._embedder = Embedder(session, self._tokenizer, spec.context, first=spec.pooling == "cls")
            self._embedder.embed(["warm up"], truncate=True)
        else:
            self._reranker = Reranker(session, self._tokenizer, spec.context)
            self._reranker.check()
        child_http.serve(spec.socket, spec.api_key, spec.model, self)
        return Loaded(provider=session.provider, context=spec.context)

    def chat(self, body: dict[str, Any]) -> Iterator[str]:  # noqa: ARG002 - the contract's
        raise UnsupportedError("this model can't chat")

    def complete(self, prompt: str, body: dict[str, Any]) -> Iterator[str]:  # noqa: ARG002 - the contract's
        raise UnsupportedError("this model can't write")

    def embed(self, texts: Sequence[str], *, truncate: bool) -> tuple[Vectors, int]:
        if self._embedder is None:
            raise UnsupportedError("a reranker has no embeddings")
        return self._embedder.embed(texts, truncate=truncate)

    def rerank(self, query: str, documents: Sequence[str], *, raw: bool, stopped: Stopped) -> tuple[list[float], int]:
        if self._reranker is None:
            raise UnsupportedError("an embedding model can't rerank")
        return self._reranker.rerank(query, documents, raw=raw, stopped=stopped)

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        if self._tokenizer is None:
            raise RuntimeError("not serving")
        return [len(ids) for ids in self._tokenizer.encode(texts)]
