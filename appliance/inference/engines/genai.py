"""The opt-in engine for chat models on onnxruntime, with onnxruntime-genai: on the CPU, or on CUDA in its GPU flavour.

The runtime checks little of what a folder says, so it sees only folders that our own readers have read, see `genai`
and `genai_config`. Of the folder's own wishes for sampling and devices none counts.
"""

import json
import mmap
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from appliance.inference import child_http, genai, genai_config, hf_tokenizer, onnx_header
from appliance.inference.engine import EngineLoadError, EngineSpec, Loaded, ProviderError
from appliance.inference.engines.conversation import Conversation, Mark, Part
from appliance.inference.engines.one_by_one import OneByOne, Steps, number, wants_form
from appliance.inference.genai_config import GenaiConfig
from appliance.inference.hf_tokenizer import Words
from appliance.inference.json_reader import DoubtfulError
from appliance.inference.onnx_fields import OnnxError

_BATCH: Final = 32
"""Tokens computed between two looks at the connection. Always the same: where they are cut changes the last digits."""

_ANY_JSON: Final = {"type": "object"}


class GenaiEngine(OneByOne):
    """One answer at a time: two would only share the same cores."""

    def __init__(self) -> None:
        super().__init__()
        self._runtime: Any = None
        self._model: Any = None
        self._tokenizer: Any = None
        self._coding = threading.Lock()
        self._words = Words("", "", "")
        self._begin: list[int] = []
        """Tokens that go before every text."""
        self._ends: frozenset[int] = frozenset()

    def serve(self, spec: EngineSpec) -> Loaded:
        if spec.kind != "chat":
            raise EngineLoadError("this engine runs chat models only")
        config, self._words = _checked(Path(spec.folder))
        self._conversation = Conversation(spec.template or self._words.template)
        self._runtime = _imported()
        self._model, provider = _loaded(self._runtime, spec)
        try:
            self._tokenizer = self._runtime.Tokenizer(self._model)
            self._begin = self._beginning()
        except RuntimeError as error:
            raise EngineLoadError(str(error)) from error
        self._ends = frozenset(config.ends)
        self._limit = min(spec.context, config.context)
        child_http.serve(spec.socket, spec.api_key, spec.model, self)
        return Loaded(provider=provider, context=self._limit)

    def _beginning(self) -> list[int]:
        """What the tokenizer puts before a text by itself; from then on it leaves that to us."""
        whole = self._encode("a")
        self._tokenizer.update_options(add_special_tokens="false")
        bare = self._encode("a")
        return next((whole[:place] for place in range(len(whole)) if whole[place : place + len(bare)] == bare), [])

    def _encode(self, text: str) -> list[int]:
        with self._coding:
            return [int(token) for token in self._tokenizer.encode(text.replace("\0", ""))]

    def _prompt(self, parts: Sequence[Part]) -> list[int]:
        marks = {Mark.BEGIN: self._words.begin, Mark.END: self._words.end}
        tokens = self._encode("".join(marks[part] if isinstance(part, Mark) else part for part in parts))
        return tokens if tokens[: len(self._begin)] == self._begin else self._begin + tokens

    def _bare(self, text: str) -> list[int]:
        return self._begin + self._encode(text)

    def _steps(self, tokens: list[int], body: dict[str, Any], most: int) -> Steps:
        if not tokens:
            raise ValueError("prompt: there is nothing to go on from")
        parameters = self._runtime.GeneratorParams(self._model)
        longest = len(tokens) + most
        least = longest if body.get("ignore_eos") else 0
        try:
            parameters.set_search_options(max_length=longest, min_length=least, **_sampling(body))
            if wants_form(body):
                parameters.set_guidance("json_schema", json.dumps(_schema(body["response_format"])))
        except RuntimeError as error:
            raise ValueError(f"a parameter that the engine refuses: {error}") from error
        return self._compute(parameters, tokens)

    def _compute(self, parameters: Any, tokens: list[int]) -> Steps:
        try:
            generator = self._runtime.Generator(self._model, parameters)
        except RuntimeError as error:
            raise ValueError(f"response_format: the engine refuses it: {error}") from error
        for start in range(0, len(tokens), _BATCH):
            generator.append_tokens(tokens[start : start + _BATCH])
            yield None
        letters = self._tokenizer.create_stream()
        while not generator.is_done():
            generator.generate_next_token()
            token = int(generator.get_next_tokens()[0])
            if token in self._ends:
                return
            yield letters.decode(token).encode()


