"""The form of a text that searching and comparing work on, and which language a text is in."""

import re
import unicodedata
from typing import Literal

Language = Literal["ja", "en"]

# Scripts written without spaces between words: kana, ideographs, Hangul, Thai, Lao, Khmer, Burmese.
UNSPACED = (
    "\u0e00-\u0e7f\u0e80-\u0eff\u1000-\u109f\u1780-\u17ff"
    "\u3005-\u3007\u3021-\u3029\u3031-\u3035\u303b\u3041-\u3096\u309d-\u309f\u30a1-\u30fa\u30fc-\u30ff\u31f0-\u31ff"
    "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
    "\uac00-\ud7af"
)
HIRAGANA = "\u3041-\u3096\u309d-\u309f"

_JAPANESE = re.compile("[\u3005-\u3007\u3041-\u3096\u309d-\u309f\u30a1-\u30fa\u30fc-\u30ff\u3400-\u4dbf\u4e00-\u9fff]")
_LETTER = re.compile(r"[^\W\d_]")
_JAPANESE_SHARE = 0.15

# Soft hyphen, zero-width characters, direction marks, variation selectors: they are written but not read.
_INVISIBLE = dict.fromkeys(
    code
    for first, last in (
        *((0xAD, 0xAD), (0x34F, 0x34F), (0x61C, 0x61C), (0x180E, 0x180E), (0xFEFF, 0xFEFF)),
        *((0x200B, 0x200F), (0x202A, 0x202E), (0x2060, 0x206F), (0xFE00, 0xFE0F), (0xE0000, 0xE01EF)),
    )
    for code in range(first, last + 1)
)


def search_form(text: str) -> str:
    """NFKC without case and invisible characters; offsets into it mean nothing in the original."""
    if text.isascii():
        return text.lower()
    return unicodedata.normalize("NFKC", text.translate(_INVISIBLE)).casefold()


def language_of(text: str) -> Language:
    """Japanese as soon as a noticeable part of the letters is, for Latin words abound in Japanese texts."""
    letters = len(_LETTER.findall(text))
    return "ja" if letters and len(_JAPANESE.findall(text)) / letters >= _JAPANESE_SHARE else "en"
