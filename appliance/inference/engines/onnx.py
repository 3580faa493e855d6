"""Embedding models on onnxruntime: tokens in, mean of the last layer out, as L2-normalised vectors."""

import ctypes
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from appliance.inference import child_http
from appliance.inference.child_http import ContextExceededError, UnsupportedError, Vectors
from appliance.inference.engine import EngineLoadError, EngineSpec, Loaded
from appliance.inference.engines.xlmr import PAD, Tokenizer

_TOKENS_PER_RUN = 1024
"""Padded tokens in one run. More is no faster on a CPU, and attention needs memory by the square."""


class OnnxEngine:
    """Runs may overlap: onnxruntime sessions are thread-safe and share one pool of threads."""

    def __init__(self) -> None:
        self._session: onnxruntime.InferenceSession | None = None
        self._tokenizer: Tokenizer | None = None
        self._inputs: frozenset[str] = frozenset()
        self._limit = 0

    def serve(self, spec: EngineSpec) -> Loaded:
        if spec.kind != "embedding":
            raise EngineLoadError("this engine runs embedding models only")
        self._tokenizer = Tokenizer(spec.file.parent / "sentencepiece.model")
        self._session = _session(spec)
        _give_back_memory()  # the file that was read in, beside what was made of it
        self._inputs = frozenset(value.name for value in self._session.get_inputs())
        self._limit = spec.context
        self.embed(["warm up"], truncate=True)
        child_http.serve(spec.socket, spec.api_key, spec.model, self)
        provider = self._session.get_providers()[0].removesuffix("ExecutionProvider").lower()
        return Loaded(provider=provider, context=spec.context)

    @property
    def tokenizer(self) -> Tokenizer:
        if self._tokenizer is None:
            raise RuntimeError("not serving")
        return self._tokenizer

    def chat(self, body: dict[str, Any]) -> Iterator[str]:  # noqa: ARG002 - the contract's
        raise UnsupportedError("an embedding model can't chat")

    def complete(self, prompt: str) -> Iterator[str]:  # noqa: ARG002 - the contract's
        raise UnsupportedError("an embedding model can't write")

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        return [len(ids) for ids in self.tokenizer.encode(texts)]

    def embed(self, texts: Sequence[str], *, truncate: bool) -> tuple[Vectors, int]:
        encoded = self.tokenizer.encode(texts)
        longest = max(len(ids) for ids in encoded)
        if longest > self._limit:
            if not truncate:
                raise ContextExceededError(longest, self._limit)
            encoded = [self.tokenizer.truncate(ids, self._limit) for ids in encoded]
        rows: dict[int, Vectors] = {}
        for group in _groups([len(ids) for ids in encoded]):
            rows.update(zip(group, self._run([encoded[i] for i in group]), strict=True))
        if len(texts) > 1:  # not for a question, which is to be quick and leaves little
            _give_back_memory()
        return np.stack([rows[i] for i in range(len(encoded))]), sum(len(ids) for ids in encoded)

    def _run(self, batch: list[list[int]]) -> Vectors:
        if self._session is None:
            raise RuntimeError("not serving")
        width = max(len(ids) for ids in batch)
        ids = np.full((len(batch), width), PAD, np.int64)
        mask = np.zeros((len(batch), width), np.int64)
        for row, tokens in enumerate(batch):
            ids[row, : len(tokens)] = tokens
            mask[row, : len(tokens)] = 1
        feeds = {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}
        hidden = self._session.run(None, {name: feeds[name] for name in self._inputs})[0]
        return _pool(hidden, mask)


def _give_back_memory() -> None:
    """Freed memory goes back to the system: without this a batch of long texts leaves 100 MiB behind."""
    ctypes.CDLL(None).malloc_trim(0)


def _groups(lengths: list[int]) -> Iterator[list[int]]:
    # Texts of like length together: padding is computed too, and unsorted batches cost more than twice as much.
    group: list[int] = []
    for i in sorted(range(len(lengths)), key=lengths.__getitem__):
        if group and lengths[i] * (len(group) + 1) > _TOKENS_PER_RUN:
            yield group
            group = []
        group.append(i)
    if group:
        yield group


def _pool(hidden: NDArray[np.float32], mask: NDArray[np.int64]) -> Vectors:
    weights = mask[:, :, None].astype(np.float32)
    mean = (hidden * weights).sum(axis=1) / weights.sum(axis=1)
    norm = np.linalg.norm(mean, axis=1, keepdims=True)
    pooled: Vectors = (mean / np.maximum(norm, 1e-12)).astype(np.float32)
    return pooled


def _session(spec: EngineSpec) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = spec.threads
    options.inter_op_num_threads = 1
    options.enable_cpu_mem_arena = False  # the arena never gives memory back: 250 MiB more at rest
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3
    try:
        session = onnxruntime.InferenceSession(str(spec.file), options, providers=_providers(spec.provider))
    except Exception as error:  # the runtime's errors have no common parent but Exception
        raise EngineLoadError(str(error)) from error
    used = session.get_providers()[0]
    if spec.provider == "cuda" and used != "CUDAExecutionProvider":
        raise EngineLoadError(f"cuda was asked for, {used} is what works")
    return session


def _providers(wish: str) -> list[str]:
    there = onnxruntime.get_available_providers()
    wished = ["CPUExecutionProvider"] if wish == "cpu" else ["CUDAExecutionProvider", "CPUExecutionProvider"]
    return [name for name in wished if name in there]
