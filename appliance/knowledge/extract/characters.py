"""Characters: what is repaired in every text, and how two lines are joined into one."""

import re
import unicodedata

_KANGXI = {code: unicodedata.normalize("NFKC", chr(code)) for code in range(0x2F00, 0x2FD6)}
# Unicode's EquivalentUnifiedIdeograph for U+2E81…2EF3; U+2E9A is unassigned (here a blank). NFKC knows two of them.
_SUPPLEMENT = (
    "厂乛乚乙亻冂𠘨刀刂卜㔾小小兀尣尢𡯂巳幺彑𫜹忄心扌攵 旡日月歺母民氵氺灬爫爫丬牛犭王𤴔目示礻𥫗糹纟罓罒㓁冗𦉫羊"
    "𦍌𦍋耂肀聿肉𦥑艹艹艹虎衤覀西见角𧢲讠贝𧾷车辶辶辶邑钅長镸长门𨸏阝雨青韦页风飞食𩙿飠饣𩠐马骨鬼鱼鸟卤麦黄黾斉齐歯齿竜龙龜亀龟"
)
_RADICALS = {0x2E81 + place: char for place, char in enumerate(_SUPPLEMENT) if char != " "} | _KANGXI

# Characters that nobody sees but that break search or carry hidden instructions to a model: soft hyphen, zero-width
# space, word joiner, byte order mark, direction overrides, "tag" letters, controls other than tab and newline.
_INVISIBLE = dict.fromkeys(
    [0xAD, 0x180E, 0x200B, 0x200E, 0x200F, 0x2060, 0xFEFF, 0xFFF9, 0xFFFA, 0xFFFB, 0xFFFE, 0xFFFF]
    + [*range(0x202A, 0x202F), *range(0x2061, 0x206A), *range(0xE0000, 0xE0080)]
    + [code for code in [*range(0x20), *range(0x7F, 0xA0)] if code not in (0x09, 0x0A)]
)
_REPAIRS: dict[int, str | None] = {**_RADICALS, **_INVISIBLE, 0x85: "\n", 0x2028: "\n", 0x2029: "\n", 0x0C: "\n"}
_HALF_KANA = re.compile("[\uff61-\uff9f]+")
_SURROGATES = re.compile("[\ud800-\udfff]")
_BLANKS = re.compile("[ \t\u00a0\u2000-\u200a\u202f\u205f]+")
_EDGES = " \t\u3000"
SOFT_BREAK = "\x1f"
"""Stands for a line break that only the source has, until `close_up` decides what it means."""

# Han, kana, their punctuation and full-width forms: written without spaces between words. Not Hangul, which has them.
_UNSPACED = (
    (0x2E80, 0x312F),
    (0x31A0, 0x4DBF),
    (0x4E00, 0x9FFF),
    (0xF900, 0xFAFF),
    (0xFE30, 0xFE4F),
    (0xFF00, 0xFF9F),
    (0xFFE0, 0xFFE6),
    (0x1B000, 0x1B16F),
    (0x20000, 0x3FFFD),
)


def repair(text: str) -> str:
    """The author's text without accidents of fonts and old encodings.

    Radicals become the ideographs that they stand for, half-width katakana full-width, composed forms NFC;
    invisible characters go. Everything else stays as written: search normalises for itself.
    """
    text = text.replace("\r\n", "\n").replace("\r", "\n").translate(_REPAIRS)
    text = _HALF_KANA.sub(lambda found: unicodedata.normalize("NFKC", found[0]), text)
    return unicodedata.normalize("NFC", _SURROGATES.sub("\ufffd", text))


def tidy(text: str) -> str:
    """`repair`, then single spaces and no blank edges; line breaks stay, blank lines go."""
    lines = (_BLANKS.sub(" ", line).strip(_EDGES) for line in repair(text).split("\n"))
    return "\n".join(line for line in lines if line)


def is_unspaced(char: str) -> bool:
    """True for a character of a script that puts no spaces between words."""
    code = ord(char)
    return code >= 0x2E80 and any(low <= code <= high for low, high in _UNSPACED)


def join_lines(first: str, second: str) -> str:
    """Two lines of one paragraph as one: a space between words, none where Japanese or Chinese touches."""
    first, second = first.rstrip(_EDGES), second.lstrip(_EDGES)
    if not first or not second:
        return first or second
    if is_unspaced(first[-1]) or is_unspaced(second[0]):
        return first + second
    return f"{first} {second}"


def close_up(text: str) -> str:
    """Text whose soft breaks became spaces between words, and nothing between Japanese or Chinese."""
    first, *others = text.split(SOFT_BREAK)
    for line in others:
        first = join_lines(first, line)
    return first


def width(text: str) -> int:
    """Columns on a terminal: wide characters count two."""
    return len(text) if text.isascii() else sum(2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in text)
