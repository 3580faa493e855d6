"""Token ids from both layouts of an XLM-R vocabulary: rebuilt ones and those that publishers ship."""

from pathlib import Path

import pytest
from sentencepiece import sentencepiece_model_pb2 as protobuf

from appliance.inference.engine import EngineLoadError
from appliance.inference.engines.xlmr import Tokenizer

WORDS = ["▁", "a", "b", "▁ab"]
CONTROLS = {"<unk>": 2, "<s>": 3, "<pad>": 3, "</s>": 3}


def write(path: Path, front: list[str]) -> Path:
    model = protobuf.ModelProto()
    for number, piece in enumerate([*front, *WORDS]):
        model.pieces.add(piece=piece, score=-float(number), type=CONTROLS.get(piece, 1))
    trainer = model.trainer_spec
    trainer.model_type = 1
    trainer.unk_id, trainer.bos_id, trainer.eos_id = (front.index(piece) for piece in ("<unk>", "<s>", "</s>"))
    trainer.pad_id = front.index("<pad>") if "<pad>" in front else -1
    model.normalizer_spec.add_dummy_prefix = True
    model.normalizer_spec.escape_whitespaces = True
    path.write_bytes(model.SerializeToString())
    return path


@pytest.mark.parametrize("front", [["<s>", "<pad>", "</s>", "<unk>"], ["<unk>", "<s>", "</s>"]], ids=["own", "fairseq"])
def test_both_layouts_give_the_weights_the_same_ids(tmp_path: Path, front: list[str]) -> None:
    tokenizer = Tokenizer(write(tmp_path / "v.model", front))
    assert tokenizer.encode(["ab b", "ax", ""]) == [[0, 7, 4, 6, 2], [0, 4, 5, 3, 2], [0, 2]]


def test_cutting_keeps_the_end() -> None:
    assert Tokenizer.truncate([0, 5, 6, 7, 2], 4) == [0, 5, 6, 2]
    assert Tokenizer.truncate([0, 5, 2], 4) == [0, 5, 2]


@pytest.mark.parametrize("content", [b"", b"not a model" * 100])
def test_a_damaged_vocabulary_is_refused_in_words(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "v.model").write_bytes(content)
    with pytest.raises(EngineLoadError):
        Tokenizer(tmp_path / "v.model")


def test_a_missing_vocabulary_is_refused_in_words(tmp_path: Path) -> None:
    with pytest.raises(EngineLoadError):
        Tokenizer(tmp_path / "none.model")
