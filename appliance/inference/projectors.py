"""A projector: the file beside a chat model's own that turns pictures into what the model reads."""

from dataclasses import dataclass
from typing import Final

WIDTHS: Final[dict[str, tuple[str, int]]] = {
    "mlp": ("mm.2.weight", 1),
    "ldp": ("mm.model.mb_block.1.block.2.1.bias", 0),
    "ldpv2": ("mm.model.peg.0.bias", 0),
    "resampler": ("resampler.proj.weight", 0),
    "adapter": ("adapter.linear.dense_4h_to_h.weight", 1),
    "janus_pro": ("mm.1.bias", 0),
    "minimax_m3": ("mm.merger.fc2.bias", 0),
    "gemma3": ("mm.input_projection.weight", 0),
    "gemma3nv": ("mm.input_projection.weight", 0),
    "gemma4v": ("mm.input_projection.weight", 1),
    "gemma4uv": ("mm.input_projection.weight", 1),
    "internvl": ("mm.model.mlp.3.weight", 1),
    "nemotron_v2_vl": ("mm.model.mlp.3.weight", 1),
    **dict.fromkeys(
        ("qwen2vl_merger", "qwen2.5vl_merger", "qwen2.5o", "qwen3vl_merger", "ling3vl", "exaone4_5", "youtuvl"),
        ("mm.2.bias", 0),
    ),
    **dict.fromkeys(
        (
            "phi4", "pixtral", "lightonocr", "dots_ocr", "dots3note_v", "lfm2", "d1omni_v", "kimivl", "paddleocr",
            "kimik25", "yasa2", "deepseek4v", "cohere2v", "mimovl", "muse-glimmer",
        ),
        ("mm.2.weight", 1),
    ),
    **dict.fromkeys(
        ("idefics3", "llama4", "step3vl", "hunyuanvl", "deepseekocr", "deepseekocr2"), ("mm.model.fc.weight", 1)
    ),
    **dict.fromkeys(("cogvlm", "glm4v", "glm5v", "minicpmv4_6"), ("mm.down.weight", 1)),
}  # fmt: skip
"""The kinds that the engine knows, each with the tensor, and the side of it, that is as long as what it makes."""


@dataclass(frozen=True)
class Projector:
    """What was found in its header, checked."""

    kind: str
    """One of `WIDTHS`."""
    width: int
    """Length of the vectors that it makes: they go into a model whose own are as long."""
    blocks: int
    """Layers."""
    side: int
    """Pixels of the pictures it was trained with; 0 for any."""
