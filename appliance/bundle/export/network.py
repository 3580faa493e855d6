"""Which encoder a Hugging Face folder holds, by its `config.json` and its tensors, and its weights for the builder."""

import math
from typing import Annotated, Final, Literal

from onnx import TensorProto
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from appliance.bundle.encoder_onnx import Activation, Floats, Graph, Sizes, quantize
from appliance.bundle.export.safetensors import Checkpoint
from appliance.errors import ExportDamagedError, ExportUnsupportedError

Kind = Literal["embedding", "reranker"]

ARCHITECTURES: Final = ("bert", "roberta", "xlm-roberta", "camembert")
_ACTIVATIONS: Final[dict[str, Activation]] = {
    "gelu": "gelu",
    "gelu_new": "gelu_tanh",
    "gelu_pytorch_tanh": "gelu_tanh",
    "relu": "relu",
}
_PREFIXES: Final = ("", "bert.", "roberta.")
"""Before the encoder's names, where a head stands beside it."""
_WORDS: Final = "embeddings.word_embeddings.weight"
_BUFFERS: Final = frozenset({"embeddings.position_ids", "embeddings.token_type_ids"})
"""Counted numbers that some files carry along."""
_NORM: Final = {"w": ("weight", "gamma"), "b": ("bias", "beta")}
_PARTS: Final = {"w": ("weight",), "b": ("bias",)}
_LAYER: Final = {
    "q": "attention.self.query",
    "k": "attention.self.key",
    "v": "attention.self.value",
    "ao": "attention.output.dense",
    "aln": "attention.output.LayerNorm",
    "fi": "intermediate.dense",
    "fo": "output.dense",
    "oln": "output.LayerNorm",
}
_BERT_HEAD: Final = {"head.in": "pooler.dense", "head.out": "classifier"}
_ROBERTA_HEAD: Final = {"head.in": "classifier.dense", "head.out": "classifier.out_proj"}
_LABELS: Final = (1, 2)
_LARGEST_WORD: Final = 127

_Side = Annotated[int, Field(gt=0, lt=1 << 21, strict=True)]


class Settings(BaseModel):
    """What the network needs of a `config.json`, within bounds."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    model_type: str = Field(max_length=64)
    hidden_size: int = Field(gt=0, le=8192, strict=True)
    num_hidden_layers: int = Field(gt=0, le=128, strict=True)
    num_attention_heads: int = Field(gt=0, le=256, strict=True)
    intermediate_size: int = Field(gt=0, le=65_536, strict=True)
    vocab_size: _Side
    max_position_embeddings: _Side
    type_vocab_size: int = Field(2, gt=0, le=256, strict=True)
    pad_token_id: int = Field(1, ge=0, lt=1 << 21, strict=True)
    layer_norm_eps: float = Field(1e-12, gt=0, lt=1)
    hidden_act: str = Field("gelu", max_length=64)
    position_embedding_type: str = Field("absolute", max_length=64)
    is_decoder: bool = False
    add_cross_attention: bool = False

    def demand_known(self, name: str) -> None:
        """Raises ExportUnsupportedError for a network that this module doesn't describe."""
        known = (
            self.model_type in ARCHITECTURES
            and self.hidden_act in _ACTIVATIONS
            and self.position_embedding_type == "absolute"
            and not (self.is_decoder or self.add_cross_attention)
            and self.hidden_size % self.num_attention_heads == 0
            and self.max_position_embeddings > self.skipped
        )
        if not known:
            raise ExportUnsupportedError(f"{self.model_type[:40]}, {self.hidden_act[:40]}", name=name)

    @property
    def skipped(self) -> int:
        """Places that no token takes: RoBERTa counts from behind the padding token's number on."""
        return 0 if self.model_type == "bert" else self.pad_token_id + 1


def settings(data: bytes, name: str) -> Settings:
    """Those of a `config.json`.

    Raises:
        ExportDamagedError: not of this form, or nothing can be so large.
    """
    try:
        return Settings.model_validate_json(data)
    except (ValidationError, ValueError) as error:
        raise ExportDamagedError(f"settings: {type(error).__name__}", name=name) from error


