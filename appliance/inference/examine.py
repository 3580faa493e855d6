"""Reads what a model's files say in a throw-away jailed child: `python -m appliance.inference.examine` is that child.

The child gets the open file as its standard input, shuts itself in, and says on standard output what it found. Which
format a model file has it sees by the contents.
"""

import json
import mmap
import os
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict
from typing import Final, Literal, TypeVar

from pydantic import TypeAdapter, ValidationError

from appliance.config import REPOSITORY
from appliance.errors import HakoError, ModelFileError, ModelFormatError, ModelOldFormatError, ModelVocabularyError
from appliance.inference import (
    formats,
    genai_config,
    gguf,
    gguf_projector,
    hf_config,
    hf_tokenizer,
    json_reader,
    onnx_fields,
    onnx_header,
    unigram,
    wordpiece,
)
from appliance.inference.genai_config import GenaiConfig
from appliance.inference.gguf_header import Header
from appliance.inference.hf_config import Config, Pooling
from appliance.inference.onnx_header import OnnxHeader
from appliance.inference.unigram import Vocabulary
from appliance.inference.wordpiece import Casing
from appliance.machine import jail

T = TypeVar("T")

_What = Literal[
    "model", "template", "onnx", "tokenizer", "casing", "pieces", "config", "pooling", "genai", "tokens", "words",
]  # fmt: skip

_SECONDS: Final = 60.0
_MEMORY_BYTES: Final = 1 << 30
"""Beside the file itself, which is mapped."""
_CPU_SECONDS: Final = 30
_ANSWER_BYTES: Final = 1 << 18
_VOCABULARY_BYTES: Final = 128 << 20
_REASON: Final = re.compile(r"[A-Za-z0-9 .,:_'-]{1,120}")
_VOCABULARY: Final[TypeAdapter[tuple[Literal["unigram", "wordpiece"], int]]] = TypeAdapter(
    tuple[Literal["unigram", "wordpiece"], int]
)
_POOLING: Final[TypeAdapter[Pooling | None]] = TypeAdapter(Pooling | None)
_FORMAT: Final = re.compile(r"[A-Za-z0-9 -]{1,20}")


def examine(descriptor: int, name: str) -> Header:
    """The header of the GGUF file that `descriptor` has open; `name` is what the user calls it.

    Raises:
        ModelOldFormatError: a model in a form from before GGUF.
        ModelFormatError: another kind of file that is known by its first bytes, e.g. a pickle.
        ModelFileError: damaged, cut off, not GGUF, or it took its reader down.
        HakoError: the child could not be started or shut in; the file is not at fault.
    """
    return _found("model", TypeAdapter(Header), descriptor, name)


def examine_template(descriptor: int, name: str) -> str:
    """The chat template of the GGUF file that `descriptor` has open; empty if it has none.

    Raises:
        ModelFileError, HakoError: as `examine`; also for a template that is longer than any answer here.
    """
    return _found("template", TypeAdapter(str), descriptor, name)


def examine_onnx(descriptor: int, name: str) -> OnnxHeader:
    """What the ONNX file that `descriptor` has open says of its graph.

    Raises:
        ModelFormatError, ModelFileError, HakoError: as `examine`.
    """
    return _found("onnx", TypeAdapter(OnnxHeader), descriptor, name)


def examine_config(descriptor: int, name: str) -> Config:
    """What a `config.json` says.

    Raises:
        ModelFileError, HakoError: as `examine`.
    """
    return _found("config", TypeAdapter(Config), descriptor, name)


def examine_pooling(descriptor: int, name: str) -> Pooling | None:
    """What a `1_Pooling/config.json` says; None for a way that the engine hasn't.

    Raises:
        ModelFileError, HakoError: as `examine`.
    """
    return _found("pooling", _POOLING, descriptor, name)


def examine_genai(descriptor: int, name: str) -> GenaiConfig:
    """What a `genai_config.json` says.

    Raises:
        ModelFileError, HakoError: as `examine`; also for settings that the box doesn't follow.
    """
    return _found("genai", TypeAdapter(GenaiConfig), descriptor, name)


def examine_tokens(descriptor: int, name: str) -> int:
    """How many tokens a chat model's `tokenizer.json` makes.

    Raises:
        ModelFileError, HakoError: as `examine`.
    """
    return _found("tokens", TypeAdapter(int), descriptor, name)


