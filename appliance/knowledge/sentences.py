"""Sentence borders in Japanese and English text, as offsets."""

import bisect
import re

MAX_CHARS = 500
"""A longer sentence is cut at a comma or a space: it would not fit a passage, and nobody could check it."""

_BRACKETS = {"「": "」", "『": "』", "（": "）", "(": ")", "【": "】", "《": "》", "〈": "〉", "“": "”", "[": "]"}
_MAX_BRACKET = 160
_OPENERS = re.escape("\"'“‘(（[「『")
_CLOSERS = re.escape("」』）)】》〉”’\"']")

# A full stop of unspaced scripts, a Western one before a space and something that can start a sentence, a blank line.
# Tried once for each run of signs and without going back: thousands of dots in a row would take hours otherwise.
_END = re.compile(
    rf"(?P<cjk>[。｡！？](?:[。｡！？!?…]|[{_CLOSERS}](?![とがをにはもでのなっ、。]))*|．(?![0-9０-９]))"
    rf"|(?P<western>(?<![.!?…])[.!?…]++[{_CLOSERS}]*+)(?=\s++[{_OPENERS}]*+[^\s\W a-z]|\s*+$)"
    r"|(?P<blank>\n[ \t\u3000]*\n)"
)
_ABBREVIATIONS = frozenset(
    """
    mr mrs ms dr prof sr jr st vs cf fig figs vol pp al inc ltd co corp dept approx est eq sec art gen col lt sgt rev
    hon gov rep sen jan feb mar apr jun jul aug sep sept oct nov dec e.g i.e viz ca ed eds ph.d
    """.split()  # noqa: SIM905 - readable as a text
)
_BEFORE_NUMBER = frozenset({"no", "nos", "p", "ch", "item", "para", "tab", "ver"})
_WORD_BEFORE = re.compile(r"[\w.]+$")
_READABLE = re.compile(r"[^\W_]")
_SOFT_BREAK = re.compile(r"[、，,;；:：\s]")


def split(text: str) -> list[tuple[int, int]]:
    """(start, end) of every sentence in order, without the white space around it.

    Stretches without any letter or digit belong to no sentence.
    """
    spans: list[tuple[int, int]] = []
    start = 0
    for border in _borders(text):
        spans += _pieces(text, start, border)
        start = border
    return spans + _pieces(text, start, len(text))


def _borders(text: str) -> list[int]:
    shielded = _bracketed(text)
    borders: list[int] = []
    for found in _END.finditer(text):
        if found.lastgroup == "western" and _is_abbreviation(text, found.start()):
            continue
        if found.lastgroup != "blank" and _inside(shielded, found):
            continue
        borders.append(found.end())
    return borders


def _inside(shielded: list[tuple[int, int]], border: re.Match[str]) -> bool:
    """A full stop inside brackets doesn't count, save the last of a quotation that no particle ties to what follows."""
    at = bisect.bisect_left(shielded, (border.start(),)) - 1
    if at < 0 or border.start() > shielded[at][1]:
        return False
    closing = shielded[at][1]
    return border.end() <= closing or border.string[closing] not in "」』”"


def _bracketed(text: str) -> list[tuple[int, int]]:
    """Outermost bracket pairs that are short enough to belong to one sentence."""
    pairs: list[tuple[int, int]] = []
    position = 0
    for opening in re.finditer(r"[「『（(【《〈“\[]", text):
        if opening.start() < position:
            continue
        closing = _closing(text, opening.start())
        if closing is not None:
            pairs.append((opening.start(), closing))
            position = closing
    return pairs


def _closing(text: str, at: int) -> int | None:
    opener, closer = text[at], _BRACKETS[text[at]]
    depth = 0
    for i in range(at, min(len(text), at + _MAX_BRACKET)):
        if text[i] == opener:
            depth += 1
        elif text[i] == closer:
            depth -= 1
            if not depth:
                return i
    return None


def _is_abbreviation(text: str, stop: int) -> bool:
    if text[stop] != "." or text[stop : stop + 2] == "..":
        return False
    before = _WORD_BEFORE.search(text, max(0, stop - 24), stop)
    if before is None:
        return False
    word = before.group()
    if len(word) == 1 and word.isupper() and word != "I" and word.isascii():
        return True  # the initial of a name
    if word.lower() in _ABBREVIATIONS or re.fullmatch(r"(?:[A-Za-z]\.)+[A-Za-z]", word):
        return True
    return word.lower() in _BEFORE_NUMBER and text[stop + 1 : stop + 9].lstrip()[:1].isdigit()


def _pieces(text: str, start: int, end: int) -> list[tuple[int, int]]:
    """One sentence without the white space around it, cut where it is too long."""
    spans: list[tuple[int, int]] = []
    while True:
        while start < end and text[start].isspace():
            start += 1
        while end > start and text[end - 1].isspace():
            end -= 1
        if start >= end:
            return spans
        cut = end if end - start <= MAX_CHARS else _soft_break(text, start)
        if _READABLE.search(text, start, cut):
            spans.append((start, cut))
        start = cut


def _soft_break(text: str, start: int) -> int:
    limit = start + MAX_CHARS
    for i in range(limit, start + MAX_CHARS // 2, -1):
        if _SOFT_BREAK.match(text[i - 1]):
            return i
    return limit
