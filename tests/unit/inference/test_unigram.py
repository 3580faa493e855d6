"""Vocabularies out of `tokenizer.json`: the same pieces as SentencePiece's own file, and hostile ones refused."""

import base64
import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from appliance.errors import ModelFileError, ModelVocabularyError
from appliance.inference.engines.xlmr import Tokenizer
from appliance.inference.examine import examine_tokenizer
from appliance.inference.unigram import UnknownVocabularyError, VocabularyError, check_charsmap, convert
from tests.simulators import hugging_face

TEXTS = ["a東京", "ab c が", "か\u3099", "Ａ ｶ㈱", "  a   b ", "<s> </s> <mask>", "", "🙂"]


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return hugging_face.original(tmp_path_factory.mktemp("o") / "e5") / "sentencepiece.model"


@pytest.fixture
def said(original: Path) -> dict[str, Any]:
    return hugging_face.tokenizer(original)


def converted(said: object) -> bytes:
    return convert(json.dumps(said).encode()).model


def charsmap(said: dict[str, Any]) -> bytes:
    return base64.b64decode(said["normalizer"]["normalizers"][0]["precompiled_charsmap"])


def test_texts_become_the_same_numbers_as_with_the_original(
    original: Path, said: dict[str, Any], tmp_path: Path
) -> None:
    (tmp_path / "sentencepiece.model").write_bytes(converted(said))
    assert Tokenizer(tmp_path / "sentencepiece.model").encode(TEXTS) == Tokenizer(original).encode(TEXTS)


def test_older_forms_of_the_same_vocabulary_are_read_too(said: dict[str, Any]) -> None:
    expected = converted(said)
    metaspace = {"type": "Metaspace", "replacement": "▁", "add_prefix_space": True}
    said["pre_tokenizer"] = {"type": "Sequence", "pretokenizers": [{"type": "WhitespaceSplit"}, metaspace]}
    said["normalizer"] = said["normalizer"]["normalizers"][0]
    said["post_processor"] = {"type": "RobertaProcessing", "sep": ["</s>", 2], "cls": ["<s>", 0]}
    said["added_tokens"].append({"id": 15, "content": "<mask>"})
    del said["model"]["type"]
    assert converted(said) == expected


def change(said: dict[str, Any], path: str, value: object) -> None:
    *parents, last = path.split(".")
    part: Any = said
    for key in parents:
        part = part[int(key)] if isinstance(part, list) else part[key]
    part[int(last) if isinstance(part, list) else last] = value


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("model.type", "BPE"),
        ("model.type", "WordPiece"),
        ("model.vocab", {"a": 1}),
        ("model.unk_id", 0),
        ("model.unk_id", None),
        ("model.byte_fallback", True),
        ("model.vocab.0", ["[CLS]", 0.0]),
        ("pre_tokenizer", {"type": "ByteLevel"}),
        ("pre_tokenizer", None),
        ("pre_tokenizer.prepend_scheme", "never"),
        ("pre_tokenizer.replacement", "_"),
        ("normalizer", {"type": "Lowercase"}),
        ("normalizer.normalizers.1.pattern", {"Regex": "e"}),
        ("post_processor.single", []),
        ("post_processor", {"type": "ByteLevel"}),
        ("added_tokens", [{"id": 5, "content": "<user>"}]),
    ],
)
def test_another_kind_of_vocabulary_is_told_apart_from_a_damaged_one(
    said: dict[str, Any], path: str, value: object
) -> None:
    change(said, path, value)
    with pytest.raises(UnknownVocabularyError):
        converted(said)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("model", None),
        ("model.vocab", []),
        ("model.vocab", [["<s>", 0.0]]),
        ("model.vocab.5", ["a", float("nan")]),
        ("model.vocab.5", ["a", float("-inf")]),
        ("model.vocab.5", ["a", 1e30]),
        ("model.vocab.5", ["a", True]),
        ("model.vocab.5", ["a", "1"]),
        ("model.vocab.5", ["a"]),
        ("model.vocab.5", "a"),
        ("model.vocab.5", ["", 0.0]),
        ("model.vocab.5", ["b", 0.0]),
        ("model.vocab.5", ["a\0", 0.0]),
        ("model.vocab.5", ["\ud800", 0.0]),
        ("model.vocab.5", ["a" * 2000, 0.0]),
        ("normalizer.normalizers", [{"type": "Strip"}] * 20),
        ("normalizer.normalizers", 5),
        ("normalizer.normalizers.0.precompiled_charsmap", "not base64!"),
        ("normalizer.normalizers.0.precompiled_charsmap", 5),
        ("normalizer.normalizers.0.precompiled_charsmap", "AAAA"),
        ("added_tokens", 5),
        ("added_tokens", [5]),
        ("added_tokens", [{"id": "0", "content": "<s>"}]),
        ("post_processor", 5),
    ],
)
def test_what_no_vocabulary_can_say_is_refused(said: dict[str, Any], path: str, value: object) -> None:
    change(said, path, value)
    with pytest.raises(VocabularyError):
        converted(said)


