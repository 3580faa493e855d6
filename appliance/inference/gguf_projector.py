"""What the GGUF file of a projector says of itself: the bounded reader of headers, and what else an engine relies on.

The engine's own loader of projectors aborts on a value of another type and believes every number, so both are looked
at here before it gets to see the file.
"""

import math
import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Final

from appliance.inference import gguf
from appliance.inference.gguf import Data, GgufError
from appliance.inference.gguf_header import Header
from appliance.inference.gguf_layout import Layout, Placed, layout
from appliance.inference.projectors import WIDTHS, Projector

ARCHITECTURE: Final = "clip"

_UINT32, _INT32, _FLOAT32, _BOOL, _STRING, _ARRAY = 4, 5, 6, 7, 8, 9
_U32, _FLOATS, _ITEMS = struct.Struct("<I"), struct.Struct("<f"), struct.Struct("<IQ")
_MOST: Final = {
    "vision.image_size": 8192,
    "vision.patch_size": 1024,
    "vision.embedding_length": 1 << 16,
    "vision.attention.head_count": 1024,
    "vision.attention.head_count_kv": 1024,
    "vision.attention.head_dim": 8192,
    "vision.block_count": 1024,
    "vision.image_min_pixels": 1 << 27,
    "vision.image_max_pixels": 1 << 27,
    "vision.preproc_min_tiles": 256,
    "vision.preproc_max_tiles": 256,
    "vision.preproc_image_size": 1 << 14,
    "vision.projector.scale_factor": 64,
    "vision.spatial_merge_size": 64,
    "vision.window_size": 4096,
    "vision.sam.block_count": 1024,
}
"""Numbers that decide how much an engine sets out to compute."""
_MOST_ELSEWHERE: Final = 1 << 24
_PATCHES_MAX: Final = 1 << 16
_KINDS: Final = {
    **dict.fromkeys((name.partition(".")[2] for name in _MOST), _UINT32),
    **dict.fromkeys(
        (
            "feed_forward_length", "projection_dim", "projector.query_side", "projector.window_side", "n_wa_pattern",
            "sam.head_count", "sam.embedding_length", "expert_used_count", "minicpmv_query_num",
        ),
        _UINT32,
    ),
    **dict.fromkeys(("has_vision_encoder", "has_audio_encoder", "has_gen_audio_encoder"), _BOOL),
    **dict.fromkeys(("use_gelu", "use_silu"), _BOOL),
    **dict.fromkeys(("attention.layer_norm_epsilon", "swiglu_clamp"), _FLOAT32),
    **dict.fromkeys(("projector_type", "mm_patch_merge_type", "image_resize_algo"), _STRING),
    **dict.fromkeys(("image_mean", "image_std", "feature_layer", "image_grid_pinpoints"), _ARRAY),
    **dict.fromkeys(("wa_layer_indexes", "wa_pattern_mode", "projector.spatial_offsets"), _ARRAY),
    "minicpmv_version": _INT32,
}  # fmt: skip
"""What the engine takes each entry for, by the end of its name; it never asks for others."""
_ITEM_KINDS: Final = {"image_mean": _FLOAT32, "image_std": _FLOAT32}
_ITEMS_MAX, _ITEM_MAX = 1024, 1 << 16
_BLOCK: Final = re.compile(r"v\.blk\.(\d{1,6})\.([a-z_0-9]+)\.(weight|bias)")
_OTHER_BLOCKS: Final = frozenset({"gemma3nv", "yasa2"})
"""Kinds whose blocks are no attention."""


def parse(data: Data, size: int) -> Header:
    """The header of a GGUF file as `gguf.parse` reads it, with the projector that it is, if it is one.

    Raises:
        GgufError: for everything that is not right; never anything else.
    """
    header = gguf.parse(data, size)
    if header.architecture != ARCHITECTURE:
        return header
    return replace(header, projector=_Reading(layout(data)).projector())


