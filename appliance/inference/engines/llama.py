"""GGUF models on llama.cpp's own server (xllamacpp): chats with batching, prefix cache and grammar, and embeddings."""

import contextlib
import os
from pathlib import Path

import xllamacpp

from appliance.inference.engine import EngineLoadError, EngineSpec, Loaded

_BATCH = 64
"""Tokens computed between two looks at the connections. On a CPU 64 costs nothing against 2048 and lets a
cancelled prompt stop within a second."""
_BATCH_WITH_PICTURES = 512
"""Some models (Gemma 3) read a picture as a whole, and one of theirs has 256 tokens."""
_NO_PROGRAMS = "/nonexistent"

_POOLINGS = {
    "mean": xllamacpp.llama_pooling_type.LLAMA_POOLING_TYPE_MEAN,
    "cls": xllamacpp.llama_pooling_type.LLAMA_POOLING_TYPE_CLS,
    "last": xllamacpp.llama_pooling_type.LLAMA_POOLING_TYPE_LAST,
}
_CACHE_TYPES = {"q8_0": xllamacpp.ggml_type.GGML_TYPE_Q8_0, "q4_0": xllamacpp.ggml_type.GGML_TYPE_Q4_0}

_PING_SECONDS = 15


class LlamaEngine:
    """Keeps the native server alive for as long as the process lives."""

    def __init__(self) -> None:
        self._server: xllamacpp.Server | None = None

    def serve(self, spec: EngineSpec) -> Loaded:
        with contextlib.suppress(FileNotFoundError):
            Path(spec.socket).unlink()  # the native server refuses a stale one with a misleading message
        os.environ["PATH"] = _NO_PROGRAMS  # it hands what it can't decode to ffmpeg, if it finds one
        if spec.kind == "reranker":
            raise EngineLoadError("this engine runs chat models and embedding models only")
        try:
            self._server = xllamacpp.Server(_parameters(spec))
        except (RuntimeError, ValueError) as error:
            raise EngineLoadError(str(error)) from error
        return Loaded(provider="cpu", context=spec.context)


def _parameters(spec: EngineSpec) -> xllamacpp.CommonParams:
    parameters = xllamacpp.CommonParams()
    parameters.model.path = str(spec.file)
    parameters.model_alias = {spec.model}  # else every answer would carry the file's path
    parameters.hostnames = [spec.socket]
    parameters.api_keys = [spec.api_key]
    parameters.n_parallel = spec.parallel
    parameters.n_ctx = spec.context * spec.parallel
    parameters.kv_unified = False  # one long answer can't take another one's room
    parameters.n_batch = parameters.n_ubatch = _BATCH_WITH_PICTURES if spec.projector else _BATCH
    if spec.kind == "embedding":
        parameters.embedding = True
        parameters.pooling_type = _POOLINGS[spec.pooling]
        parameters.n_batch = parameters.n_ubatch = spec.context  # each word may look at all others, so all go at once
    parameters.cpuparams.n_threads = spec.threads
    parameters.cpuparams_batch.n_threads = spec.threads
    # One for each answer, and as many for what was cancelled and ends only after its batch; some for short requests.
    parameters.n_threads_http = 2 * spec.parallel + 4
    parameters.cache_ram_mib = 0  # its default of 8 GiB makes a child grow with every request
    parameters.fit_params = False
    if spec.slots:
        parameters.slot_save_path = spec.slots + "/"
    if spec.template:
        parameters.chat_template = spec.template
    if spec.adapter:
        adapter = str(Path(spec.folder) / spec.adapter)
        parameters.lora_adapters = [xllamacpp.CommonAdapterLoraInfo(adapter, spec.adapter_scale)]
    if spec.projector:
        parameters.mmproj.path = str(Path(spec.folder) / spec.projector)
        parameters.mmproj_use_gpu = False
    if cache_type := _CACHE_TYPES.get(spec.cache_type):
        parameters.cache_type_k = parameters.cache_type_v = cache_type
        # It rounds values only for this way of computing. Left to itself it might choose another, and then refuse.
        parameters.flash_attn_type = xllamacpp.llama_flash_attn_type.LLAMA_FLASH_ATTN_TYPE_ENABLED
    if spec.speculation == "ngram":
        # Of the ways that need no second model, one that leaves the answer as it is (`ngram_mod` changed it).
        # `ngram_map_k` guesses right half as often where a text is quoted sentence by sentence.
        parameters.speculative.types = [xllamacpp.common_speculative_type.COMMON_SPECULATIVE_TYPE_NGRAM_SIMPLE]
        # Its own 12 and 48 miss what is quoted in short pieces, and try long guesses that end early.
        parameters.speculative.ngram_simple.size_n, parameters.speculative.ngram_simple.size_m = 5, 12
    parameters.sse_ping_interval = _PING_SECONDS
    parameters.verbosity = 1  # higher levels write prompts to the log
    parameters.offline = True
    parameters.ui = False
    parameters.endpoint_slots = False
    parameters.endpoint_metrics = True
    parameters.cors_origins = ""
    return parameters