@pytest.mark.parametrize(
    "data",
    [b"", b"{", b"[" * 100_000, b"[]", b"null", b"5" * 10_000, b"\xff\xfe", b'{"model":{"vocab":[[],', b"{}"],
    ids=range(9),
)
def test_bytes_that_are_no_description_are_refused(data: bytes) -> None:
    with pytest.raises(VocabularyError):
        convert(data)


def test_the_table_of_characters_may_not_lead_out_of_itself(said: dict[str, Any]) -> None:
    table = charsmap(said)
    check_charsmap(table)
    size = int.from_bytes(table[:4], "little")
    units = [int.from_bytes(table[place : place + 4], "little") for place in range(4, 4 + size, 4)]
    branch = next(place for place, unit in enumerate(units) if unit >> 8 & 1 and not unit >> 31)
    leaf = branch ^ (units[branch] >> 10 << ((units[branch] & 0x200) >> 6))
    for place, unit in (
        (0, 0x1FFFFF << 10),
        (0, 0xFFFFFFFF),
        (branch, 0x1FFFFF << 10 | 0x300),
        (leaf, 0x80000000 | len(table)),
    ):
        bad = bytearray(table)
        struct.pack_into("<I", bad, 4 + 4 * place, unit)
        with pytest.raises(VocabularyError):
            check_charsmap(bytes(bad))
    middle = bytearray(table)
    struct.pack_into("<I", middle, 4 + 4 * leaf, 0x80000000 | 1)  # into the middle of a text
    for cut in (bytes(middle), table[:-1], table[:10], table[:4], b"", b"\xff" * 100, table[:-1] + b"\xff"):
        with pytest.raises(VocabularyError):
            check_charsmap(cut)


# -- in its child


def looked_at(path: Path) -> object:
    with path.open("rb") as file:
        return examine_tokenizer(file.fileno(), path.name)


def test_the_jailed_child_makes_the_same(said: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "tokenizer.json"
    path.write_text(json.dumps(said), "utf-8")
    assert looked_at(path) == convert(path.read_bytes())


@pytest.mark.parametrize(
    ("spoil", "error"),
    [
        (lambda said: change(said, "model.type", "BPE"), ModelVocabularyError),
        (lambda said: change(said, "model.vocab.5", ["", 0.0]), ModelFileError),
    ],
    ids=["other kind", "damaged"],
)
def test_what_the_child_refuses_is_one_error_with_the_files_name(
    said: dict[str, Any], tmp_path: Path, spoil: Callable[[dict[str, Any]], None], error: type[Exception]
) -> None:
    spoil(said)
    path = tmp_path / "tokenizer.json"
    path.write_text(json.dumps(said), "utf-8")
    with pytest.raises(error) as caught:
        looked_at(path)
    assert caught.value.params == {"name": "tokenizer.json"}  # type: ignore[attr-defined]


def test_lists_in_lists_without_end_do_not_take_the_reader_down(tmp_path: Path) -> None:
    path = tmp_path / "tokenizer.json"
    path.write_bytes(b"[" * 5_000_000)
    with pytest.raises(ModelFileError) as caught:
        looked_at(path)
    assert "ended" not in caught.value.detail
