"""What `genai_config.json` may say, and that everything else is refused whatever it is."""

import copy
import json
import random
from typing import Any

import pytest

from appliance.inference.genai_config import GenaiConfig, parse
from appliance.inference.json_reader import DoubtfulError
from tests.simulators import genai

SMALL = {"layers": 2}


def said(**changes: Any) -> dict[str, Any]:
    model = genai.Llama(
        genai.vocabulary(), lambda *_: ..., changes={k.replace("__", "."): v for k, v in changes.items()}
    )  # type: ignore[arg-type, return-value]
    return genai.config(model)


def read(content: object) -> GenaiConfig:
    return parse(content if isinstance(content, bytes) else json.dumps(content).encode())


def test_a_good_one_says_what_the_model_is() -> None:
    found = read(said(model__eos_token_id=[2, 0]))
    assert found == GenaiConfig(
        architecture="llama",
        file="model.onnx",
        context=512,
        vocabulary=320,
        begin=1,
        ends=(2, 0),
        layers=2,
        heads=1,
        head_size=64,
        inputs=("input_ids", "attention_mask", "position_ids", "past_key_values.%d.key", "past_key_values.%d.value"),
        outputs=("logits", "present.%d.key", "present.%d.value"),
    )
    assert found.cache_bytes_per_token == 2 * 2 * 1 * 64 * 4


def test_what_the_runtimes_own_tool_writes_for_other_models_is_taken() -> None:
    options = [{"cuda": {"enable_cuda_graph": "1", "enable_skip_layer_norm_strict_mode": "1"}}]
    window = {"window_size": 512, "slide_key_value_cache": False, "slide_inputs": False, "layers": [0, 2]}
    found = read(
        said(
            model__type="gemma3_text",
            model__decoder__session_options__provider_options=options,
            model__decoder__sliding_window=window,
            model__decoder__filename="model_q4.onnx",
            search__chunk_size=256,
        )
    )
    assert (found.architecture, found.file) == ("gemma3_text", "model_q4.onnx")


@pytest.mark.parametrize(
    ("path", "value"),
    [
        # code, and files that are written
        ("model.decoder.session_options.custom_ops_library", "x.so"),
        ("model.decoder.session_options.enable_profiling", "x"),
        ("model.decoder.session_options.ep.context_file_path", "x"),
        ("model.decoder.session_options.session.optimized_model_filepath", "x"),
        ("model.decoder.session_options.log_id", "../x"),
        ("model.decoder.session_options.provider_options", [{"qnn": {"backend_path": "x.so"}}]),
        ("model.decoder.session_options.provider_options", [{"cuda": {"tunable_op_path": "x"}}]),
        ("model.decoder.session_options.provider_options", {"cuda": {}}),
        ("model.decoder.run_options", {}),
        # texts that become paths or formats
        ("model.decoder.filename", "../model.onnx"),
        ("model.decoder.filename", "/etc/model.onnx"),
        ("model.decoder.filename", "model.so"),
        ("model.decoder.filename", ".model.onnx"),
        ("model.decoder.inputs.past_key_names", "past.%s"),
        ("model.decoder.inputs.past_key_names", "past.%d.%n"),
        ("model.decoder.inputs.past_key_names", "past.%d.%d"),
        ("model.decoder.inputs.past_key_names", "past"),
        ("model.decoder.inputs.past_key_names", "p" * 100 + "%d"),
        ("model.decoder.outputs.logits", "%d"),
        # numbers that become places and sizes
        ("model.vocab_size", 1 << 40),
        ("model.vocab_size", True),
        ("model.eos_token_id", 320),
        ("model.eos_token_id", -1),
        ("model.eos_token_id", []),
        ("model.eos_token_id", None),
        ("model.pad_token_id", 1 << 31),
        ("model.context_length", 1 << 30),
        ("model.decoder.num_hidden_layers", 0),
        ("model.decoder.num_hidden_layers", 1 << 31),
        ("model.decoder.num_key_value_heads", 1.5),
        ("model.decoder.head_size", -64),
        ("model.decoder.sliding_window", {"layers": [1 << 20]}),
        ("model.decoder.sliding_window", {"window_size": -1}),
        ("search.top_k", 1 << 40),
        ("search.temperature", [1]),
        # other kinds of models
        ("model.type", "whisper"),
        ("model.type", "decoder-pipeline"),
        ("model.vision", {"filename": "v.onnx"}),
        ("model.decoder.pipeline", []),
        ("engine", {}),
        ("model.decoder.inputs.inputs_embeds", "e"),
        ("model.decoder", "text"),
        ("search", []),
    ],
)
def test_what_a_plain_model_does_not_need_is_refused(path: str, value: object) -> None:
    content = said()
    part: Any = content
    *where, key = path.split(".", 3) if path.startswith("model.decoder.session") else path.split(".")
    for name in where:
        part = part[name]
    if value is None:
        del part[key]
    else:
        part[key] = value
    with pytest.raises(DoubtfulError):
        read(content)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b"\xff\xfe",
        b'{"model": NaN}',
        b'{"model": {}, "model": {}}',
        b"[" * 100_000,
        b'{"search": ' + b" " * (1 << 20) + b"{}}",
    ],
)
def test_what_two_readers_could_read_differently_is_refused(data: bytes) -> None:
    with pytest.raises(DoubtfulError):
        parse(data)


def test_a_key_that_comes_twice_anywhere_is_refused() -> None:
    text = json.dumps(said()).replace('"filename": ', '"filename": "other.onnx", "filename": ')
    with pytest.raises(DoubtfulError):
        parse(text.encode())


def test_whatever_is_changed_it_is_taken_or_refused_and_nothing_else() -> None:
    dice = random.Random(3)
    whole = said()
    odd: list[Any] = [None, True, -1, 1 << 70, 1.5, "", "%n", "\0", [], [[]], {}, {"": ""}]
    refused = 0
    for _ in range(600):
        content = copy.deepcopy(whole)
        part: Any = content
        while True:
            key = dice.choice(list(part))
            if not isinstance(part[key], dict) or not part[key] or dice.random() < 0.2:
                part[key] = dice.choice(odd)
                break
            part = part[key]
        try:
            found = read(content)
        except DoubtfulError:
            refused += 1
            continue
        assert 0 < found.vocabulary < 1 << 22
        assert all(0 <= end < found.vocabulary for end in found.ends)
        assert all(name.count("%") == name.count("%d") <= 1 for name in (*found.inputs, *found.outputs))
    assert refused > 300
