"""GGUF headers: what a good one says, and that a bad one is one clear error whatever is wrong with it."""

import os
import random
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from appliance.errors import ModelFileError
from appliance.inference.examine import examine
from appliance.inference.gguf import GgufError, parse
from appliance.inference.gguf_header import Header
from tests.simulators import gguf
from tests.simulators.gguf import ARRAY, F32, I32, STRING, U32, U64, Tensor, Value

SMALL = [Tensor("a.weight", (32, 2), 2, bytes(36)), Tensor("b.weight", (8,), 0, bytes(32))]
FEW = ["<unk>", "a", "b"]


def small(**changes: Any) -> dict[str, Any]:
    """Entries of a header that is short enough to be tried at every byte."""
    parts = {"tokenizer__ggml__tokens": FEW, "tokenizer__ggml__scores": [0.0, 1.0, 2.0]}
    kinds = {"tokenizer__ggml__token_type": Value(ARRAY, (I32, [2, 1, 1]))}
    return gguf.entries(**{**parts, **kinds, **changes})


def read(entries: dict[str, Any], tensors: list[Tensor] | None = None, **more: Any) -> Header:
    data = gguf.build(entries, SMALL if tensors is None else tensors, **more)
    return parse(data, len(data))


def test_a_good_header_says_what_the_model_is() -> None:
    data = gguf.build(gguf.entries(), gguf.tensors())
    assert parse(data, len(data)) == Header(
        version=3,
        architecture="llama",
        kind="model",
        name="Tiny Llama",
        licence="cc0-1.0",
        languages=("en", "ja"),
        vocabulary="llama",
        vocabulary_size=len(gguf.WORDS),
        context=512,
        blocks=1,
        width=32,
        cache_bytes_per_token=2 * (2 * 16 + 2 * 16),
        parameters=2 * 32 * len(gguf.WORDS) + 3 * 32 + 4 * 32 * 32 + 3 * 32 * 64,
        quantization="F32",
        template=len(gguf.entries()["tokenizer.chat_template"]),
        thinks=False,
        tools=False,
        splits=1,
        pooling="",
        scored=True,
        output=True,
        tensor_types=("F32",),
    )


def test_the_file_type_names_the_quantisation_and_the_largest_tensors_do_where_it_is_missing() -> None:
    assert read(small(general__file_type=15)).quantization == "Q4_K_M"
    for unsaid in (None, 999):
        assert read(small(general__file_type=unsaid)).quantization == "Q4_0"


def test_version_2_is_read_and_others_are_refused() -> None:
    assert read(small(), version=2).version == 2
    for version in (0, 1, 4, 0x03000000, 0xFFFFFFFF):
        with pytest.raises(GgufError):
            read(small(), version=version)


def test_heads_may_be_given_for_each_layer() -> None:
    entries = small(
        llama__block_count=3, llama__attention__head_count=[2, 2, 2], llama__attention__head_count_kv=[2, 0, 1]
    )
    assert read(entries).cache_bytes_per_token == 2 * 3 * (16 + 16)
    with pytest.raises(GgufError):
        read(entries | {"llama.attention.head_count_kv": [2, 2]})


def test_a_model_without_attention_has_no_cache() -> None:
    entries = small(llama__attention__head_count=None, llama__attention__head_count_kv=None)
    assert read(entries).cache_bytes_per_token == 0
    recurrent = {key.replace("llama.", "mamba."): value for key, value in small().items()}
    recurrent |= {"general.architecture": "mamba", "mamba.attention.head_count": 0, "mamba.attention.head_count_kv": 0}
    assert read(recurrent).cache_bytes_per_token == 0


