"""A session of onnxruntime over token ids: opened on the wished-for provider, fed in groups of like length."""

import ctypes
import sys
from collections.abc import Iterator, Sequence

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from appliance.inference.engine import EngineLoadError, EngineSpec, ProviderError
from appliance.inference.onnx_roles import output

Floats = NDArray[np.float32]
Integers = NDArray[np.int64]

_CUDA, _CPU = "CUDAExecutionProvider", "CPUExecutionProvider"
_TOKENS_PER_RUN = 1024
"""Padded tokens in one run. More is no faster on a CPU, and attention needs memory by the square."""


class Session:
    """Runs may overlap: onnxruntime sessions are thread-safe and share one pool of threads.

    Raises:
        EngineLoadError: the runtime refuses the file.
        ProviderError: it must be CUDA, and that doesn't work here.
    """

    def __init__(self, spec: EngineSpec) -> None:
        self._session = _open(spec)
        give_back_memory()  # the file that was read in, beside what was made of it
        self._inputs = frozenset(value.name for value in self._session.get_inputs())
        outputs = [value.name for value in self._session.get_outputs()]
        self._output = output(outputs, "embedding" if spec.kind == "embedding" else "reranker")

    @property
    def provider(self) -> str:
        """What it really computes on."""
        return str(self._session.get_providers()[0]).removesuffix("ExecutionProvider").lower()

    def run(
        self, texts: Sequence[list[int]], pad: int = 0, types: Sequence[list[int]] | None = None
    ) -> tuple[Floats, Integers]:
        """What the graph makes of these token ids, and the mask (texts, longest) of those that are no padding.

        `pad`: what shorter texts are filled up with, of no meaning for a single one. `types`: which of two texts each
        token belongs to; the first one if left out.
        """
        width = max(len(ids) for ids in texts)
        ids = np.full((len(texts), width), pad, np.int64)
        mask, kinds = np.zeros_like(ids), np.zeros_like(ids)
        for row, tokens in enumerate(texts):
            ids[row, : len(tokens)] = tokens
            mask[row, : len(tokens)] = 1
            if types is not None:
                kinds[row, : len(tokens)] = types[row]
        feeds = {"input_ids": ids, "attention_mask": mask, "token_type_ids": kinds}
        (result,) = self._session.run([self._output], {name: feeds[name] for name in self._inputs})
        return result, mask


def groups(lengths: Sequence[int]) -> Iterator[list[int]]:
    """Places of texts that are to run together, so many tokens at once, short ones first.

    Padding is computed too: unsorted batches cost more than twice as much.
    """
    group: list[int] = []
    for i in sorted(range(len(lengths)), key=lengths.__getitem__):
        if group and lengths[i] * (len(group) + 1) > _TOKENS_PER_RUN:
            yield group
            group = []
        group.append(i)
    if group:
        yield group


def give_back_memory() -> None:
    """Freed memory goes back to the system: without this a batch of long texts leaves 100 MiB behind."""
    ctypes.CDLL(None).malloc_trim(0)


def _open(spec: EngineSpec) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = spec.threads
    options.inter_op_num_threads = 1
    options.enable_cpu_mem_arena = False  # the arena never gives memory back: 250 MiB more at rest
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3
    reason = "not in this flavour"
    if spec.provider != "cpu" and _CUDA in onnxruntime.get_available_providers():
        onnxruntime.preload_dlls()  # CUDA's own libraries, which lie in packages beside the runtime's
        try:
            session = _session(spec, options, _CUDA, _CPU)
        except EngineLoadError as error:  # of CUDA or of the file: without CUDA it will be seen
            reason = str(error)
        else:
            if session.get_providers()[0] == _CUDA:
                return session
            reason = "not what works"
    session = _session(spec, options, _CPU)
    if spec.provider == "cuda":
        raise ProviderError(f"cuda: {reason}")
    if spec.provider != "cpu":
        sys.stderr.write(f"runs on cpu: cuda: {reason}\n")
    return session


def _session(spec: EngineSpec, options: onnxruntime.SessionOptions, *providers: str) -> onnxruntime.InferenceSession:
    try:
        return onnxruntime.InferenceSession(str(spec.file), options, providers=list(providers))
    except Exception as error:  # the runtime's errors have no common parent but Exception
        raise EngineLoadError(str(error)) from error
