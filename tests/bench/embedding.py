"""Embedding through the box against onnxruntime alone on the same sentences, sorted by length in both."""

import json
import statistics
import time
from pathlib import Path

import numpy as np
import onnxruntime
import sentencepiece

from appliance import config
from appliance.gateway.gateway import Gateway
from tests.bench import table
from tests.bench.models import DATA, MODELS, served_box

SENTENCES = 256
ROUNDS = 5


def run() -> None:
    """Median of interleaved rounds. Reach: at least 0.9 of bare onnxruntime."""
    texts = sentences()
    bare = _Bare(MODELS / "multilingual-e5-small")
    ratios, speeds = [], []
    with served_box() as box:
        gateway = Gateway(config.load(data_dir=box.folder))
        gateway.embed(texts[:8], "passage")
        bare.embed(texts[:8])
        for _ in range(ROUNDS):
            ours = _seconds(lambda: gateway.embed(texts, "passage"))
            theirs = _seconds(lambda: bare.embed(texts))
            ratios.append(theirs / ours)
            speeds.append((len(texts) / ours, len(texts) / theirs))
    table.show(
        ["figure", "ours", "bare onnxruntime int8", "ratio (median)", "to reach"],
        [["sentences/s", speeds[-1][0], speeds[-1][1], statistics.median(ratios), "≥ 0.900"]],
    )
    print("   limit: the matrix products of the model; the socket and JSON take the rest")


def sentences() -> list[str]:
    """Japanese and English sentences of mixed length."""
    japanese = json.loads((DATA / "eval" / "jaquad_dev_0000.json").read_text("utf-8"))
    english = json.loads((DATA / "eval" / "xquad.en.json").read_text("utf-8"))
    found = [contexts(japanese), contexts(english)]
    pieces = [piece.strip() for pair in zip(*found, strict=False) for text in pair for piece in text.split("。")[:4]]
    return [piece[:400] for piece in pieces if len(piece) > 5][:SENTENCES]


def contexts(node: object) -> list[str]:
    """All paragraphs in SQuAD-like JSON, whatever its outer shape."""
    if isinstance(node, dict):
        own = [node["context"]] if isinstance(node.get("context"), str) else []
        return own + [text for value in node.values() for text in contexts(value)]
    return [text for value in node for text in contexts(value)] if isinstance(node, list) else []


class _Bare:
    """The model as any program would run it: one session, sorted batches, no process border."""

    def __init__(self, folder: Path) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.log_severity_level = 3
        self._session = onnxruntime.InferenceSession(
            str(folder / "model.onnx"), options, providers=["CPUExecutionProvider"]
        )
        self._names = {value.name for value in self._session.get_inputs()}
        self._pieces = sentencepiece.SentencePieceProcessor(model_file=str(folder / "sentencepiece.model"))

    def embed(self, texts: list[str]) -> None:
        encoded = [[0, *(piece + 1 for piece in ids), 2][:512] for ids in self._pieces.encode(texts, out_type=int)]
        encoded.sort(key=len)
        for start in range(0, len(encoded), 16):
            batch = encoded[start : start + 16]
            ids = np.ones((len(batch), max(map(len, batch))), np.int64)
            mask = np.zeros_like(ids)
            for row, tokens in enumerate(batch):
                ids[row, : len(tokens)], mask[row, : len(tokens)] = tokens, 1
            feeds = {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}
            self._session.run(None, {name: feeds[name] for name in self._names})


def _seconds(work: object) -> float:
    began = time.perf_counter()
    work()  # type: ignore[operator]
    return time.perf_counter() - began