@pytest.mark.parametrize(
    ("key", "value"),
    [
        *[("llama__block_count", value) for value in (None, 0, 2**31 - 1, "1", 1.0, [1], Value(I32, -1), Value(7, 1))],
        *[("llama__context_length", value) for value in (None, 0, 2**32 - 1, Value(U64, 2**64 - 1), Value(I32, -5))],
        *[("llama__embedding_length", value) for value in (None, 0, 2**31)],
        *[("llama__attention__head_count", value) for value in (0, 2**20, "2")],
        ("llama__attention__head_count_kv", Value(I32, -1)),
        ("llama__attention__head_count_kv", Value(ARRAY, (I32, [-1]))),
        ("llama__attention__key_length", 0),
        ("llama__expert_used_count", 2),
        *[("general__architecture", value) for value in (None, "", 7, "x" * 65, "../x", "a b", "ラマ")],
        *[("general__alignment", value) for value in (0, 1, 24, 2**31, "32", Value(U64, 2**63))],
        ("general__name", 3),
        ("split__count", Value(I32, -1)),
        ("tokenizer__ggml__model", 1),
        ("tokenizer__ggml__tokens", None),
        ("tokenizer__ggml__tokens", 5),
        ("tokenizer__ggml__tokens", Value(ARRAY, (STRING, []))),
        ("tokenizer__ggml__tokens", Value(ARRAY, (U32, [1, 2, 3]))),
        ("tokenizer__ggml__scores", [0.0, 1.0]),
        ("tokenizer__ggml__scores", Value(ARRAY, (12, [0.0, 1.0, 2.0]))),
        ("tokenizer__ggml__token_type", Value(ARRAY, (F32, [1.0, 1.0, 1.0]))),
        ("tokenizer__ggml__token_type", Value(ARRAY, (I32, [1] * 4))),
        ("tokenizer__chat_template", ["a"]),
    ],
)
def test_a_value_that_no_model_can_have_is_refused(key: str, value: Any) -> None:
    with pytest.raises(GgufError):
        read(small(**{key: value}))


@pytest.mark.parametrize(
    "tensor",
    [
        Tensor("", (8,), 0, bytes(32)),
        Tensor("n" * 64, (8,), 0, bytes(32)),
        Tensor("a", (), 0),
        Tensor("a", (1,) * 5, 0, bytes(32)),
        Tensor("a", (0,), 0),
        Tensor("a", (2**64 - 1,), 0),
        Tensor("a", (2**32, 2**32, 2**32, 2**32), 0),
        Tensor("a", (8,), 4, bytes(32)),
        Tensor("a", (8,), 999, bytes(32)),
        Tensor("a", (33,), 2, bytes(64)),
        Tensor("a", (8,), 0, bytes(32), offset=1),
        Tensor("a", (8,), 0, bytes(32), offset=2**63),
        Tensor("a", (8,), 0, bytes(32), offset=2**64 - 32),
        Tensor("a", (1000,), 0, bytes(32)),
    ],
)
def test_a_tensor_that_can_not_be_or_lies_outside_is_refused(tensor: Tensor) -> None:
    with pytest.raises(GgufError):
        read(small(), [tensor])


def test_tensors_on_each_others_bytes_or_of_one_name_are_refused() -> None:
    one, other = Tensor("a", (16,), 0, bytes(64)), Tensor("b", (8,), 0, bytes(32))
    assert read(small(), [one, other]).parameters == 24
    for pair in ([one, other._replace(offset=32)], [one, other._replace(name="a")]):
        with pytest.raises(GgufError):
            read(small(), pair)


MANY = len(small())


@pytest.mark.parametrize(
    "counts",
    [(0, MANY), (2, 0), (2**63, MANY), (2, 2**64 - 1), (2**32, 2**32), (3, MANY), (2, MANY + 1), (2, MANY - 1)],
)
def test_impossible_counts_are_refused(counts: tuple[int, int]) -> None:
    with pytest.raises(GgufError):
        read(small(), counts=counts)


@pytest.mark.parametrize("length", [2**20 + 1, 2**40, 2**63, 2**64 - 1])
def test_lengths_that_lie_are_refused_without_taking_memory(length: int) -> None:
    start = b"GGUF" + struct.pack("<IQQ", 3, 1, 1)
    for rest in (
        struct.pack("<Q", length),
        gguf.text("k") + struct.pack("<IQ", STRING, length),
        *(gguf.text("k") + struct.pack("<IIQ", ARRAY, kind, length) for kind in (0, STRING, F32, ARRAY)),
        gguf.text("k") + struct.pack("<IIQQ", ARRAY, STRING, 200, length),
    ):
        data = start + rest + bytes(64)
        with pytest.raises(GgufError):
            parse(data, len(data))


