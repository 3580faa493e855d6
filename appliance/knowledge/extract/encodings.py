"""Which encoding a text is in: marks and strict tests first, then a score per character."""

import codecs
from collections import Counter
from dataclasses import dataclass

_SAMPLE = 1 << 18
_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
BOMS = tuple(mark for mark, _ in _MARKS)
# What pages call their encoding -> the codec that reads it in practice.
_LABELS = {
    "utf-8": "utf-8", "utf8": "utf-8", "shift_jis": "cp932", "shift-jis": "cp932", "x-sjis": "cp932", "sjis": "cp932",
    "windows-31j": "cp932", "cp932": "cp932", "ms_kanji": "cp932", "euc-jp": "euc_jp", "x-euc-jp": "euc_jp",
    "iso-2022-jp": "iso2022_jp_ext", "iso-8859-1": "cp1252", "latin1": "cp1252", "windows-1252": "cp1252",
    "us-ascii": "cp1252", "windows-1250": "cp1250", "iso-8859-2": "iso8859_2", "windows-1251": "cp1251",
    "koi8-r": "koi8_r", "gb2312": "gb18030", "gbk": "gb18030", "gb18030": "gb18030", "big5": "big5hkscs",
    "euc-kr": "cp949", "ks_c_5601-1987": "cp949",
}  # fmt: skip
CODECS = frozenset(_LABELS.values()) | {
    "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "iso2022_jp", "euc_jis_2004", "cp437", "ascii",
    "latin-1", "idna",
}  # fmt: skip
"""Every codec a reader may need: loaded before the jail closes, for a codec is a file."""


@dataclass(frozen=True, slots=True)
class Decoded:
    """A text and how it was read."""

    text: str
    encoding: str
    unreadable: int
    """Characters that no encoding could read; they are U+FFFD in the text."""


def preload() -> None:
    """Load every codec, since the sandbox can't open files."""
    for name in sorted(CODECS):
        "".encode(name)
        b"".decode(name)


def decode(data: bytes, label: str | None = None) -> Decoded:  # noqa: PLR0911 (an ordered list of tests)
    """Read bytes as text; `label` is what the document itself calls its encoding, a hint that must hold."""
    for mark, encoding in _MARKS:
        if data.startswith(mark):
            return _replaced(data, encoding)
    if b"\x1b$" in data or b"\x1b(I" in data:  # before UTF-8: 7-bit JIS is valid UTF-8 too
        return _first_strict(data, ("iso2022_jp", "iso2022_jp_ext")) or _replaced(data, "iso2022_jp_ext")
    hinted = _LABELS.get(label.strip().lower()) if label else None
    found = _first_strict(data, ("utf-8",))
    if found and b"\x00" not in data[:_SAMPLE]:
        return found
    wide = _utf16(data)
    if wide:
        return wide
    if found:
        return found
    if hinted and (read := _first_strict(data, (hinted,))):
        return read
    return _best_scored(data)


def _first_strict(data: bytes, encodings: tuple[str, ...]) -> Decoded | None:
    for encoding in encodings:
        try:
            return Decoded(data.decode(encoding), encoding, 0)
        except UnicodeDecodeError:
            continue
    return None


def _replaced(data: bytes, encoding: str) -> Decoded:
    text = data.decode(encoding, "replace")
    return Decoded(text, encoding, text.count("\ufffd"))


def is_utf16(data: bytes) -> bool:
    """True for UTF-16 text without a mark."""
    return _utf16(data) is not None


def _utf16(data: bytes) -> Decoded | None:
    """One half of the bytes is mostly 00 (Latin) or 30 (kana and punctuation)."""
    sample = data[: _SAMPLE & ~1]
    if len(sample) < 4:
        return None
    shares = []
    for half in (sample[0::2], sample[1::2]):
        counts = Counter(half)
        shares.append((counts[0x00] + counts[0x30]) / len(half))
    big, little = shares
    if max(shares) < 0.25 or min(shares) * 2 > max(shares):
        return None
    encoding = "utf-16-be" if big > little else "utf-16-le"
    read = _first_strict(data[: len(data) & ~1], (encoding,))
    if read is None or "\x00" in read.text[:_SAMPLE] or _score(read.text[:_SAMPLE]) < 1.0:
        return None
    return read


def _best_scored(data: bytes) -> Decoded:
    """The best of the 8-bit encodings; a few damaged bytes don't decide it."""
    sample = data[:_SAMPLE]
    high = Counter(sample)
    half_kana = sum(sample.count(bytes((0x8E, code))) for code in range(0xA1, 0xE0))
    total_high = sum(count for code, count in high.items() if code >= 0x80)
    if half_kana and half_kana * 2 >= total_high * 0.8:
        return _first_strict(data, ("euc_jp", "euc_jis_2004")) or _replaced(data, "euc_jp")
    order = ("utf-8", "cp932", "euc_jp", "euc_jis_2004", "cp1252")
    scored = [(_score(sample.decode(encoding, "replace")), -place) for place, encoding in enumerate(order)]
    return _replaced(data, order[-max(scored)[1]])


def _score(text: str) -> float:
    """How much a text looks like one that people write, per character."""
    if not text:
        return 0.0
    counts = Counter(text)
    total = sum(_weight(char) * count for char, count in counts.items())
    return total / len(text)


def _weight(char: str) -> float:  # noqa: PLR0911 (one line per class of characters)
    code = ord(char)
    if code < 0x80:
        return 1.0 if code >= 0x20 or char in "\t\n\r\f" else -5.0
    if 0x3040 <= code <= 0x30FF or char in "、。「」":
        return 3.0
    if 0xC0 <= code <= 0xFF and code not in (0xD7, 0xF7):
        return 0.5  # accented Latin letter
    if 0xFF61 <= code <= 0xFF9F:
        return 0.6
    if 0xE000 <= code <= 0xF8FF or char == "\ufffd" or 0x80 <= code < 0xA0:
        return -5.0
    if 0x4E00 <= code <= 0x9FFF:
        return 2.0 if _is_common(char) else -1.0
    return 0.5 if 0x3000 <= code <= 0x303F or 0xFF00 <= code <= 0xFF60 else -0.5


def _is_common(char: str) -> bool:
    """A kanji of JIS level 1, which is rows 16 to 47 of the table."""
    try:
        first = char.encode("euc_jp")[0]
    except UnicodeEncodeError:
        return False
    return 0xB0 <= first <= 0xCF