def _sampling(body: dict[str, Any]) -> dict[str, Any]:
    """How the next token is picked, with llama.cpp's defaults, in the runtime's terms: nothing is left to the folder.

    Raises:
        TypeError: not a number.
    """
    temperature = number(body, "temperature", 0.8)
    seed = int(number(body, "seed", -1))
    return {
        "do_sample": temperature > 0,
        "temperature": max(temperature, 0.01),
        "top_k": max(int(number(body, "top_k", 40)), 0) if temperature > 0 else 1,
        "top_p": min(max(number(body, "top_p", 0.95), 0.0), 1.0) if temperature > 0 else 1.0,
        "repetition_penalty": max(number(body, "repeat_penalty", 1.0), 0.01),
        "random_seed": seed & 0x7FFFFFFF if seed >= 0 else -1,
        "batch_size": 1,
        "num_beams": 1,
        "num_return_sequences": 1,
        "no_repeat_ngram_size": 0,
        "diversity_penalty": 0.0,
        "length_penalty": 1.0,
    }


def _schema(form: dict[str, Any]) -> dict[str, Any]:
    """Raises ValueError unless it asks for JSON."""
    if form.get("type") == "json_object":
        return _ANY_JSON
    described = form.get("json_schema")
    schema = described.get("schema") if isinstance(described, dict) else None
    if form.get("type") != "json_schema" or not isinstance(schema, dict):
        raise ValueError("response_format must be json_object, or json_schema with a schema")
    return schema


def _checked(folder: Path) -> tuple[GenaiConfig, Words]:
    """What a folder says that the runtime can be given: once more, since a manifest may come by hand."""
    try:
        config = genai_config.parse(_bytes(folder / genai.CONFIG, genai_config.FILE_BYTES))
        tokens = hf_tokenizer.size(_bytes(folder / genai.TOKENIZER, hf_tokenizer.VOCABULARY_BYTES))
        template = folder / genai.TEMPLATE
        words = hf_tokenizer.words(
            _bytes(folder / genai.TOKENIZER_CONFIG, hf_tokenizer.CONFIG_BYTES),
            _bytes(template, hf_tokenizer.TEMPLATE_BYTES) if template.exists() else None,
        )
        with (folder / config.file).open("rb") as file, mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as data:
            header = onnx_header.parse(data, len(data))
    except (DoubtfulError, OnnxError, OSError, ValueError) as error:
        raise EngineLoadError(f"not for this engine: {error}") from error
    if reason := genai.obstacle(config, header, tokens):
        raise EngineLoadError(f"not for this engine: {reason}")
    return config, words


def _bytes(path: Path, longest: int) -> bytes:
    """Not more than one too many: that is refused by who reads them."""
    with path.open("rb") as file:
        return file.read(longest + 1)


def _imported() -> Any:
    try:
        import onnxruntime_genai
    except (ImportError, OSError) as error:
        raise EngineLoadError("the package onnxruntime-genai, the extra `genai`, is not installed") from error
    return onnxruntime_genai


def _loaded(runtime: Any, spec: EngineSpec) -> tuple[Any, str]:
    """The model, and what it really computes on."""
    wishes = ("cpu",) if spec.provider == "cpu" else ("cuda", "cpu")
    reasons: list[str] = []
    for provider in wishes:
        if provider == "cuda" and not runtime.is_cuda_available():
            reasons.append("cuda: not in this flavour")
            continue
        try:
            model = runtime.Model(_configuration(runtime, spec, provider))
        except RuntimeError as error:
            reasons.append(f"{provider}: {error}")
            continue
        used = str(model.device_type).lower()
        if used == provider:
            if spec.provider == "cuda" != used:  # the folder is right: without CUDA it can be opened
                raise ProviderError("; ".join(reasons))
            if reasons:
                sys.stderr.write(f"runs on {used}: {'; '.join(reasons)}\n")
            return model, used
        reasons.append(f"{provider}: {used} is what works")
    raise EngineLoadError("; ".join(reasons))


def _configuration(runtime: Any, spec: EngineSpec, provider: str) -> Any:
    configuration = runtime.Config(spec.folder)
    configuration.clear_providers()
    if provider != "cpu":
        configuration.append_provider(provider)
    options = {
        "intra_op_num_threads": spec.threads,
        "inter_op_num_threads": 1,
        "session.intra_op.allow_spinning": "0",
        "log_severity_level": 3,
    }
    configuration.overlay(json.dumps({"model": {"decoder": {"session_options": options}}}))
    return configuration
