"""Small Llama models with a SentencePiece vocabulary in the form of 2023, for the engine for older models.

Written with the publisher's own package, so that our reader and both engines meet a file that is not ours.
"""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gguf
import numpy as np
from numpy.typing import NDArray

from appliance.inference import manifest as manifests

Matrix = NDArray[np.float32]

WIDTH, HEADS, INNER, CONTEXT = 320, 4, 320, 512
SAYING = ("▁Tokyo", "▁is", "▁the", "▁capital", "▁of", "▁Japan")
"""What the talker says to whatever it is told."""
SAID = "".join(SAYING).replace("▁", " ")

_LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.:"
_SPECIAL = ["<unk>", "<s>", "</s>"]
_BYTES = [f"<0x{byte:02X}>" for byte in range(256)]
_WORDS = ["▁", *SAYING]
WORDS = [*_SPECIAL, *_BYTES, *_WORDS, *_LETTERS]
WORDS += [f"▁w{number}" for number in range(WIDTH - len(WORDS))]
END = WORDS.index("</s>")
UNSAID = len(_SPECIAL) + len(_BYTES)
"""Words below are never said by the random model: what half a letter looks like is each engine's own affair."""

TEMPLATE = "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}assistant:"


def random_llama(path: Path, kind: str = "F16", *, seed: int = 1, layers: int = 2, **changes: Any) -> Path:
    """Random weights: answers nonsense for as long as it is let."""
    random = np.random.default_rng(seed)
    return _write(path, kind, layers, changes, lambda rows, width: random.normal(0, 0.1, (rows, width)))


def talker(path: Path, kind: str = "F16", *, layers: int = 2, **changes: Any) -> Path:
    """Says `SAYING` and ends: each word leads to one other, whatever was before.

    Its layers compute as much as any, and add nothing.
    """
    embeddings = np.eye(WIDTH, dtype=np.float32)
    output = np.zeros((WIDTH, WIDTH), np.float32)
    saying = [WORDS.index(word) for word in SAYING]
    follower = dict.fromkeys(range(WIDTH), saying[0]) | dict(zip(saying, [*saying[1:], END], strict=True))
    for word, following in follower.items():
        output[following, word] = 1
    return _write(path, kind, layers, changes, lambda rows, width: np.zeros((rows, width)), embeddings, output)


def install(models: Path, model: str = "older") -> Path:
    """Put a talker into a store, as an import does; returns its folder."""
    folder = models / model
    folder.mkdir(parents=True)
    file = talker(folder / f"{model}.gguf", layers=6)
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    said = manifests.Manifest(
        id=model, name="Older Llama", kind="chat", engine="ctransformers", entry=file.name,
        files={file.name: manifests.ModelFile(sha256=digest, size=file.stat().st_size)},
        licence="CC0-1.0", source="made for tests", languages=("en",), context=CONTEXT, size_class="small",
    )  # fmt: skip
    (folder / manifests.FILE_NAME).write_text(said.model_dump_json(), "utf-8")
    return folder


def _write(
    path: Path,
    kind: str,
    layers: int,
    changes: dict[str, Any],
    weights: Callable[[int, int], Any],
    embeddings: Matrix | None = None,
    output: Matrix | None = None,
) -> Path:
    """`changes` to None leave something out: `scores`, `output`, `template`; or name another `vocabulary`."""
    writer = gguf.GGUFWriter(path, "llama")
    stored = gguf.GGMLQuantizationType[kind]
    writer.add_name(path.stem)
    writer.add_file_type(int(gguf.LlamaFileType[f"MOSTLY_{kind}"]))
    writer.add_block_count(layers)
    writer.add_context_length(CONTEXT)
    writer.add_embedding_length(WIDTH)
    writer.add_feed_forward_length(INNER)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_dimension_count(WIDTH // HEADS)
    _add_vocabulary(writer, changes)

    def matrix(name: str, rows: int, width: int, given: Matrix | None = None) -> None:
        numbers = np.asarray(weights(rows, width) if given is None else given, np.float32)
        if name == "output" and given is None:
            numbers[:UNSAID] = 0
        writer.add_tensor(f"{name}.weight", gguf.quants.quantize(numbers, stored), raw_dtype=stored)

    def norm(name: str) -> None:
        writer.add_tensor(f"{name}.weight", np.ones(WIDTH, np.float32))

    matrix("token_embd", WIDTH, WIDTH, embeddings)
    norm("output_norm")
    if changes.get("output", True):
        matrix("output", WIDTH, WIDTH, output)
    for layer in range(layers):
        norm(f"blk.{layer}.attn_norm")
        for part in ("q", "k", "v", "output"):
            matrix(f"blk.{layer}.attn_{part}", WIDTH, WIDTH)
        norm(f"blk.{layer}.ffn_norm")
        matrix(f"blk.{layer}.ffn_gate", INNER, WIDTH)
        matrix(f"blk.{layer}.ffn_up", INNER, WIDTH)
        matrix(f"blk.{layer}.ffn_down", WIDTH, INNER)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _add_vocabulary(writer: gguf.GGUFWriter, changes: dict[str, Any]) -> None:
    writer.add_tokenizer_model(changes.get("vocabulary", "llama"))
    if changes.get("vocabulary") == "gpt2":
        writer.add_token_merges(["a b"])
    writer.add_token_list(WORDS)
    if changes.get("scores", True):
        writer.add_token_scores([-float(place) for place in range(len(WORDS))])
    kinds = [2, 3, 3, *[6] * len(_BYTES)]
    writer.add_token_types([*kinds, *[1] * (len(WORDS) - len(kinds))])
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(END)
    writer.add_unk_token_id(0)
    if (template := changes.get("template", TEMPLATE)) is not None:
        writer.add_chat_template(template)
