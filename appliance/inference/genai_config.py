"""What a `genai_config.json` says of a chat model, for files that nobody has vouched for.

The runtime does what this file says, up to loading libraries, writing files and using a text as a format for C's
`printf`. So only what a plain text model needs may be in it, each thing within bounds; the rest is refused, not passed
over, because the runtime reads the same file. What it says of sampling and of the device is overruled by the engine.
"""

import math
import re
from dataclasses import dataclass
from typing import Any, Final

from appliance.inference import json_reader
from appliance.inference.json_reader import DoubtfulError, demand_known, number, part, text

FILE_BYTES: Final = 1 << 20

ARCHITECTURES: Final = frozenset({
    "chatglm", "decoder", "ernie4_5", "gemma", "gemma2", "gemma3_text", "gptoss", "granite", "internlm2", "llama",
    "mistral", "nemotron", "olmo", "phi", "phi3", "phimoe", "qwen2", "qwen3", "smollm3",
})  # fmt: skip
"""Those that are one graph over tokens; others want pictures, sounds or several graphs."""

_CACHE_BYTES: Final = 4
"""Of a number in the cache: graphs for the CPU keep floats, and others less."""

_MODEL: Final = frozenset({
    "type", "vocab_size", "context_length", "decoder", "bos_token_id", "eos_token_id", "pad_token_id", "sep_token_id",
    "bot_token_id", "eot_token_id", "bor_token_id", "eor_token_id",
})  # fmt: skip
_DECODER: Final = frozenset({
    "session_options", "filename", "head_size", "hidden_size", "inputs", "outputs", "num_attention_heads",
    "num_hidden_layers", "num_key_value_heads", "sliding_window",
})  # fmt: skip
_WINDOW: Final = frozenset({
    "window_size", "pad_value", "alignment", "slide_key_value_cache", "slide_inputs", "layers", "cache_slack",
})  # fmt: skip
_SESSION: Final = frozenset({
    "log_id", "log_severity_level", "log_verbosity_level", "provider_options", "intra_op_num_threads",
    "inter_op_num_threads", "enable_cpu_mem_arena", "enable_mem_pattern", "graph_optimization_level",
})  # fmt: skip
"""Not `custom_ops_library`, `enable_profiling` and what onnxruntime takes by name: code, and files that are written."""
_PROVIDERS: Final = frozenset({"cpu", "cuda"})
_PROVIDER_OPTIONS: Final = frozenset({"enable_cuda_graph", "enable_skip_layer_norm_strict_mode"})
_SEARCH: Final = frozenset({
    "batch_size", "chunk_size", "diversity_penalty", "do_sample", "early_stopping", "length_penalty", "max_length",
    "min_length", "no_repeat_ngram_size", "num_beams", "num_return_sequences", "past_present_share_buffer",
    "random_seed", "repetition_penalty", "temperature", "top_k", "top_p",
})  # fmt: skip

_INPUTS: Final = {
    "input_ids": "input_ids",
    "attention_mask": "attention_mask",
    "position_ids": "position_ids",
    "past_key_names": "past_key_values.%d.key",
    "past_value_names": "past_key_values.%d.value",
}
_OUTPUTS: Final = {
    "logits": "logits",
    "present_key_names": "present.%d.key",
    "present_value_names": "present.%d.value",
}
_FILE: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9 _.+-]{0,194}\.onnx")
_NAME: Final = re.compile(r"[A-Za-z0-9_./]{1,60}")
_NAMES: Final = re.compile(r"[A-Za-z0-9_./]{0,30}%d[A-Za-z0-9_./]{0,25}")
"""The number of the layer, and nothing else, is put into them."""
_WORD: Final = re.compile(r"[A-Za-z0-9_-]{1,60}")
_STOPS_MAX: Final = 64


@dataclass(frozen=True)
class GenaiConfig:
    """What was found, checked."""

    architecture: str
    file: str
    """The graph, in the same folder."""
    context: int
    """Tokens it was trained to hold."""
    vocabulary: int
    """Tokens that it knows."""
    begin: int
    """Tokens' numbers."""
    ends: tuple[int, ...]
    layers: int
    heads: int
    """Of keys and values."""
    head_size: int
    inputs: tuple[str, ...]
    """Of the graph: token ids first, then what it need not have, `%d` standing for a layer's number."""
    outputs: tuple[str, ...]
    """Probabilities first."""

    @property
    def cache_bytes_per_token(self) -> int:
        """Keys and values of all layers."""
        return 2 * self.layers * self.heads * self.head_size * _CACHE_BYTES

    @property
    def scratch_bytes_per_token(self) -> int:
        """Within what each child has."""
        return 0


