"""Plain text: paragraphs at blank lines, hard-wrapped lines joined, plain headings recognised."""

import re

from appliance.knowledge.extract.characters import join_lines, repair, width
from appliance.knowledge.extract.contract import PARTLY_UNREADABLE, Block, BlockKind, Extracted, choose_title
from appliance.knowledge.extract.encodings import Decoded
from appliance.knowledge.extract.sections import paginate

_WRAP_MAX = 100
_LONG_LINE = 60
_HEADING_MAX = 60
_UNDERLINE = re.compile(r"([=\-~^*#])\1{3,}$")
_RULE = re.compile(r"[\W_]{4,}$")
_CHAPTER = re.compile(r"(?:第[0-9０-９一二三四五六七八九十百]{1,4}[編章部]|chapter\s+\d+|part\s+\d+)\b", re.IGNORECASE)
_SECTION = re.compile(
    r"(?:第[0-9０-９一二三四五六七八九十百]{1,4}[節条款]"
    r"|[0-9０-９]{1,2}(?:[.．][0-9０-９]{1,2}){0,3}[.．]?[ \u3000]|[■●◆□○◇▼★]|【)"
)
_ITEM = re.compile(r"[ \t\u3000]*(?:[-*+•・‣◦]|[(（]?[0-9０-９a-zA-Zア-ンｱ-ﾝ]{1,2}[)）.．]|[①-⑳])[ \u3000]?\S")
_ENDED = tuple("。．！？!?.:：」』）)")


def extract_text(decoded: Decoded, name: str) -> Extracted:
    """A plain text file."""
    blocks = text_blocks(decoded.text)
    warnings = (f"{PARTLY_UNREADABLE}:{decoded.unreadable}",) if decoded.unreadable else ()
    return Extracted("txt", choose_title([], blocks, name), paginate(blocks), warnings)


def text_blocks(text: str) -> list[Block]:
    """Blocks of plain text."""
    lines = [line.rstrip(" \t\u3000") for line in repair(text).replace("\t", "    ").split("\n")]
    wrap = _wrap_width(lines)
    blocks: list[Block] = []
    group: list[str] = []
    for line in [*lines, ""]:
        if line:
            group.append(line)
        elif group:
            blocks.extend(_group_blocks(group, wrap))
            group = []
    return blocks


def _wrap_width(lines: list[str]) -> int:
    """The column at which this file was hard-wrapped; 0 if it wasn't."""
    widths = sorted(width(line) for line in lines[:5000] if line)
    if len(widths) < 4:
        return 0
    high = widths[int(len(widths) * 0.95)]
    near = sum(1 for value in widths if high * 0.85 <= value <= high * 1.1)
    return high if _LONG_LINE // 2 < high <= _WRAP_MAX and near >= len(widths) * 0.3 else 0


def _group_blocks(group: list[str], wrap: int) -> list[Block]:
    """The blocks of a run of lines without a blank one between."""
    heading = _heading(group)
    if heading is not None:
        rest = group[2:] if len(group) > 1 and _UNDERLINE.match(group[1].strip()) else group[1:]
        return [heading, *(_group_blocks(rest, wrap) if rest else [])]
    kind: BlockKind = (
        "list" if _ITEM.match(group[0]) and len(group) > 1 and _share_of_items(group) > 0.4 else "paragraph"
    )
    blocks: list[Block] = []
    current = ""
    previous = ""
    for line in group:
        if _RULE.match(line.strip()) and not any(char.isalnum() for char in line):
            continue
        if not current:
            current = line.strip()
        elif _continues(previous, line, wrap):
            current = join_lines(current, line)
        elif kind == "paragraph" and max(width(previous), width(line)) >= _LONG_LINE:
            blocks.append(Block(kind, current))
            current = line.strip()
        else:
            current = f"{current}\n{line.strip()}"
        previous = line
    if current:
        blocks.append(Block(kind, current))
    return blocks


def _share_of_items(group: list[str]) -> float:
    return sum(1 for line in group if _ITEM.match(line)) / len(group)


def _continues(previous: str, line: str, wrap: int) -> bool:
    """True if the line break between the two came from hard wrapping, not from the author."""
    if not wrap or width(previous) < wrap * 0.75 or _ITEM.match(line):
        return False
    if line[0] == "\u3000" and previous[0] != "\u3000":
        return False
    return not previous.endswith(_ENDED) or width(previous) >= wrap * 0.9


def _heading(group: list[str]) -> Block | None:
    """The first line as a heading if it is underlined, numbered or marked as one, and short."""
    line = group[0].strip()
    if width(line) > _HEADING_MAX or line.endswith(("。", "、", ",", "，")):
        return None
    if len(group) > 1 and (mark := _UNDERLINE.match(group[1].strip())) and any(char.isalnum() for char in line):
        return Block("heading", line, 1 if mark[1] in "=#*" else 2)
    if len(group) > 1 and _share_of_items(group) > 0.4:
        return None
    if _CHAPTER.match(line):
        return Block("heading", line, 1)
    if _SECTION.match(line) and (len(group) == 1 or width(group[1]) > width(line)):
        return Block(
            "heading", line, 2 if not line[0].isdigit() else min(2 + len(re.findall("[.．][0-9０-９]", line)), 6)
        )
    return None
