"""Markdown: CommonMark with tables, read from its tokens; front matter gives the title."""

import re
from collections.abc import Sequence

from markdown_it import MarkdownIt
from markdown_it.token import Token
from selectolax.lexbor import LexborHTMLParser

from appliance.knowledge.extract.characters import SOFT_BREAK, close_up, repair, tidy
from appliance.knowledge.extract.contract import PARTLY_UNREADABLE, Block, Extracted, choose_title, table_row
from appliance.knowledge.extract.encodings import Decoded
from appliance.knowledge.extract.html import html_blocks
from appliance.knowledge.extract.sections import paginate

_FRONT = re.compile(r"\A---[ \t]*\n(.{0,20000}?)\n(?:---|\.\.\.)[ \t]*(?:\n|\Z)", re.DOTALL)
_FRONT_TITLE = re.compile(r"^title:[ \t]*[\"']?(.*?)[\"']?[ \t]*$", re.MULTILINE | re.IGNORECASE)
_TAG = re.compile(r"<[^<>]{0,500}>")
# Deeper than any person writes, and the parser drops what lies below its own limit.
_DEEP_QUOTE = re.compile(r"^((?:[ ]{0,3}>){40})[ >]+", re.MULTILINE)
_DEEP_INDENT = re.compile(r"^([ ]{80})[ ]+", re.MULTILINE)
_NESTING_MAX = 200
_LISTS = ("bullet_list_open", "ordered_list_open")


def extract_markdown(decoded: Decoded, name: str) -> Extracted:
    """A Markdown file."""
    text = repair(decoded.text)
    titles: list[str] = []
    if front := _FRONT.match(text):
        titles = _FRONT_TITLE.findall(front[1])[:1]
        text = text[front.end() :]
    blocks = markdown_blocks(text)
    warnings = (f"{PARTLY_UNREADABLE}:{decoded.unreadable}",) if decoded.unreadable else ()
    return Extracted("md", choose_title(titles, blocks, name), paginate(blocks), warnings)


def markdown_blocks(text: str) -> list[Block]:
    """Blocks of Markdown text."""
    parser = MarkdownIt("commonmark", {"maxNesting": _NESTING_MAX}).enable(["table", "strikethrough"])
    reader = _Reader()
    for token in parser.parse(_DEEP_INDENT.sub(r"\1", _DEEP_QUOTE.sub(r"\1 ", text))):
        reader.take(token)
    reader.flush_items()
    return reader.blocks


class _Reader:
    """Turns the flat token stream into blocks."""

    def __init__(self) -> None:
        self.blocks: list[Block] = []
        self._heading = 0
        self._lists: list[int | None] = []
        self._items: list[str] = []
        self._mark = ""
        self._row: list[str] | None = None
        self._rows: list[str] = []

    def take(self, token: Token) -> None:  # noqa: C901 (one branch per kind of token)
        kind = token.type
        if kind == "inline":
            self._inline(tidy(_inline_text(token.children or [])))
        elif kind in ("fence", "code_block"):
            self._code(token.content.rstrip("\n"))
        elif kind == "html_block":
            for block in html_blocks(LexborHTMLParser(token.content)):
                self._add(block)
        elif kind == "heading_open":
            self._heading = int(token.tag[1:])
        elif kind == "heading_close":
            self._heading = 0
        elif kind in (*_LISTS, "list_item_open", "bullet_list_close", "ordered_list_close"):
            self._list(token)
        elif kind == "tr_open":
            self._row = []
        elif kind == "tr_close" and self._row is not None:
            self._rows.append(table_row(self._row))
            self._row = None
        elif kind == "table_close":
            self._add(Block("table", "\n".join(self._rows)))
            self._rows = []

    def _inline(self, text: str) -> None:
        if self._row is not None:
            self._row.append(text)
        elif not text:
            return
        elif self._heading:
            self._add(Block("heading", text.replace("\n", " "), self._heading))
        elif self._lists:
            self._items.append((self._mark or "  " * len(self._lists)) + text.replace("\n", " "))
            self._mark = ""
        else:
            self._add(Block("paragraph", text))

    def _code(self, text: str) -> None:
        if text.strip():
            self._add(Block("code", text))

    def _list(self, token: Token) -> None:
        if token.type in _LISTS:
            self._lists.append(int(token.attrGet("start") or 1) if token.type == "ordered_list_open" else None)
        elif token.type == "list_item_open":
            indent = "  " * (len(self._lists) - 1)
            number = self._lists[-1]
            self._mark = f"{indent}- " if number is None else f"{indent}{number}. "
            if number is not None:
                self._lists[-1] = number + 1
        else:
            self._lists.pop()
            if not self._lists:
                self.flush_items()

    def _add(self, block: Block) -> None:
        self.flush_items()
        self.blocks.append(block)

    def flush_items(self) -> None:
        if self._items:
            self.blocks.append(Block("list", "\n".join(self._items)))
            self._items = []


def _inline_text(tokens: Sequence[Token]) -> str:
    """The words of a line: links and pictures by their text, soft breaks closed up between Japanese."""
    parts: list[str] = []
    for token in tokens:
        if token.type in ("text", "code_inline", "text_special", "image"):
            parts.append(token.content)
        elif token.type == "softbreak":
            parts.append(SOFT_BREAK)
        elif token.type == "hardbreak" or (token.type == "html_inline" and token.content.lower().startswith("<br")):
            parts.append("\n")
        elif token.type == "html_inline":
            parts.append(_TAG.sub("", token.content))
    return close_up("".join(parts))