def parse(data: bytes) -> GenaiConfig:
    """The contents of a `genai_config.json`.

    Raises:
        DoubtfulError: for everything that is not right, or not known here.
    """
    said = json_reader.read(data, FILE_BYTES)
    demand_known(said, {"model", "search"}, "it")
    model, decoder = part(said, "model"), part(part(said, "model"), "decoder")
    demand_known(model, _MODEL, "model")
    demand_known(decoder, _DECODER, "model.decoder")
    _demand_harmless(part(decoder, "session_options"))
    _demand_figures(part(said, "search"), _SEARCH, "search")
    architecture, file = text(model, "type"), text(decoder, "filename")
    if architecture not in ARCHITECTURES:
        raise DoubtfulError("is of a kind that is not known")
    if not _FILE.fullmatch(file):
        raise DoubtfulError("has a graph that is not beside it")
    vocabulary = number(model, "vocab_size", 1, 1 << 21)
    if "sliding_window" in decoder:
        _demand_window(part(decoder, "sliding_window"))
    for key in ("hidden_size", "num_attention_heads"):
        number({key: 1, **decoder}, key, 1, 1 << 16)
    return GenaiConfig(
        architecture=architecture,
        file=file,
        context=number(model, "context_length", 8, 1 << 20),
        vocabulary=vocabulary,
        begin=_tokens(model, vocabulary),
        ends=_ends(model, vocabulary),
        layers=number(decoder, "num_hidden_layers", 1, 512),
        heads=number(decoder, "num_key_value_heads", 1, 1024),
        head_size=number(decoder, "head_size", 1, 4096),
        inputs=_names(part(decoder, "inputs"), _INPUTS),
        outputs=_names(part(decoder, "outputs"), _OUTPUTS),
    )


def _tokens(model: dict[str, Any], vocabulary: int) -> int:
    """The one to begin with. All have to be of the vocabulary: the runtime uses them as places without a look."""
    for key in _MODEL:
        if key.endswith("_token_id") and key != "eos_token_id":
            number({key: 0, **model}, key, 0, vocabulary - 1)
    return int(model.get("bos_token_id", 0))


def _ends(model: dict[str, Any], vocabulary: int) -> tuple[int, ...]:
    listed = model.get("eos_token_id")
    ends = listed if isinstance(listed, list) else [listed]
    if not 0 < len(ends) <= _STOPS_MAX:
        raise DoubtfulError("eos_token_id is impossible or missing")
    return tuple(number({"eos_token_id": end}, "eos_token_id", 0, vocabulary - 1) for end in ends)


def _names(said: dict[str, Any], defaults: dict[str, str]) -> tuple[str, ...]:
    demand_known(said, defaults, "model.decoder")
    names = tuple(text(said, key, default) for key, default in defaults.items())
    for key, name in zip(defaults, names, strict=True):
        if not (_NAMES if key.endswith("_names") else _NAME).fullmatch(name):
            raise DoubtfulError(f"{key} is impossible")
    return names


def _demand_harmless(options: dict[str, Any]) -> None:
    demand_known(options, _SESSION, "session_options")
    _demand_figures({key: value for key, value in options.items() if key != "provider_options"}, _SESSION, "it")
    providers = options.get("provider_options", [])
    if not isinstance(providers, list) or not all(isinstance(each, dict) for each in providers):
        raise DoubtfulError("provider_options is not a list")
    for each in providers:
        for name in each:
            if name.lower() not in _PROVIDERS:
                raise DoubtfulError("is made for a device that is not known")
            demand_known(part(each, name), _PROVIDER_OPTIONS, "provider_options")
            _demand_figures(part(each, name), _PROVIDER_OPTIONS, "provider_options")


def _demand_window(window: dict[str, Any]) -> None:
    demand_known(window, _WINDOW, "sliding_window")
    for key, value in window.items():
        if key == "layers":
            if not isinstance(value, list) or len(value) > 512:
                raise DoubtfulError("layers is impossible")
            for layer in value:
                number({key: layer}, key, 0, 511)
        elif key == "alignment":
            if value not in ("left", "right"):
                raise DoubtfulError("alignment is impossible")
        elif not isinstance(value, bool):
            number(window, key, 0, 1 << 20)


def _demand_figures(said: dict[str, Any], known: frozenset[str], where: str) -> None:
    """Numbers, yes and no, and single words."""
    demand_known(said, known, where)
    for key, value in said.items():
        if isinstance(value, str):
            if not _WORD.fullmatch(value):
                raise DoubtfulError(f"{key} is impossible")
        elif not isinstance(value, int | float) or not math.isfinite(value) or abs(value) >= 1 << 31:
            raise DoubtfulError(f"{key} is impossible")
