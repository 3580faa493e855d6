"""Folders of chat models as onnxruntime-genai's own tool writes them: small ones, and one made of a Llama GGUF file.

The graph is that of Llama: normed, attention with a rotation by place and a cache of its own, a gated inner layer.
"""

import hashlib
import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from appliance.inference import genai
from appliance.inference import manifest as manifests

Matrix = NDArray[np.float32]

OURS = "com.microsoft"
SAYING = ("ĠTokyo", "Ġis", "Ġthe", "Ġcapital", "Ġof", "ĠJapan")
"""What the talker says to whatever it is told, as its vocabulary writes it."""
SAID = "".join(SAYING).replace("Ġ", " ")
TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}<|im_start|>assistant\n"
)
SPECIAL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
END = 2
WIDTH, HEADS, SHARED, INNER, CONTEXT = 320, 5, 1, 320, 512


@dataclass
class Llama:
    """Sizes, weights and vocabulary."""

    tokens: Sequence[str]
    tensor: Callable[[str, int, int], Matrix]
    """Weights by their names in GGUF files, (rows, width): what comes out, what goes in."""
    merges: Sequence[str] = ("Ġ t",)
    special: Sequence[int] = tuple(range(len(SPECIAL)))
    template: str | None = TEMPLATE
    begin: int = 1
    end: int = END
    width: int = WIDTH
    heads: int = HEADS
    shared: int = SHARED
    """Heads of keys and values."""
    inner: int = INNER
    layers: int = 2
    context: int = CONTEXT
    epsilon: float = 1e-5
    base: float = 10_000.0
    norm: Callable[[str], Matrix] = lambda _name: np.ones(WIDTH, np.float32)
    """The weights of its norms."""
    tied: bool = False
    """Whether words come out by the same weights as they go in."""
    beside: bool = False
    """Whether the weights go into a file of their own."""
    changes: dict[str, Any] = field(default_factory=dict)
    """Of `genai_config.json`: settings by their path, e.g. `model.decoder.filename`; None to leave one out."""

    @property
    def head(self) -> int:
        return self.width // self.heads


def random_llama(folder: Path, *, seed: int = 1, **sizes: Any) -> Path:
    """Random weights: answers nonsense for as long as it is let."""
    random = np.random.default_rng(seed)

    def tensor(name: str, rows: int, width: int) -> Matrix:
        numbers = random.normal(0, 0.1, (rows, width)).astype(np.float32)
        if name == "output.weight":
            numbers[: len(SPECIAL)] = 0
        return numbers

    return write(folder, Llama(vocabulary(), tensor, **sizes))


def talker(folder: Path, **sizes: Any) -> Path:
    """Says `SAYING` and ends: each word leads to one other, whatever was before.

    Its layers compute as much as any, and add nothing.
    """
    words = vocabulary()
    saying = [words.index(word) for word in SAYING]
    follower = dict.fromkeys(range(WIDTH), saying[0]) | dict(zip(saying, [*saying[1:], END], strict=True))

    def tensor(name: str, rows: int, width: int) -> Matrix:
        numbers = np.eye(rows, width) if name == "token_embd.weight" else np.zeros((rows, width))
        if name == "output.weight":
            for word, following in follower.items():
                numbers[following, word] = 1
        return numbers.astype(np.float32)

    return write(folder, Llama(words, tensor, **sizes))


def install(models: Path, model: str = "chat-on-onnx") -> Path:
    """Put a talker into a store, as an import does; returns its folder."""
    folder = talker(models / model, layers=6)
    files = {
        path.name: manifests.ModelFile(sha256=hashlib.sha256(path.read_bytes()).hexdigest(), size=path.stat().st_size)
        for path in sorted(folder.iterdir())
    }
    said = manifests.Manifest(
        id=model, name="Chat on ONNX", kind="chat", engine="genai", entry=genai.CONFIG, files=files,
        licence="CC0-1.0", source="made for tests", languages=("en",), context=CONTEXT, size_class="small",
    )  # fmt: skip
    (folder / manifests.FILE_NAME).write_text(said.model_dump_json(), "utf-8")
    return folder


def of_gguf(file: Path, folder: Path) -> Path:
    """The same model as a Llama GGUF file with a byte-level vocabulary, its weights as floats."""
    reader = gguf.GGUFReader(file)
    stored = {tensor.name: tensor for tensor in reader.tensors}

    def said(name: str) -> Any:
        return reader.fields[name].contents()

    def texts(name: str) -> list[str]:
        found = reader.fields[name]
        return [bytes(found.parts[place]).decode() for place in found.data]

    def tensor(name: str, _rows: int, _width: int) -> Matrix:
        found = stored[name]
        return gguf.quants.dequantize(found.data, found.tensor_type).astype(np.float32, copy=False)

    kinds = reader.fields["tokenizer.ggml.token_type"]
    control = [at for at, place in enumerate(kinds.data) if kinds.parts[place][0] == gguf.TokenType.CONTROL]
    model = Llama(
        tokens=texts("tokenizer.ggml.tokens"),
        merges=texts("tokenizer.ggml.merges"),
        special=control,
        tensor=tensor,
        norm=lambda name: np.array(stored[name].data),
        template=said("tokenizer.chat_template"),
        begin=said("tokenizer.ggml.bos_token_id"),
        end=said("tokenizer.ggml.eos_token_id"),
        width=said("llama.embedding_length"),
        heads=said("llama.attention.head_count"),
        shared=said("llama.attention.head_count_kv"),
        inner=said("llama.feed_forward_length"),
        layers=said("llama.block_count"),
        context=said("llama.context_length"),
        epsilon=said("llama.attention.layer_norm_rms_epsilon"),
        base=said("llama.rope.freq_base"),
        tied="output.weight" not in stored,
        beside=True,
    )
    return write(folder, model)