@dataclass(frozen=True)
class _Reading:
    found: Layout

    def projector(self) -> Projector:
        for key, raw in self.found.entries.items():
            if key.startswith(f"{ARCHITECTURE}."):
                _demand_kind(key.removeprefix(f"{ARCHITECTURE}."), raw)
        if not self._flag("has_vision_encoder") or self._flag("has_gen_audio_encoder"):
            raise GgufError("is not for pictures")
        kind = self.found.text("clip.projector_type") or self.found.text("clip.vision.projector_type")
        if kind not in WIDTHS:
            raise GgufError("is a projector of a kind that is not known")
        blocks = self._number("block_count", 0)
        side, width = self._number("image_size", 0), self._number("embedding_length", 1)
        self._demand_picture(side)
        if kind not in _OTHER_BLOCKS:
            self._demand_blocks(blocks, width)
        return Projector(kind=kind, width=self._width(kind), blocks=blocks, side=side)

    def _width(self, kind: str) -> int:
        name, side = WIDTHS[kind]
        tensors = {tensor.name: tensor for tensor in self.found.tensors}
        if kind == "mlp" and "mm.3.weight" in tensors:
            name, side = "mm.3.bias", 0
        tensor = tensors.get(name)
        if tensor is None or len(tensor.sides) <= side:
            raise GgufError("lacks the tensor that its vectors come out of")
        return tensor.sides[side]

    def _demand_picture(self, side: int) -> None:
        patch = self._number("patch_size", 1)
        if side and not patch <= side <= patch * math.isqrt(_PATCHES_MAX):
            raise GgufError("cuts pictures into impossible pieces")
        least, most = (self._number(f"image_{end}_pixels", 0, needed=False) for end in ("min", "max"))
        if most and least > most:
            raise GgufError("wants pictures of no possible size")
        if any(len(self._floats(f"image_{name}")) < 3 for name in ("mean", "std")) or 0 in self._floats("image_std"):
            raise GgufError("has no scale of colours")

    def _demand_blocks(self, blocks: int, width: int) -> None:
        """Layers of attention whose tensors fit together: an engine multiplies without looking."""
        heads, own = self._number("attention.head_count", 0), self._number("attention.head_dim", 0, needed=False)
        if blocks and (not heads or (not own and width % heads)):
            raise GgufError("has an impossible number of heads")
        for number, tensors in groupby(sorted(self._of_blocks()), key=lambda entry: entry[0]):
            if number >= blocks:
                raise GgufError("has more layers than it says")
            _demand_block({name: sides for _number, name, sides in tensors}, width)

    def _of_blocks(self) -> Iterator[tuple[int, str, tuple[int, ...]]]:
        for tensor in self.found.tensors:
            if name := _BLOCK.fullmatch(tensor.name):
                yield int(name[1]), f"{name[2]}.{name[3]}", _without_ones(tensor)

    def _number(self, name: str, least: int, *, needed: bool = True) -> int:
        raw = self.found.entries.get(f"clip.vision.{name}")
        if raw is None and not needed:
            return 0
        value = -1 if raw is None else int(_U32.unpack_from(raw, 4)[0])
        if value < least:
            raise GgufError("a number that the projector can't do without is missing or impossible")
        return value

    def _flag(self, name: str) -> bool:
        return self.found.entries.get(f"clip.{name}", b"\0")[-1:] != b"\0"

    def _floats(self, name: str) -> tuple[float, ...]:
        raw = self.found.entries.get(f"clip.vision.{name}", b"")
        return tuple(value for (value,) in _FLOATS.iter_unpack(raw[16:]))


def _demand_kind(name: str, raw: bytes) -> None:
    """An entry has the type that the engine takes it for, and no number beyond all bounds."""
    ending = name.partition(".")[2] if name.startswith(("vision.", "audio.", "gen.")) else name
    if ending not in _KINDS:
        return
    kind = _U32.unpack_from(raw)[0]
    if kind != _KINDS[ending]:
        raise GgufError("has an entry of the wrong type")
    if kind == _UINT32 and _U32.unpack_from(raw, 4)[0] > _MOST.get(name, _MOST_ELSEWHERE):
        raise GgufError("says a number that no projector has")
    if kind == _FLOAT32 and not 0 < _FLOATS.unpack_from(raw, 4)[0] < 1e6:  # also where it is no number at all
        raise GgufError("says a number that no projector has")
    if kind == _ARRAY:
        _demand_items(ending, raw)


def _demand_items(ending: str, raw: bytes) -> None:
    kind, count = _ITEMS.unpack_from(raw, 4)
    if kind != _ITEM_KINDS.get(ending, _INT32) or count > _ITEMS_MAX:
        raise GgufError("has a list of the wrong type or length")
    form = "f" if kind == _FLOAT32 else "i"
    if not all(
        math.isfinite(value) and abs(value) <= 1 << 16 for value in struct.unpack_from(f"<{count}{form}", raw, 16)
    ):
        raise GgufError("says a number that no projector has")


def _demand_block(sides: dict[str, tuple[int, ...]], width: int) -> None:
    for name in ("ln1", "ln2"):
        if any(sides.get(f"{name}.{part}", (width,)) != (width,) for part in ("weight", "bias")):
            raise GgufError("has layers that don't fit together")
    into = [sides[f"attn_{part}.weight"] for part in ("q", "k", "v", "qkv") if f"attn_{part}.weight" in sides]
    out = sides.get("attn_out.weight", (0,))
    if not into or any(shape[0] != width for shape in into) or out[-1] != width:
        raise GgufError("has layers that don't fit together")
    for name, shape in sides.items():
        beside = sides.get(name.removesuffix("bias") + "weight")
        if name.startswith(("attn_", "ffn_")) and name.endswith(".bias") and beside and shape != beside[-1:]:
            raise GgufError("has layers that don't fit together")
    up, down = sides.get("ffn_up.weight"), sides.get("ffn_down.weight")
    if up and down and (len(up) != 2 or up != down[::-1] or width not in up):
        raise GgufError("has layers that don't fit together")


def _without_ones(tensor: Placed) -> tuple[int, ...]:
    """Its sides, but for ones at the end, which change nothing."""
    sides = list(tensor.sides)
    while len(sides) > 1 and sides[-1] == 1:
        sides.pop()
    return tuple(sides)