class Network:
    """An `encoder_onnx.Encoder` over a checkpoint.

    Raises:
        ExportUnsupportedError: other tensors than such a network has, a classifier that nobody called an embedding
            model, or no head where a reranker is wished for.
    """

    def __init__(self, checkpoint: Checkpoint, settings: Settings, wish: Kind | None, name: str) -> None:
        """`name`: the folder's, for people."""
        settings.demand_known(name)
        self._checkpoint, self._settings, self._name = checkpoint, settings, name
        there = [prefix for prefix in _PREFIXES if prefix + _WORDS in checkpoint.shapes]
        if len(there) != 1:
            raise ExportUnsupportedError(f"{len(there)} tables of words", name=name)
        self._prefix = there[0]
        self._head = _BERT_HEAD if settings.model_type == "bert" else _ROBERTA_HEAD
        if self._prefix and settings.model_type == "bert":
            self._head = {**self._head, "head.in": self._prefix + self._head["head.in"]}
        self._demand_nothing_else()
        self.kind = self._kind(wish)
        self.takes_types = self.kind == "reranker" and settings.type_vocab_size > 1
        """Whether `token_type_ids` goes in too: what reads pairs may tell the second text by it."""

    @property
    def sizes(self) -> Sizes:
        said = self._settings
        return Sizes(
            hidden=said.hidden_size,
            layers=said.num_hidden_layers,
            heads=said.num_attention_heads,
            feed_forward=said.intermediate_size,
            epsilon=said.layer_norm_eps,
            activation=_ACTIVATIONS[said.hidden_act],
        )

    @property
    def labels(self) -> int:
        """What a head tells apart; 0 if there is none of the known form."""
        hidden = self._settings.hidden_size
        out = self._checkpoint.shapes.get(f"{self._head['head.out']}.weight", (0, 0))
        inner = self._checkpoint.shapes.get(f"{self._head['head.in']}.weight")
        return out[0] if inner == (hidden, hidden) and len(out) == 2 and out[1] == hidden else 0

    @property
    def parameters(self) -> int:
        """Numbers in all tensors that come along."""
        own = (sides for name, sides in self._checkpoint.shapes.items() if self._is_encoders(name))
        return sum(math.prod(sides) for sides in own)

    def words(self, graph: Graph) -> str:
        vectors = self._words(graph)
        if not self.takes_types:
            return vectors
        types = graph.constant("emb.type", self._types())
        return graph.op("Add", [vectors, graph.op("Gather", [types, "token_type_ids"])])

    def places(self) -> Floats:
        said = self._settings
        name = self._named("embeddings.position_embeddings", "weight")
        places = self._checkpoint.floats(name, said.max_position_embeddings, said.hidden_size)[said.skipped :]
        # Where types don't go in, every text is of type 0.
        return places if self.takes_types else places + self._types()[0]

    def vector(self, name: str, *shape: int) -> Floats:
        return self._checkpoint.floats(self._long(name), *shape)

    def matrix(self, name: str, rows: int, columns: int) -> Floats:
        return self._checkpoint.floats(self._long(name), rows, columns)

    def _kind(self, wish: Kind | None) -> Kind:
        """A reranker if it has a head with one label and nobody said otherwise."""
        kind: Kind = wish or ("reranker" if self.labels == 1 else "embedding")
        is_classifier = f"{self._head['head.out']}.weight" in self._checkpoint.shapes
        is_unclear = wish is None and is_classifier and self.labels != 1
        if is_unclear or (kind == "reranker" and self.labels not in _LABELS):
            raise ExportUnsupportedError(f"{kind} with {self.labels} labels", name=self._name)
        return kind

    def _words(self, graph: Graph) -> str:
        said = self._settings
        table = self._checkpoint.floats(self._prefix + _WORDS, said.vocab_size, said.hidden_size)
        if not graph.integers:
            return graph.op("Gather", [graph.constant("emb.word", table), "input_ids"])
        values, scales = quantize(table, _LARGEST_WORD)
        whole = graph.op("Gather", [graph.constant("emb.word", values), "input_ids"])
        scale = graph.op("Gather", [graph.constant("emb.word.scale", scales[:, None]), "input_ids"])
        return graph.op("Mul", [graph.op("Cast", [whole], to=TensorProto.FLOAT), scale])

    def _types(self) -> Floats:
        said = self._settings
        name = self._named("embeddings.token_type_embeddings", "weight")
        return self._checkpoint.floats(name, said.type_vocab_size, said.hidden_size)

    def _long(self, short: str) -> str:
        """The file's name for one of the builder's."""
        name, _dot, part = short.rpartition(".")
        if name in self._head:
            return f"{self._head[name]}.{_PARTS[part][0]}"
        if name == "emb.ln":
            return self._named("embeddings.LayerNorm", *_NORM[part])
        layer, _dot, own = name.partition(".")
        parts = _NORM if own.endswith("ln") else _PARTS
        return self._named(f"encoder.layer.{layer.removeprefix('l')}.{_LAYER[own]}", *parts[part])

    def _named(self, name: str, *parts: str) -> str:
        """With the first of the parts that is there; very old files call a norm's gamma and beta."""
        names = [f"{self._prefix}{name}.{part}" for part in parts]
        return next((known for known in names if known in self._checkpoint.shapes), names[0])

    def _is_encoders(self, name: str) -> bool:
        own = name.removeprefix(self._prefix)
        return name.startswith(self._prefix) and own.startswith(("embeddings.", "encoder."))

    def _demand_nothing_else(self) -> None:
        """A tensor of the encoder that the graph would leave out makes it another network."""
        shorts = [f"l{number}.{part}" for number in range(self.sizes.layers) for part in _LAYER]
        used = {self._long(f"{short}.{part}") for short in ("emb.ln", *shorts) for part in "wb"}
        used |= {self._named(f"embeddings.{kind}_embeddings", "weight") for kind in ("word", "position", "token_type")}
        used |= {self._prefix + name for name in _BUFFERS}
        more = [name for name in self._checkpoint.shapes if self._is_encoders(name) and name not in used]
        if more:
            raise ExportUnsupportedError(f"tensor {more[0][:100]!r}", name=self._name)