def write(folder: Path, model: Llama) -> Path:
    """All files of a model."""
    folder.mkdir(parents=True, exist_ok=True)
    _Graph(model).save(folder)
    for name, content in (
        (genai.CONFIG, config(model)),
        (genai.TOKENIZER, _tokenizer(model)),
        (genai.TOKENIZER_CONFIG, _words(model)),
    ):
        (folder / name).write_text(json.dumps(content), "utf-8")
    return folder


def config(model: Llama) -> dict[str, Any]:
    """Its `genai_config.json`, with the changes that the model has."""
    names = {"past": "past_key_values.%d.", "present": "present.%d."}
    inputs, outputs = (
        {f"{when}_key_names": f"{names[when]}key", f"{when}_value_names": f"{names[when]}value"}
        for when in ("past", "present")
    )
    said: dict[str, Any] = {
        "model": {
            "bos_token_id": model.begin, "context_length": model.context, "eos_token_id": model.end,
            "pad_token_id": model.end, "type": "llama", "vocab_size": len(model.tokens),
            "decoder": {
                "session_options": {"log_id": "onnxruntime-genai", "provider_options": []},
                "filename": "model.onnx", "head_size": model.head, "hidden_size": model.width,
                "inputs": {"input_ids": "input_ids", "attention_mask": "attention_mask", **inputs},
                "outputs": {"logits": "logits", **outputs},
                "num_attention_heads": model.heads, "num_hidden_layers": model.layers,
                "num_key_value_heads": model.shared,
            },
        },
        "search": {
            "diversity_penalty": 0.0, "do_sample": True, "early_stopping": True, "length_penalty": 1.0,
            "max_length": model.context, "min_length": 0, "no_repeat_ngram_size": 3, "num_beams": 2,
            "num_return_sequences": 1, "past_present_share_buffer": False, "repetition_penalty": 1.5,
            "temperature": 2.0, "top_k": 50, "top_p": 0.9,
        },
    }  # fmt: skip
    for path, value in model.changes.items():
        *where, key = path.split(".")
        part = said
        for name in where:
            part = part.setdefault(name, {})
        if value is None:
            del part[key]
        else:
            part[key] = value
    return said


def bytes_as_letters() -> list[str]:
    """How byte-level vocabularies write the 256 bytes: as themselves where they can be seen, else from 256 on."""
    seen = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    hidden = iter(range(256, 512))
    return [chr(byte) if byte in seen else chr(next(hidden)) for byte in range(256)]


def vocabulary() -> list[str]:
    """Single bytes, and the words of the talker."""
    tokens = [*SPECIAL, *bytes_as_letters(), *SAYING]
    return [*tokens, *(f"w{number}" for number in range(WIDTH - len(tokens)))]


def _tokenizer(model: Llama) -> dict[str, Any]:
    marks = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    letters = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    return {
        "version": "1.0", "truncation": None, "padding": None, "normalizer": None, "post_processor": None,
        "added_tokens": [{"id": number, "content": model.tokens[number], **marks} for number in model.special],
        "pre_tokenizer": {
            "type": "Sequence", "pretokenizers": [{"type": "Digits", "individual_digits": True}, letters],
        },
        "decoder": letters,
        "model": {
            "type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None,
            "end_of_word_suffix": None, "fuse_unk": False, "byte_fallback": False, "merges": list(model.merges),
            "vocab": {token: number for number, token in enumerate(model.tokens)},
        },
    }  # fmt: skip


def _words(model: Llama) -> dict[str, Any]:
    begin, end = model.tokens[model.begin], model.tokens[model.end]
    said = {
        "tokenizer_class": "GPT2Tokenizer", "add_prefix_space": False, "bos_token": begin, "eos_token": end,
        "unk_token": end, "pad_token": end, "model_max_length": model.context,
    }  # fmt: skip
    return said if model.template is None else {**said, "chat_template": model.template}


