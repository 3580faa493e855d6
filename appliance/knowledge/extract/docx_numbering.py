"""Automatic numbers of DOCX lists and headings: 第3条 and 1.2 are not in the text, Word counts them."""

import re
from dataclasses import dataclass, field

from lxml import etree

from appliance.knowledge.extract.docx_package import attribute, child, local

_KANJI = "〇一二三四五六七八九"
_AIUEO = "アイウエオカキクケコサシスセソタチツテトナニヌネノハヒフヘホマミムメモヤユヨラリルレロワヲン"
_IROHA = "イロハニホヘトチリヌルヲワカヨタレソツネナラムウヰノオクヤマケフコエテアサキユメミシヱヒモセスン"
_ROMAN = ((1000, "m"), (900, "cm"), (500, "d"), (400, "cd"), (100, "c"), (90, "xc"), (50, "l"), (40, "xl"), (10, "x"))
_ROMAN_ONES = ("", "i", "ii", "iii", "iv", "v", "vi", "vii", "viii", "ix")
_LEVELS = 9


@dataclass(slots=True)
class _Level:
    start: int = 1
    style: str = "decimal"
    text: str = ""


@dataclass(slots=True)
class _Scheme:
    levels: dict[int, _Level] = field(default_factory=dict)
    counts: list[int | None] = field(default_factory=lambda: [None] * _LEVELS)


class Numbering:
    """Counts the paragraphs of each list as Word would."""

    def __init__(self, root: etree._Element | None) -> None:
        abstract: dict[str, _Scheme] = {}
        self._schemes: dict[str, _Scheme] = {}
        for element in root if root is not None else ():
            if local(element) == "abstractNum":
                abstract[attribute(element, "abstractNumId")] = _scheme(element)
            elif local(element) == "num":
                base = child(element, "abstractNumId")
                shared = abstract.get(attribute(base, "val")) if base is not None else None
                if shared is not None:
                    self._schemes[attribute(element, "numId")] = _overridden(shared, element)

    def mark(self, number_id: str, level: int) -> str:
        """The mark in front of the next paragraph of this list: `-` for bullets, nothing if there is no such list."""
        scheme = self._schemes.get(number_id)
        if scheme is None or not 0 <= level < _LEVELS:
            return ""
        kind = scheme.levels.get(level, _Level())
        before = scheme.counts[level]
        scheme.counts[level] = kind.start if before is None else before + 1
        scheme.counts[level + 1 :] = [None] * (_LEVELS - level - 1)
        if kind.style == "bullet":
            return "-"
        if kind.style == "none":
            return ""

        def value(found: re.Match[str]) -> str:
            place = int(found[1]) - 1
            counted = scheme.counts[place] if place < _LEVELS else None
            shown = scheme.levels.get(place, _Level())
            return _number(shown.start if counted is None else counted, shown.style)

        return re.sub(r"%([1-9])", value, kind.text).strip()


def _scheme(element: etree._Element) -> _Scheme:
    scheme = _Scheme()
    for level in element:
        if local(level) == "lvl":
            _read_level(scheme, level)
    return scheme


def _read_level(scheme: _Scheme, element: etree._Element) -> None:
    place = _integer(attribute(element, "ilvl"), 0)
    level = scheme.levels.setdefault(place, _Level())
    for entry in element:
        name, value = local(entry), attribute(entry, "val")
        if name == "start":
            level.start = _integer(value, 1)
        elif name == "numFmt":
            level.style = value
        elif name == "lvlText":
            level.text = value[:60]


def _overridden(shared: _Scheme, number: etree._Element) -> _Scheme:
    """The shared scheme, or a copy with its own counts where this list starts again."""
    overrides = [entry for entry in number if local(entry) == "lvlOverride"]
    if not overrides:
        return shared
    own = _Scheme({place: _Level(level.start, level.style, level.text) for place, level in shared.levels.items()})
    for override in overrides:
        place = _integer(attribute(override, "ilvl"), 0)
        start = child(override, "startOverride")
        if start is not None:
            own.levels.setdefault(place, _Level()).start = _integer(attribute(start, "val"), 1)
        level = child(override, "lvl")
        if level is not None:
            _read_level(own, level)
    return own


def _integer(text: str, otherwise: int) -> int:
    return int(text) if text.isdecimal() and len(text) <= 6 else otherwise


def _number(value: int, style: str) -> str:  # noqa: PLR0911 (one line per style)
    if value < 1:
        return str(value)
    lowered = style.lower()
    if "roman" in lowered:
        return _roman(value).upper() if lowered.startswith("upper") else _roman(value)
    if "letter" in lowered:
        letter = chr(ord("a") + (value - 1) % 26) * ((value - 1) // 26 % 5 + 1)
        return letter.upper() if lowered.startswith("upper") else letter
    if lowered.startswith("aiueo"):
        return _AIUEO[(value - 1) % len(_AIUEO)]
    if lowered.startswith("iroha"):
        return _IROHA[(value - 1) % len(_IROHA)]
    if "enclosedcircle" in lowered and value <= 20:
        return chr(0x2460 + value - 1)
    if lowered in ("decimalfullwidth", "decimalfullwidth2"):
        return str(value).translate({ord(str(digit)): chr(0xFF10 + digit) for digit in range(10)})
    if "counting" in lowered or "ideograph" in lowered or "legal" in lowered or "kanji" in lowered:
        return _kanji(value)
    return f"{value:02d}" if lowered == "decimalzero" else str(value)


def _roman(value: int) -> str:
    parts = []
    rest = value % 5000
    for size, letters in _ROMAN:
        parts.append(letters * (rest // size))
        rest %= size
    return "".join(parts) + _ROMAN_ONES[rest]


def _kanji(value: int) -> str:
    """二十一 for 21; digit by digit from ten thousand up, where no document counts."""
    if value >= 10_000:
        return "".join(_KANJI[int(digit)] for digit in str(value))
    text = ""
    for size, unit in ((1000, "千"), (100, "百"), (10, "十")):
        digit, value = divmod(value, size)
        if digit:
            text += ("" if digit == 1 else _KANJI[digit]) + unit
    return text + (_KANJI[value] if value else "")
