"""BERT's vocabularies: the same pieces as the library that models are trained with, and hostile ones refused."""

import json
import random
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from appliance.config import REPOSITORY
from appliance.errors import ModelFileError, ModelVocabularyError
from appliance.inference.engine import EngineLoadError
from appliance.inference.engines import vocabularies
from appliance.inference.engines.wordpieces import WordPieces
from appliance.inference.examine import examine_casing, examine_pieces, examine_tokenizer
from appliance.inference.unigram import UnknownVocabularyError, Vocabulary, VocabularyError
from appliance.inference.wordpiece import Casing, casing, convert, listed
from tests.simulators.encoder import bert

FIXED = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
LETTERS = "abcdefghijklmnopqrstuvwxyzßéあがきゃか東京0123456789.,!?'-[]、。σς"
PIECES = (
    *FIXED, "[unused0]", *LETTERS, *(f"##{letter}" for letter in LETTERS), "un", "##aff", "##able", "want", "##want",
    "##ed", "runn", "##ing", "東京", "low", "##er", "A", "B", "É",
)  # fmt: skip
REFERENCE = REPOSITORY / ".build" / "clients" / "bin" / "python"
ASK_THE_REFERENCE = """
import json, sys
from tokenizers import Tokenizer
said = json.load(sys.stdin)
made = [Tokenizer.from_str(json.dumps(each)) for each in said["vocabularies"]]
print(json.dumps([[each.encode(text).ids for text in said["texts"]] for each in made]))
"""


def opened(folder: Path, vocabulary: Vocabulary) -> WordPieces:
    (folder / "wordpiece.json").write_bytes(vocabulary.model)
    found = vocabularies.opened(folder)
    assert isinstance(found, WordPieces)
    return found


@pytest.fixture
def tokenizer(tmp_path: Path) -> WordPieces:
    return opened(tmp_path, convert(bert(PIECES)))


def words(tokenizer: WordPieces, text: str) -> list[str]:
    return [PIECES[number] for number in tokenizer.pieces([text])[0]]


# -- the same pieces


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # The first three are those of BERT's own published tests.
        ("UNwant\u00e9d,running", ["un", "##want", "##ed", ",", "runn", "##ing"]),
        ("unwanted runningX", ["un", "##want", "##ed", "[UNK]"]),
        ("lower Low", ["low", "##er", "low"]),
        ("東京のか", ["東", "京", "[UNK]"]),
        ("がき", ["か", "##き"]),
        ("a\u200bb\ufffd c\u3000d\te\r\nf", ["a", "##b", "c", "d", "e", "f"]),
        ("[SEP] a", ["[", "s", "##e", "##p", "]", "a"]),
        ("ΑΣ", ["[UNK]"]),
        ("σΣ", ["σ", "##σ"]),
        ("", []),
        ("a" * 100, ["a", *["##a"] * 99]),
        ("a" * 101, ["[UNK]"]),
    ],
)
def test_a_text_is_cut_as_bert_cuts_it(tokenizer: WordPieces, text: str, expected: list[str]) -> None:
    if "runningX" in text:  # here every letter is a piece, so it takes one that is none
        text = text.replace("X", "Ω")
    assert words(tokenizer, text) == expected


def test_casing_and_chinese_characters_are_as_the_vocabulary_says(tmp_path: Path) -> None:
    cased = opened(tmp_path, convert(bert(PIECES, lowercase=False)))
    assert words(cased, "ABÉ a") == ["[UNK]", "a"]
    assert words(cased, "A B É") == ["A", "B", "É"]
    whole = opened(tmp_path, convert(bert(PIECES, handle_chinese_chars=False, strip_accents=False)))
    assert words(whole, "東京か") == ["東京", "##か"]
    assert words(whole, "É") == ["é"]


