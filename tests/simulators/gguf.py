"""Writes GGUF files: any header a test wants, and a whole tiny llama with random weights that really answers."""

import struct
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

U32, F32, STRING, ARRAY, I32, U64 = 4, 6, 8, 9, 5, 10
_FORMS = {0: "<B", 1: "<b", 2: "<H", 3: "<h", U32: "<I", I32: "<i", F32: "<f", 7: "<?", U64: "<Q", 11: "<q", 12: "<d"}


class Value(NamedTuple):
    """A value of a type that isn't the obvious one."""

    kind: int
    value: Any


class Tensor(NamedTuple):
    """`sides` in GGUF's order, the row length first; `offset` where it isn't the next free place."""

    name: str
    sides: Sequence[int]
    kind: int = 0
    data: bytes = b""
    offset: int | None = None


def text(value: str | bytes) -> bytes:
    raw = value.encode() if isinstance(value, str) else value
    return struct.pack("<Q", len(raw)) + raw


def _kind(value: Any) -> int:
    if isinstance(value, str):
        return STRING
    return F32 if isinstance(value, float) else U32


def _encoded(value: Any) -> bytes:
    """Type and value."""
    if isinstance(value, Value):
        if value.kind == ARRAY:
            kind, items = value.value
            return struct.pack("<IIQ", ARRAY, kind, len(items)) + b"".join(_plain(kind, item) for item in items)
        return struct.pack("<I", value.kind) + _plain(value.kind, value.value)
    if isinstance(value, list):
        return _encoded(Value(ARRAY, (_kind(value[0]), value)))
    return struct.pack("<I", _kind(value)) + _plain(_kind(value), value)


def _plain(kind: int, value: Any) -> bytes:
    return text(value) if kind == STRING else struct.pack(_FORMS[kind], value)


def build(
    entries: Mapping[str, Any], tensors: Sequence[Tensor], *, version: int = 3, counts: tuple[int, int] | None = None
) -> bytes:
    """The bytes of a file; `counts` lies about the number of tensors and entries."""
    alignment = 32
    many, few = counts or (len(tensors), len(entries))
    header = b"GGUF" + struct.pack("<IQQ", version, many, few)
    header += b"".join(text(key) + _encoded(value) for key, value in entries.items())
    body, size = [], 0
    for tensor in tensors:
        place = size if tensor.offset is None else tensor.offset
        header += text(tensor.name) + struct.pack("<I", len(tensor.sides))
        header += b"".join(struct.pack("<Q", side) for side in tensor.sides) + struct.pack("<IQ", tensor.kind, place)
        body += [tensor.data, bytes(-len(tensor.data) % alignment)]
        size += len(tensor.data) + len(body[-1])
    return b"".join([header, bytes(-len(header) % alignment), *body])


WIDTH, HEADS, INNER, CONTEXT = 32, 2, 64, 512
WORDS = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256)), "▁", *"abcdefghijklmnopqrstuvwxyz"]


def entries(**changes: Any) -> dict[str, Any]:
    """What a tiny llama says of itself; a change to None leaves an entry out, `__` stands for a dot."""
    said: dict[str, Any] = {
        "general.architecture": "llama",
        "general.name": "Tiny Llama",
        "general.license": "cc0-1.0",
        "general.languages": ["en", "ja"],
        "general.file_type": 0,
        "llama.block_count": 1,
        "llama.context_length": CONTEXT,
        "llama.embedding_length": WIDTH,
        "llama.feed_forward_length": INNER,
        "llama.attention.head_count": HEADS,
        "llama.attention.head_count_kv": HEADS,
        "llama.attention.layer_norm_rms_epsilon": 1e-5,
        "llama.rope.dimension_count": WIDTH // HEADS,
        "tokenizer.ggml.model": "llama",
        "tokenizer.ggml.tokens": WORDS,
        "tokenizer.ggml.scores": [-float(place) for place in range(len(WORDS))],
        "tokenizer.ggml.token_type": Value(ARRAY, (I32, [2, 3, 3, *[6] * 256, *[1] * 27])),
        "tokenizer.ggml.bos_token_id": 1,
        "tokenizer.ggml.eos_token_id": 2,
        "tokenizer.ggml.unknown_token_id": 0,
        "tokenizer.chat_template": "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}assistant:",
    }
    said |= {key.replace("__", "."): value for key, value in changes.items()}
    return {key: value for key, value in said.items() if value is not None}


def tensors(seed: int = 1) -> list[Tensor]:
    """Random weights."""
    random = np.random.default_rng(seed)

    def matrix(name: str, *sides: int) -> Tensor:
        weights = random.normal(0, 0.1, sides[::-1]).astype("<f4")
        return Tensor(f"{name}.weight", sides, data=weights.tobytes())

    def ones(name: str) -> Tensor:
        return Tensor(f"{name}.weight", (WIDTH,), data=np.ones(WIDTH, "<f4").tobytes())

    return [
        matrix("token_embd", WIDTH, len(WORDS)),
        ones("output_norm"),
        matrix("output", WIDTH, len(WORDS)),
        ones("blk.0.attn_norm"),
        *(matrix(f"blk.0.attn_{part}", WIDTH, WIDTH) for part in ("q", "k", "v", "output")),
        ones("blk.0.ffn_norm"),
        matrix("blk.0.ffn_gate", WIDTH, INNER),
        matrix("blk.0.ffn_up", WIDTH, INNER),
        matrix("blk.0.ffn_down", INNER, WIDTH),
    ]


def tiny_lora(path: Path, *, rank: int = 4, width: int | None = None, **changes: Any) -> Path:
    """An adapter for `tiny_llama` that changes what it answers; with another `width` one that doesn't fit."""
    random, width = np.random.default_rng(5), width or WIDTH

    def matrix(name: str, *sides: int) -> Tensor:
        return Tensor(name, sides, data=random.normal(0, 0.1, sides[::-1]).astype("<f4").tobytes())

    said: dict[str, Any] = {
        "general.architecture": "llama",
        "general.type": "adapter",
        "adapter.type": "lora",
        "adapter.lora.alpha": 8.0,
    }
    said |= {key.replace("__", "."): value for key, value in changes.items()}
    parts = [
        matrix("blk.0.attn_q.weight.lora_a", width, rank),
        matrix("blk.0.attn_q.weight.lora_b", rank, width),
        matrix("output.weight.lora_a", width, rank),
        matrix("output.weight.lora_b", rank, len(WORDS)),
    ]
    path.write_bytes(build(said, parts))
    return path


def tiny_llama(path: Path, *, seed: int = 1, **changes: Any) -> Path:
    """A file that llama.cpp loads and that answers nonsense."""
    path.write_bytes(build(entries(**changes), tensors(seed)))
    return path