def examine_words(descriptor: int, name: str) -> bool:
    """Whether there is a chat template in a `tokenizer_config.json`.

    Raises:
        ModelFileError, HakoError: as `examine`.
    """
    return _found("words", TypeAdapter(bool), descriptor, name)


def examine_tokenizer(descriptor: int, name: str) -> Vocabulary:
    """The vocabulary of a `tokenizer.json`, in the form that the engine reads.

    Raises:
        ModelVocabularyError: a whole one, but of a kind that the engine doesn't read.
        ModelFileError, HakoError: as `examine`.
    """
    return _vocabulary(_asked("tokenizer", descriptor, name), name)


def examine_casing(descriptor: int, name: str) -> Casing:
    """How a `tokenizer_config.json` says that BERT's texts are cut.

    Raises:
        ModelVocabularyError: in another way than BERT's.
        ModelFileError, HakoError: as `examine`.
    """
    return _found("casing", TypeAdapter(Casing), descriptor, name)


def examine_pieces(descriptor: int, name: str, casing: Casing) -> Vocabulary:
    """The vocabulary of a `vocab.txt`, whose texts are cut in this way; in the form that the engine reads.

    Raises:
        ModelVocabularyError, ModelFileError, HakoError: as `examine_tokenizer`.
    """
    return _vocabulary(_asked("pieces", descriptor, name, json.dumps(asdict(casing))), name)


def _vocabulary(answer: bytes, name: str) -> Vocabulary:
    line, _end, model = answer.partition(b"\n")
    kind, size = _understood(line[:_ANSWER_BYTES], _VOCABULARY, name)
    if not 0 < len(model) < _VOCABULARY_BYTES:
        raise ModelFileError("reader wrote no vocabulary", name=name)
    return Vocabulary(size, model, kind)


def _found(what: _What, kind: TypeAdapter[T], descriptor: int, name: str) -> T:
    return _understood(_asked(what, descriptor, name)[:_ANSWER_BYTES], kind, name)


