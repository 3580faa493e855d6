"""Writes what a model needs to see, and what it is shown: a tiny projector with random weights, and small pictures."""

import base64
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from tests.simulators.gguf import F32, WIDTH, Tensor, Value, build

SIDE, PATCH = 32, 8
TOKENS = (SIDE // PATCH) ** 2
"""That a picture takes with `tiny_projector`."""
_INNER, _LAYERS = 16, 2
BOOL, ARRAY = 7, 9


def projector_entries(**changes: Any) -> dict[str, Any]:
    """What a projector says of itself; a change to None leaves an entry out, `__` stands for a dot."""
    said: dict[str, Any] = {
        "general.architecture": "clip",
        "general.type": "mmproj",
        "general.name": "Tiny Eye",
        "general.file_type": 0,
        "clip.has_vision_encoder": Value(BOOL, True),
        "clip.projector_type": "mlp",
        "clip.use_gelu": Value(BOOL, True),
        "clip.vision.image_size": SIDE,
        "clip.vision.patch_size": PATCH,
        "clip.vision.embedding_length": _INNER,
        "clip.vision.feed_forward_length": 2 * _INNER,
        "clip.vision.projection_dim": WIDTH,
        "clip.vision.block_count": _LAYERS,
        "clip.vision.attention.head_count": 2,
        "clip.vision.attention.layer_norm_epsilon": 1e-5,
        "clip.vision.image_mean": Value(ARRAY, (F32, [0.5, 0.5, 0.5])),
        "clip.vision.image_std": Value(ARRAY, (F32, [0.5, 0.5, 0.5])),
    }
    said |= {key.replace("__", "."): value for key, value in changes.items()}
    return {key: value for key, value in said.items() if value is not None}


def projector_tensors(width: int = WIDTH, seed: int = 3) -> list[Tensor]:
    """Random weights for vectors of `width` numbers."""
    random = np.random.default_rng(seed)

    def values(name: str, *sides: int) -> Tensor:
        return Tensor(name, sides, data=random.normal(0, 0.3, sides[::-1]).astype("<f4").tobytes())

    def layer(at: int) -> list[Tensor]:
        square = [(part, _INNER, _INNER) for part in ("attn_q", "attn_k", "attn_v", "attn_out")]
        wide = [("ffn_up", _INNER, 2 * _INNER), ("ffn_down", 2 * _INNER, _INNER)]
        norms = [values(f"v.blk.{at}.{part}.{kind}", _INNER) for part in ("ln1", "ln2") for kind in ("weight", "bias")]
        return norms + [
            tensor
            for part, row, rows in square + wide
            for tensor in (values(f"v.blk.{at}.{part}.weight", row, rows), values(f"v.blk.{at}.{part}.bias", rows))
        ]

    return [
        values("v.patch_embd.weight", PATCH, PATCH, 3, _INNER),
        values("v.position_embd.weight", _INNER, TOKENS),
        *(tensor for at in range(_LAYERS) for tensor in layer(at)),
        values("mm.0.weight", _INNER, width),
        values("mm.0.bias", width),
        values("mm.2.weight", width, width),
        values("mm.2.bias", width),
    ]


def tiny_projector(path: Path, *, width: int = WIDTH, **changes: Any) -> Path:
    """A projector for `gguf.tiny_llama`, so that llama.cpp sees; with another `width` one that doesn't fit."""
    path.write_bytes(build(projector_entries(**changes), projector_tensors(width)))
    return path


def png(colour: tuple[int, int, int] = (200, 30, 30), width: int = 24, height: int = 16) -> bytes:
    """A real picture of one colour."""
    rows = (b"\0" + bytes(colour) * width) * height
    return png_of(width, height, zlib.compress(rows))


def png_of(width: int, height: int, data: bytes, *, depth: int = 8, colours: int = 2, interlaced: int = 0) -> bytes:
    """A PNG file with such a head, whatever `data` is."""
    head = struct.pack(">IIBBBBB", width, height, depth, colours, 0, 0, interlaced)
    return b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", head) + _chunk(b"IDAT", data) + _chunk(b"IEND", b"")


def gif(width: int = 4, height: int = 4) -> bytes:
    """A real picture in two colours."""
    head = b"GIF89a" + struct.pack("<HHBBB", width, height, 0x80, 0, 0) + bytes((0, 0, 0, 255, 255, 255))
    frame = b"," + struct.pack("<HHHHB", 0, 0, width, height, 0)
    codes = [code for _ in range(width * height) for code in (4, 1)]  # clearing the table keeps every code at 3 bits
    bits = sum(code << 3 * at for at, code in enumerate([*codes, 5]))
    packed = bits.to_bytes((3 * (len(codes) + 1) + 7) // 8, "little")
    blocks = b"".join(
        bytes((len(part),)) + part for part in (packed[at : at + 255] for at in range(0, len(packed), 255))
    )
    return head + frame + b"\x02" + blocks + b"\0;"


def jpeg(width: int = 8, height: int = 8, *, kind: int = 0xC0, scans: int = 1) -> bytes:
    """A real grey picture, each block one value; with another `kind` its head says that it is coded otherwise."""

    def segment(marker: int, data: bytes) -> bytes:
        return struct.pack(">BBH", 0xFF, marker, len(data) + 2) + data

    blocks = -(-width // 8) * -(-height // 8)
    one_code = bytes((1, *[0] * 15, 0))  # a table with a single code: 0 for "nothing more"
    data = int("0" * 2 * blocks + "1" * (-2 * blocks % 8), 2).to_bytes(-(-2 * blocks // 8), "big")
    tables = segment(0xDB, bytes((0, *[1] * 64))) + segment(0xC4, b"\0" + one_code) + segment(0xC4, b"\x10" + one_code)
    head = segment(kind, struct.pack(">BHHB", 8, height, width, 1) + bytes((1, 0x11, 0)))
    scan = segment(0xDA, bytes((1, 1, 0, 0, 63, 0))) + data
    return b"\xff\xd8" + tables + head + scans * scan + b"\xff\xd9"


def webp(width: int = 4, height: int = 4) -> bytes:
    """The head of a picture without loss, and no picture."""
    head = b"\x2f" + struct.pack("<I", (width - 1) | (height - 1) << 14)
    body = b"WEBPVP8L" + struct.pack("<I", len(head)) + head + b"\0"
    return b"RIFF" + struct.pack("<I", len(body)) + body


def url(picture: bytes, kind: str = "png") -> str:
    """As programs send it."""
    return f"data:image/{kind};base64,{base64.b64encode(picture).decode()}"


def part(picture: bytes, kind: str = "png") -> dict[str, Any]:
    """In OpenAI's words."""
    return {"type": "image_url", "image_url": {"url": url(picture, kind)}}


def seen(text: str, *pictures: bytes) -> dict[str, Any]:
    """A person's message."""
    return {"role": "user", "content": [{"type": "text", "text": text}, *(part(picture) for picture in pictures)]}


def _chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