def test_texts_and_pairs_have_berts_marks_and_types(tokenizer: WordPieces) -> None:
    begin, end = PIECES.index("[CLS]"), PIECES.index("[SEP]")
    (a, b) = (tokenizer.pieces([text])[0] for text in ("a b c d", "東京"))
    assert tokenizer.encode(["a b c d"]) == [[begin, *a, end]]
    assert tokenizer.truncate([begin, *a, end], 4) == [begin, *a[:2], end]
    pair = tokenizer.pair(a, b, 100)
    assert pair == [begin, *a, end, *b, end]
    assert tokenizer.types(pair) == [0] * 6 + [1] * 3
    assert len(tokenizer.pair(a, b * 9, 10)) == 10
    assert tokenizer.pair(a * 9, b, 9) == [begin, *(a * 9)[:4], end, *b, end]
    assert tokenizer.types(tokenizer.pair([], [], 9)) == [0, 0, 1]
    assert tokenizer.pad == 0


@pytest.mark.skipif(not REFERENCE.exists(), reason="the library is not installed: make clients")
def test_any_text_gives_the_numbers_of_the_library(tmp_path: Path) -> None:
    """Of the library's characters: its tables end with Unicode 8, those of Python are younger."""
    dice = random.Random(1)
    alphabets = [range(0x20, 0x7F), range(0xA0, 0x250), range(0x370, 0x400), range(0x3000, 0x3100),
                 range(0x4E00, 0x9FD0), range(0xFF00, 0xFFE0), range(0x1F300, 0x1F600), range(0x20000, 0x20100),
                 [ord(letter) for letter in LETTERS]]  # fmt: skip
    texts = ["".join(chr(dice.choice(dice.choice(alphabets))) for _ in range(12)) for _ in range(400)]
    said = [bert(PIECES, **more) | {"added_tokens": []} for more in (
        {}, {"lowercase": False}, {"strip_accents": False, "handle_chinese_chars": False}, {"strip_accents": True},
    )]  # fmt: skip
    asked = json.dumps({"texts": texts, "vocabularies": said})
    answer = subprocess.run(
        [str(REFERENCE), "-c", ASK_THE_REFERENCE], input=asked, capture_output=True, text=True, check=True, timeout=60
    )
    for document, expected in zip(said, json.loads(answer.stdout), strict=True):
        assert opened(tmp_path, convert(document)).encode(texts) == expected


def test_the_older_files_mean_the_same(tmp_path: Path) -> None:
    lines = "\r\n".join(PIECES).encode() + b"\r\n"
    assert listed(lines, casing(b"{}")) == convert(bert(PIECES))
    older = b'{"do_lower_case": false, "tokenizer_class": "BertTokenizerFast", "tokenize_chinese_chars": false}'
    assert casing(older) == Casing(lower=False, accents=True, split_chinese=False)
    assert listed(lines, casing(older)) == convert(bert(PIECES, lowercase=False, handle_chinese_chars=False))
    assert casing(b'{"strip_accents": false}') == Casing(lower=True, accents=True)
    bare = bert(PIECES) | {"post_processor": {"type": "BertProcessing", "cls": ["[CLS]", 2], "sep": ["[SEP]", 3]}}
    assert convert(bare) == convert(bert(PIECES))


# -- what is refused


def change(path: str, value: object) -> dict[str, Any]:
    said = bert(PIECES)
    *parents, last = path.split(".")
    part: Any = said
    for key in parents:
        part = part[int(key) if isinstance(part, list) else key]
    part[last] = value
    return said


@pytest.mark.parametrize(
    ("path", "value", "error"),
    [
        ("model.vocab", {}, VocabularyError),
        ("model.vocab", ["a"], VocabularyError),
        ("model.vocab.a", -1, VocabularyError),
        ("model.vocab.a", True, VocabularyError),
        ("model.vocab.a", 1 << 40, VocabularyError),
        ("model.vocab.a", 0, VocabularyError),
        ("model.vocab.a", "1", VocabularyError),
        ("model.max_input_chars_per_word", 10**9, VocabularyError),
        ("model.unk_token", "<unk>", UnknownVocabularyError),
        ("model.continuing_subword_prefix", "", UnknownVocabularyError),
        ("normalizer", None, UnknownVocabularyError),
        ("normalizer.type", "NFKC", UnknownVocabularyError),
        ("normalizer.lowercase", "yes", VocabularyError),
        ("normalizer.clean_text", False, UnknownVocabularyError),
        ("pre_tokenizer", {"type": "Whitespace"}, UnknownVocabularyError),
        ("post_processor", None, UnknownVocabularyError),
        ("post_processor.single", [{"Sequence": {"id": "A", "type_id": 0}}], UnknownVocabularyError),
        ("post_processor.pair", [], UnknownVocabularyError),
        ("post_processor.single", [7], VocabularyError),
        ("added_tokens", [{"id": 6, "content": "a"}], UnknownVocabularyError),
        ("added_tokens", [{"id": 999, "content": "[CLS]"}], UnknownVocabularyError),
        ("added_tokens", [{"content": "[CLS]"}], VocabularyError),
        ("added_tokens", 5, VocabularyError),
    ],
)
def test_what_would_give_other_numbers_is_refused(path: str, value: object, error: type[Exception]) -> None:
    with pytest.raises(error):
        convert(change(path, value))