def _asked(what: _What, descriptor: int, name: str, *more: str) -> bytes:
    try:
        ended = subprocess.run(
            [sys.executable, "-m", "appliance.inference.examine", what, *more],
            stdin=descriptor,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd=REPOSITORY,
            env=jail.environment(),
            timeout=_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise ModelFileError("reader took too long", name=name) from None
    except OSError as error:
        raise HakoError(f"reader of model files: {error}") from error
    if ended.returncode == jail.NOT_JAILED:
        raise HakoError("reader of model files: no jail")
    if ended.returncode:
        raise ModelFileError(f"reader ended with {ended.returncode}", name=name)
    return ended.stdout


def _understood(answer: bytes, kind: TypeAdapter[T], name: str) -> T:
    """The child's answer, believed only as far as it has the right shape: it has met the file."""
    try:
        said = json.loads(answer)
        if isinstance(said, dict) and "found" in said:
            return kind.validate_python(said["found"])
    except (ValueError, ValidationError):
        said = None
    said = said if isinstance(said, dict) else {}
    form = said.get("format")
    if isinstance(form, str) and _FORMAT.fullmatch(form):
        raise (ModelOldFormatError if form in formats.BEFORE_GGUF else ModelFormatError)(form, name=name, format=form)
    reason = next((said[key] for key in ("refused", "unknown") if key in said), None)
    if not isinstance(reason, str) or not _REASON.fullmatch(reason):
        raise ModelFileError("reader said nothing", name=name)
    raise (ModelVocabularyError if "unknown" in said else ModelFileError)(reason, name=name)


# -- the child


def _answer(what: _What) -> tuple[dict[str, object], bytes]:
    size = os.fstat(0).st_size
    if not size:
        return {"refused": "is empty"}, b""
    header = gguf.HEADER_BYTES
    longest = {"model": header, "template": header, "onnx": onnx_header.FILE_BYTES}.get(what, unigram.FILE_BYTES)
    try:
        data = mmap.mmap(0, min(size, longest), prot=mmap.PROT_READ)
    except (OSError, ValueError):
        return {"refused": "is no file that can be read in place"}, b""
    jail.enter(jail.Limits(memory_bytes=_MEMORY_BYTES + len(data), cpu_seconds=_CPU_SECONDS))
    try:
        return _READERS[what](data, size)
    except _REFUSALS as refused:
        return {"refused": str(refused)}, b""
    except unigram.UnknownVocabularyError as unknown:
        return {"unknown": str(unknown)}, b""
    except MemoryError:
        return {"refused": "needs too much memory to read"}, b""


def _model(data: mmap.mmap, size: int) -> tuple[dict[str, object], bytes]:
    form = formats.of(data[: formats.HEAD_BYTES])
    if form not in ("GGUF", ""):
        return {"format": form}, b""
    return {"found": asdict(gguf_projector.parse(data, size))}, b""


def _template(data: mmap.mmap, size: int) -> tuple[dict[str, object], bytes]:
    return {"found": gguf.chat_template(data, size)}, b""


def _onnx(data: mmap.mmap, size: int) -> tuple[dict[str, object], bytes]:
    form = formats.of(data[: formats.HEAD_BYTES])
    if form not in ("ONNX", ""):
        return {"format": form}, b""
    return {"found": asdict(onnx_header.parse(data, size))}, b""


def _tokenizer(data: mmap.mmap, size: int) -> tuple[dict[str, object], bytes]:
    if size > unigram.FILE_BYTES:
        return {"refused": "is too long"}, b""
    document = unigram.read(data[:size])
    model = document.get("model")
    is_wordpiece = isinstance(model, dict) and model.get("type") == "WordPiece"
    return _converted(wordpiece.convert(document) if is_wordpiece else unigram.made(document))


def _casing(data: mmap.mmap, size: int) -> tuple[dict[str, object], bytes]:
    if size > wordpiece.CONFIG_BYTES:
        return {"refused": "is too long"}, b""
    return {"found": asdict(wordpiece.casing(data[:size]))}, b""


def _pieces(data: mmap.mmap, size: int) -> tuple[dict[str, object], bytes]:
    if size > unigram.FILE_BYTES:
        return {"refused": "is too long"}, b""
    return _converted(wordpiece.listed(data[:size], Casing(**json.loads(sys.argv[2]))))


def _converted(vocabulary: Vocabulary) -> tuple[dict[str, object], bytes]:
    return {"found": (vocabulary.kind, vocabulary.size)}, vocabulary.model


def _config(data: mmap.mmap, size: int) -> tuple[dict[str, object], bytes]:
    if size > hf_config.FILE_BYTES:
        return {"refused": "is too long"}, b""
    return {"found": asdict(hf_config.parse(data[:size]))}, b""


def _pooling(data: mmap.mmap, size: int) -> tuple[dict[str, object], bytes]:
    if size > hf_config.FILE_BYTES:
        return {"refused": "is too long"}, b""
    return {"found": hf_config.pooling(data[:size])}, b""


def _genai(data: mmap.mmap, _size: int) -> tuple[dict[str, object], bytes]:
    return {"found": asdict(genai_config.parse(data[: genai_config.FILE_BYTES + 1]))}, b""


def _tokens(data: mmap.mmap, _size: int) -> tuple[dict[str, object], bytes]:
    return {"found": hf_tokenizer.size(data[: hf_tokenizer.VOCABULARY_BYTES + 1])}, b""


def _words(data: mmap.mmap, _size: int) -> tuple[dict[str, object], bytes]:
    return {"found": bool(hf_tokenizer.words(data[: hf_tokenizer.CONFIG_BYTES + 1]).template)}, b""


_REFUSALS: Final = (
    gguf.GgufError,
    onnx_fields.OnnxError,
    hf_config.ConfigError,
    unigram.VocabularyError,
    json_reader.DoubtfulError,
)

_READERS: Final[dict[_What, Callable[[mmap.mmap, int], tuple[dict[str, object], bytes]]]] = {
    "model": _model,
    "onnx": _onnx,
    "tokenizer": _tokenizer,
    "casing": _casing,
    "pieces": _pieces,
    "config": _config,
    "pooling": _pooling,
    "genai": _genai,
    "tokens": _tokens,
    "words": _words,
    "template": _template,
}


def main(what: _What) -> None:
    """The child. Ends at once: what an ordinary end would do is forbidden in the jail."""
    said, more = _answer(what)
    rest = memoryview(json.dumps(said).encode() + (b"\n" + more if more else b""))
    while rest:
        rest = rest[os.write(1, rest) :]
    os._exit(0)


if __name__ == "__main__":
    main(next(what for what in _READERS if what == sys.argv[1]))