class _Graph:
    def __init__(self, model: Llama) -> None:
        self._model = model
        self._nodes: list[onnx.NodeProto] = []
        self._weights: list[onnx.TensorProto] = []
        self._inputs = [self._value(name, TensorProto.INT64, "b", "t") for name in ("input_ids", "attention_mask")]
        self._outputs = [self._value("logits", TensorProto.FLOAT, "b", "t", len(model.tokens))]
        self._places()
        words, width = len(model.tokens), model.width
        embeddings = self._fill("token_embd.weight", model.tensor("token_embd.weight", words, width))
        state = self._node("Gather", [embeddings, "input_ids"], "words")
        for layer in range(model.layers):
            state = self._layer(f"blk.{layer}.", layer, state)
        state = self._normed("output_norm.weight", state)
        if model.tied:
            self._node("MatMul", [state, self._node("Transpose", [embeddings], "output")], "logits")
        else:
            self._matrix(state, "output.weight", words, width, to="logits")

    def save(self, folder: Path) -> None:
        graph = helper.make_graph(self._nodes, "llama", self._inputs, self._outputs, self._weights)
        opsets = [helper.make_opsetid("", 17), helper.make_opsetid(OURS, 1)]
        made = helper.make_model(graph, opset_imports=opsets, ir_version=9)
        beside = {"save_as_external_data": True, "location": "model.onnx.data"} if self._model.beside else {}
        onnx.save(made, str(folder / "model.onnx"), **beside)

    def _layer(self, name: str, layer: int, state: str) -> str:
        model = self._model
        size, shared = model.heads * model.head, model.shared * model.head
        normed = self._normed(f"{name}attn_norm.weight", state)
        asked = [
            self._matrix(normed, f"{name}attn_{part}.weight", rows, model.width)
            for part, rows in (("q", size), ("k", shared), ("v", shared))
        ]
        told = self._attention(name, layer, asked)
        told = self._matrix(told, f"{name}attn_output.weight", model.width, size)
        state = self._node("Add", [state, told], f"{name}attended")
        normed = self._normed(f"{name}ffn_norm.weight", state)
        gate, up = (
            self._matrix(normed, f"{name}ffn_{part}.weight", model.inner, model.width) for part in ("gate", "up")
        )
        opened = self._node("Mul", [gate, self._node("Sigmoid", [gate], f"{name}sigmoid")], f"{name}opened")
        inner = self._node("Mul", [opened, up], f"{name}inner")
        down = self._matrix(inner, f"{name}ffn_down.weight", model.width, model.inner)
        return self._node("Add", [state, down], f"{name}out")

    def _attention(self, name: str, layer: int, asked: list[str]) -> str:
        """GGUF's rotation turns neighbours, not halves."""
        model = self._model
        for kind in ("key", "value"):
            sides = ("b", model.shared, "t", model.head)
            self._inputs.append(self._value(f"past_key_values.{layer}.{kind}", TensorProto.FLOAT, *sides))
            self._outputs.append(self._value(f"present.{layer}.{kind}", TensorProto.FLOAT, *sides))
        past = [f"past_key_values.{layer}.{kind}" for kind in ("key", "value")]
        more = {"num_heads": model.heads, "kv_num_heads": model.shared, "scale": 1 / math.sqrt(model.head)}
        told = [f"{name}told", *(f"present.{layer}.{kind}" for kind in ("key", "value"))]
        node = helper.make_node(
            "GroupQueryAttention", [*asked, *past, "lengths", "total", "cos", "sin"], told, domain=OURS,
            do_rotary=1, rotary_interleaved=1, **more,
        )  # fmt: skip
        self._nodes.append(node)
        return told[0]

    def _places(self) -> None:
        """How long each text is, and how far each place turns."""
        model = self._model
        turns = np.arange(model.context)[:, None] / model.base ** (np.arange(0, model.head, 2)[None] / model.head)
        self._fill("cos", np.cos(turns))
        self._fill("sin", np.sin(turns))
        self._weights.append(numpy_helper.from_array(np.array([1], np.int64), "one"))
        self._node("ReduceSum", ["attention_mask", "one"], "seen", keepdims=0)
        self._node("Cast", [self._node("Sub", ["seen", "one"], "before")], "lengths", to=TensorProto.INT32)
        sides = self._node("Shape", ["attention_mask"], "sides")
        width = self._node("Gather", [sides, "one"], "width")
        self._node("Cast", [width], "total", to=TensorProto.INT32)

    def _normed(self, name: str, state: str) -> str:
        self._fill(name, self._model.norm(name))
        more = {"axis": -1, "epsilon": self._model.epsilon, "stash_type": 1}
        return self._node("SimplifiedLayerNormalization", [state, name], f"{name}.normed", **more)

    def _matrix(self, state: str, name: str, rows: int, width: int, to: str = "") -> str:
        self._fill(name, self._model.tensor(name, rows, width).T)
        return self._node("MatMul", [state, name], to or f"{name}.out")

    def _fill(self, name: str, numbers: NDArray[Any]) -> str:
        self._weights.append(numpy_helper.from_array(np.ascontiguousarray(numbers, np.float32), name))
        return name

    def _node(self, kind: str, inputs: list[str], output: str, **more: Any) -> str:
        self._nodes.append(helper.make_node(kind, inputs, [output], name=output, **more))
        return output

    @staticmethod
    def _value(name: str, kind: int, *sides: str | int) -> onnx.ValueInfoProto:
        return helper.make_tensor_value_info(name, kind, list(sides))