@pytest.mark.parametrize("piece", ["", "##", "a\nb", "a\0", "x" * 300, "\ud800"])
def test_an_impossible_piece_is_refused(piece: str) -> None:
    with pytest.raises(VocabularyError):
        convert(bert((*PIECES, piece)))


def test_lists_that_are_none_are_refused() -> None:
    for data in (b"", b"a\nb", b"\xff" * 100, b"\n" * 100, b"a\n" * 100, "\n".join(PIECES[:-1]).encode() + b"\na"):
        with pytest.raises(VocabularyError):
            listed(data, Casing())
    with pytest.raises(UnknownVocabularyError):
        listed("\n".join(PIECES[4:]).encode(), Casing())


@pytest.mark.parametrize(
    ("said", "error"),
    [
        (b"[]", VocabularyError),
        (b"{", VocabularyError),
        (b"[" * 100_000, VocabularyError),
        (b'{"do_lower_case": "no"}', VocabularyError),
        (b'{"tokenizer_class": "BertJapaneseTokenizer"}', UnknownVocabularyError),
        (b'{"tokenizer_class": "MPNetTokenizer"}', UnknownVocabularyError),
        (b'{"word_tokenizer_type": "mecab"}', UnknownVocabularyError),
        (b'{"subword_tokenizer_type": "character"}', UnknownVocabularyError),
        (b'{"do_basic_tokenize": false}', UnknownVocabularyError),
        (b'{"never_split": ["Hako"]}', UnknownVocabularyError),
    ],
)
def test_settings_that_cut_otherwise_are_refused(said: bytes, error: type[Exception]) -> None:
    with pytest.raises(error):
        casing(said)


@pytest.fixture
def asked(tmp_path: Path) -> Callable[[Any, bytes], Any]:
    def ask(look: Any, data: bytes) -> Any:
        path = tmp_path / "asked"
        path.write_bytes(data)
        with path.open("rb") as file:
            return look(file.fileno(), "asked")

    return ask


def test_the_reader_in_its_jail_says_the_same(asked: Callable[[Any, bytes], Any]) -> None:
    expected = convert(bert(PIECES))
    assert asked(examine_tokenizer, json.dumps(bert(PIECES)).encode()) == expected
    assert asked(examine_casing, b"{}") == Casing()
    lines = "\n".join(PIECES).encode()
    assert asked(lambda *file: examine_pieces(*file, Casing()), lines) == expected
    for look, data, error in (
        (examine_tokenizer, json.dumps(change("normalizer.type", "NFKC")).encode(), ModelVocabularyError),
        (examine_tokenizer, json.dumps(change("model.vocab.a", 0)).encode(), ModelFileError),
        (examine_casing, b'{"tokenizer_class": "BertJapaneseTokenizer"}', ModelVocabularyError),
        (lambda *file: examine_pieces(*file, Casing()), b"\xff", ModelFileError),
    ):
        with pytest.raises(error):
            asked(look, data)


def test_a_damaged_store_ends_the_loading(tmp_path: Path) -> None:
    for content in (b"", b"{}", b'{"casing": {}, "longest_word": 9, "pieces": ["a"]}'):
        (tmp_path / "wordpiece.json").write_bytes(content)
        with pytest.raises(EngineLoadError):
            vocabularies.opened(tmp_path)
