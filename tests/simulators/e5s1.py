"""Small E5S1 weights files with random weights, and what they compute, in numpy."""

import math
import struct
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

PIECES = ("<s>", "<pad>", "</s>", "<unk>", "▁", "a", "b", "c", "▁ab", "が", "ガ", "東", "京", "▁東京", "A", "<mask>")
RULES = {"Ａ": "A", "ｶ": "カ", "㈱": "(株)"}


@dataclass
class Weights:
    """A model to be written; change what a test wants to be wrong."""

    hidden: int = 32
    layers: int = 2
    heads: int = 2
    forward: int = 64
    rows: int = 24
    positions: int = 16
    types: int = 2
    epsilon: float = 1e-5
    block: int = 32
    magic: bytes = b"E5S1"
    version: int = 1
    pieces: tuple[bytes, ...] = tuple(piece.encode() for piece in PIECES)
    scores: list[float] = field(
        default_factory=lambda: [0.0 if p[0] == "<" else -float(i) for i, p in enumerate(PIECES)]
    )
    special: tuple[int, int, int, int] = (0, 2, 1, 3)
    vectors: dict[str, Floats] = field(default_factory=dict)
    matrices: dict[str, tuple[NDArray[np.uint8], NDArray[np.float16]]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        random = np.random.default_rng(5)
        self._matrix(random, "emb.word", self.rows, self.hidden)
        self.vectors["emb.pos"] = random.normal(size=(self.positions, self.hidden)).astype(np.float32)
        self.vectors["emb.type"] = random.normal(size=(self.types, self.hidden)).astype(np.float32)
        self._norm(random, "emb.ln")
        for layer in range(self.layers):
            for part in ("q", "k", "v", "ao"):
                self._linear(random, f"l{layer}.{part}", self.hidden, self.hidden)
            self._norm(random, f"l{layer}.aln")
            self._linear(random, f"l{layer}.fi", self.forward, self.hidden)
            self._linear(random, f"l{layer}.fo", self.hidden, self.forward)
            self._norm(random, f"l{layer}.oln")

    def _matrix(self, random: np.random.Generator, name: str, rows: int, columns: int) -> None:
        nibbles = random.integers(0, 16, (rows, columns), np.uint8)
        self.matrices[name] = nibbles, random.uniform(0.02, 0.06, (rows, columns // 32)).astype(np.float16)

    def _linear(self, random: np.random.Generator, name: str, rows: int, columns: int) -> None:
        self._matrix(random, f"{name}.w", rows, columns)
        self.vectors[f"{name}.b"] = random.normal(size=rows).astype(np.float32)

    def _norm(self, random: np.random.Generator, name: str) -> None:
        self.vectors[f"{name}.w"] = random.uniform(0.5, 1.5, self.hidden).astype(np.float32)
        self.vectors[f"{name}.b"] = random.normal(size=self.hidden).astype(np.float32)

    # -- the file

    def data(self) -> bytes:
        head = struct.pack("<4sI7ifi", self.magic, self.version, self.hidden, self.layers, self.heads, self.forward,
                           self.rows, self.positions, self.types, self.epsilon, self.block)  # fmt: skip
        text = b"".join(self.pieces)
        offsets = np.cumsum([0, *map(len, self.pieces)]).astype("<u4")
        vocabulary = struct.pack("<5iQ", len(self.pieces), *self.special, len(text))
        vocabulary += offsets.tobytes() + np.array(self.scores, "<f4").tobytes() + text
        rules = b"".join(
            struct.pack(f"<IB{len(target)}I", ord(source), len(target), *map(ord, target))
            for source, target in RULES.items()
        )
        vocabulary += struct.pack("<iI", len(RULES), len(rules)) + rules
        tensors = [(name, 0, vector.size, vector.astype("<f4").tobytes()) for name, vector in self.vectors.items()]
        tensors += [
            (name, 1, nibbles.size, _blocks(nibbles, scales)) for name, (nibbles, scales) in self.matrices.items()
        ]
        at = len(head) + len(vocabulary) + 4 + sum(2 + len(name) + 21 for name, *_ in tensors)
        directory = struct.pack("<i", len(tensors))
        for name, kind, count, raw in tensors:
            directory += struct.pack("<H", len(name)) + name.encode() + struct.pack("<BIQQ", kind, count, at, len(raw))
            at += len(raw)
        return head + vocabulary + directory + b"".join(raw for *_, raw in tensors)

    def write(self, path: Path) -> Path:
        path.write_bytes(self.data())
        return path

    # -- what it computes

    def matrix(self, name: str) -> Floats:
        nibbles, scales = self.matrices[name]
        blocks = (nibbles.reshape(-1, 32).astype(np.float32) - 8) * scales.reshape(-1, 1).astype(np.float32)
        return blocks.reshape(nibbles.shape)

    def run(self, ids: list[int]) -> Floats:
        """Hidden states (tokens, hidden) of one text, without any quantising of activations."""
        x = self.matrix("emb.word")[ids] + self.vectors["emb.pos"][: len(ids)] + self.vectors["emb.type"][0]
        x = self._normalise("emb.ln", x)
        width = self.hidden // self.heads
        for layer in range(self.layers):
            q, k, v = (self._apply(f"l{layer}.{p}", x).reshape(-1, self.heads, width).swapaxes(0, 1) for p in "qkv")
            scores = q @ k.swapaxes(1, 2) / math.sqrt(width)
            weights = np.exp(scores - scores.max(-1, keepdims=True))
            mixed = (weights / weights.sum(-1, keepdims=True)) @ v
            x = self._normalise(
                f"l{layer}.aln", x + self._apply(f"l{layer}.ao", mixed.swapaxes(0, 1).reshape(len(ids), -1))
            )
            wide = self._apply(f"l{layer}.fi", x)
            wide = 0.5 * wide * (1 + np.vectorize(math.erf)(wide / math.sqrt(2)))
            x = self._normalise(f"l{layer}.oln", x + self._apply(f"l{layer}.fo", wide))
        return x.astype(np.float32)

    def embed(self, ids: list[int]) -> Floats:
        """The mean of the hidden states, of length 1."""
        mean = self.run(ids).mean(axis=0)
        vector: Floats = mean / np.linalg.norm(mean)
        return vector

    def _apply(self, name: str, x: Floats) -> Floats:
        result: Floats = x @ self.matrix(f"{name}.w").T + self.vectors[f"{name}.b"]
        return result

    def _normalise(self, name: str, x: Floats) -> Floats:
        centred = x - x.mean(-1, keepdims=True)
        scaled = centred / np.sqrt((centred**2).mean(-1, keepdims=True) + self.epsilon)
        result: Floats = scaled * self.vectors[f"{name}.w"] + self.vectors[f"{name}.b"]
        return result


def _blocks(nibbles: NDArray[np.uint8], scales: NDArray[np.float16]) -> bytes:
    flat = nibbles.reshape(-1, 32)
    packed = flat[:, :16] | (flat[:, 16:] << 4)
    return np.concatenate([scales.reshape(-1, 1).view(np.uint8), packed], axis=1).tobytes()