def test_a_key_twice_bad_text_and_nested_lists_are_refused() -> None:
    key = gguf.text("general.name") + struct.pack("<I", STRING)
    for body in (
        (key + gguf.text("a")) * 2,
        (key + gguf.text(b"\xff\xfe")) * 2,
        (gguf.text("k") + struct.pack("<IIQIIQ", ARRAY, ARRAY, 1, ARRAY, ARRAY, 1)) * 2,
        (gguf.text("") + struct.pack("<II", U32, 1)) * 2,
        (gguf.text("k") + struct.pack("<II", 13, 1)) * 2,
    ):
        data = b"GGUF" + struct.pack("<IQQ", 3, 1, 2) + body + bytes(200)
        with pytest.raises(GgufError):
            parse(data, len(data))


def test_cut_off_at_any_byte_it_is_refused() -> None:
    data = gguf.build(small(), SMALL)
    whole = parse(data, len(data))
    assert whole.parameters == 72
    for end in range(len(data)):
        with pytest.raises(GgufError):
            parse(data[:end], end)


def test_whatever_byte_is_changed_it_is_read_or_refused_and_nothing_else() -> None:
    data = gguf.build(small(), SMALL)
    refused = 0
    for place in range(len(data)):
        for bit in (0x01, 0x80, 0xFF):
            changed = bytearray(data)
            changed[place] ^= bit
            refused += not _is_read(bytes(changed))
    assert refused > len(data) // 2


def test_whatever_is_put_together_at_random_it_is_read_or_refused_and_nothing_else() -> None:
    chance = random.Random(20)
    data = gguf.build(small(), SMALL)
    for _ in range(3000):
        changed = bytearray(data)
        for _ in range(chance.randint(1, 8)):
            place = chance.randrange(4, len(data))
            size = chance.choice((1, 4, 8))
            power = struct.pack("<Q", 1 << chance.randrange(64))[:size]
            changed[place : place + size] = chance.choice((bytes(size), b"\xff" * size, chance.randbytes(size), power))
        _is_read(bytes(changed))


def _is_read(data: bytes) -> bool:
    try:
        header = parse(data, len(data))
    except GgufError:
        return False
    assert header.cache_bytes_per_token >= 0
    assert 0 < header.parameters <= 1 << 46
    return True


# -- in its child


def looked_at(path: Path) -> Header:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        return examine(descriptor, path.name)
    finally:
        os.close(descriptor)


def test_the_jailed_child_finds_the_same(tmp_path: Path) -> None:
    path = gguf.tiny_llama(tmp_path / "tiny.gguf")
    assert looked_at(path) == parse(path.read_bytes(), path.stat().st_size)


@pytest.mark.parametrize(
    "write",
    [
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(b"GGUF"),
        lambda path: path.write_bytes(b"PK\x03\x04" + bytes(100)),
        lambda path: path.write_bytes(b"\x80\x04c__builtin__\nexec\n"),
        lambda path: gguf.tiny_llama(path, llama__block_count=0),
    ],
    ids=["empty", "magic only", "zip", "pickle", "no layers"],
)
def test_what_the_child_refuses_is_one_error_with_the_files_name(
    tmp_path: Path, write: Callable[[Path], object]
) -> None:
    path = tmp_path / "bad.gguf"
    write(path)
    with pytest.raises(ModelFileError) as caught:
        looked_at(path)
    assert caught.value.params["name"] == "bad.gguf"
    assert "ended" not in caught.value.detail


def test_a_pipe_is_refused_not_waited_for() -> None:
    ours, theirs = os.pipe()
    try:
        with pytest.raises(ModelFileError):
            examine(ours, "pipe")
    finally:
        os.close(ours)
        os.close(theirs)
