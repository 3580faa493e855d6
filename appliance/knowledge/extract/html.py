"""HTML: what a reader of the page would read, without navigation, scripts and hidden parts."""

import re
from dataclasses import dataclass

from selectolax.lexbor import LexborHTMLParser, LexborNode

from appliance.knowledge.extract.characters import SOFT_BREAK, close_up, tidy
from appliance.knowledge.extract.contract import (
    PARTLY_UNREADABLE,
    Block,
    Extracted,
    choose_title,
)
from appliance.knowledge.extract.encodings import Decoded
from appliance.knowledge.extract.html_tables import is_layout, table_rows
from appliance.knowledge.extract.sections import paginate

_DROPPED = frozenset(
    """
    head script style noscript template nav footer aside iframe object embed svg canvas math video audio map
    input select button textarea datalist dialog rt rp rtc
    """.split()  # noqa: SIM905 (a list of sixty strings is harder to read)
)
_BLOCKS = frozenset(
    """
    html body main article section div p blockquote figure figcaption address center details summary fieldset legend
    form header hgroup ul ol menu dl dt dd li table caption thead tbody tfoot tr td th pre hr h1 h2 h3 h4 h5 h6
    """.split()  # noqa: SIM905
)
_HEADINGS = {f"h{level}": level for level in range(1, 7)}
_DEPTH_MAX = 512
# Elements that close themselves don't pile up.
_TAG = re.compile(
    r"<(/?)(?!(?:p|li|t[dhr]|thead|tbody|tfoot|d[dt]|option|br|img|input|meta|link|hr|wbr|col|html|head|body)\b)"
    r"[a-z][a-z0-9-]*\b[^<>]*>",
    re.IGNORECASE,
)
_BLANKS = re.compile(r"[ \t\r\n\f]+")
_HIDDEN_STYLE = re.compile(r"display\s*:\s*none|visibility\s*:\s*hidden|font-size\s*:\s*0(?![.\d])", re.IGNORECASE)


def extract_html(decoded: Decoded, name: str) -> Extracted:
    """A page."""
    tree = LexborHTMLParser(_flattened(decoded.text.replace("\x00", "")))
    title = tree.css_first("title")
    blocks = html_blocks(tree)
    warnings = (f"{PARTLY_UNREADABLE}:{decoded.unreadable}",) if decoded.unreadable else ()
    named = [tidy(title.text())] if title is not None else []
    return Extracted("html", choose_title(named, blocks, name), paginate(blocks), warnings)


def html_blocks(tree: LexborHTMLParser) -> list[Block]:
    """Blocks of a parsed page or fragment."""
    if tree.body is None:
        return []
    walk = _Walk()
    walk.run(tree.body)
    return walk.blocks


@dataclass(frozen=True, slots=True)
class PageLinks:
    """What a page calls itself and links to, as written: addresses with their words, below `base` if it names one."""

    title: str
    base: str
    links: list[tuple[str, str]]


def html_links(decoded: Decoded, most: int) -> PageLinks:
    """Up to `most` links of a page, also of one without a text to read."""
    tree = LexborHTMLParser(_flattened(decoded.text.replace("\x00", "")))
    base, title = tree.css_first("base[href]"), tree.css_first("title")
    found: list[tuple[str, str]] = []
    for node in tree.css("a[href]"):
        if len(found) >= most:
            break
        words = " ".join(tidy(close_up(_soften(node.text() or ""))).split())
        found.append((node.attributes.get("href") or "", words))
    return PageLinks(
        " ".join(tidy(title.text()).split()) if title is not None else "",
        (base.attributes.get("href") or "") if base is not None else "",
        found,
    )


def _flattened(text: str) -> str:
    """The page with nesting cut at a depth that no real page has: the parser's time grows with its square."""
    depth = deepest = 0
    for found in _TAG.finditer(text):
        depth = max(depth - 1, 0) if found[1] else depth + 1
        deepest = max(deepest, depth)
    if deepest <= _DEPTH_MAX:
        return text
    depth = 0

    def keep(found: re.Match[str]) -> str:
        nonlocal depth
        if not found[1]:
            depth += 1
            return found[0] if depth <= _DEPTH_MAX else " "
        depth = max(depth - 1, 0)
        return found[0] if depth < _DEPTH_MAX else " "

    return _TAG.sub(keep, text)


def _is_dropped(node: LexborNode) -> bool:
    tag = node.tag
    if tag in _DROPPED:
        return True
    if tag == "header":  # of the site, unless it heads an article
        return node.parent is None or node.parent.tag not in ("article", "main", "section")
    if tag == "form":  # some sites put the whole page into one
        return node.css_first("h1,h2,h3,p,table,article") is None
    attributes = node.attributes
    if not attributes:
        return False
    if "hidden" in attributes or attributes.get("aria-hidden") == "true" or attributes.get("role") == "navigation":
        return True
    return bool(_HIDDEN_STYLE.search(attributes.get("style") or ""))


def _first_number(node: LexborNode) -> int:
    start = node.attributes.get("start") or "1"
    return int(start) if start.isdecimal() and len(start) < 8 else 1


def _soften(text: str) -> str:
    """Blanks as browsers show them, remembering where there was a line break in the source."""
    return _BLANKS.sub(lambda found: SOFT_BREAK if "\n" in found[0] else " ", text)


class _Walk:
    """Collects blocks while walking the tree; without recursion, since a page chooses its own depth."""

    def __init__(self) -> None:
        self.blocks: list[Block] = []
        self._text: list[str] = []
        self._items: list[str] = []
        self._lists: list[int | None] = []
        self._mark = ""

    def run(self, root: LexborNode) -> None:
        node: LexborNode | None = root
        while node is not None:
            below = self._enter(node)
            if below is not None:
                node = below
                continue
            while node is not None and node.mem_id != root.mem_id and node.next is None:
                node = node.parent
                if node is not None:
                    self._leave(node)
            if node is None or node.mem_id == root.mem_id:
                break
            node = node.next
        self._flush()
        self._flush_items()

    def _enter(self, node: LexborNode) -> LexborNode | None:
        """Take a node in; its first child if that is to be walked, too. Childless nodes are left at once."""
        tag = node.tag or ""
        if tag == "-text":
            self._text.append(_soften(node.text_content or ""))
            return None
        if tag == "br":
            self._text.append("\n")
            return None
        if tag.startswith("-") or not node.is_element_node or _is_dropped(node):
            return None
        if tag in _HEADINGS or tag == "pre" or (tag == "table" and not is_layout(node)):
            self._whole(node, tag)
            return None
        if tag in _BLOCKS:
            self._flush()
            self._open(node, tag)
        below = node.first_child
        if below is None:
            self._leave(node)
        return below

    def _whole(self, node: LexborNode, tag: str) -> None:
        """An element that becomes one block by itself."""
        self._flush()
        if tag == "table":
            self._flush_items()
            rows = table_rows(node)
            if rows:
                self.blocks.append(Block("table", "\n".join(rows)))
        elif tag == "pre":
            self._flush_items()
            text = (node.text() or "").strip("\n")
            if text.strip():
                self.blocks.append(Block("code", text))
        else:
            for ruby in node.css("rt, rp"):
                ruby.decompose()
            text = tidy(close_up(_soften(node.text() or "")))
            if text:
                self._flush_items()
                self.blocks.append(Block("heading", text, _HEADINGS[tag]))

    def _open(self, node: LexborNode, tag: str) -> None:
        if tag in ("ul", "ol", "menu"):
            self._lists.append(_first_number(node) - 1 if tag == "ol" else None)
        elif tag == "li":
            indent = "  " * max(len(self._lists) - 1, 0)
            self._mark = f"{indent}- "
            if self._lists and (count := self._lists[-1]) is not None:
                self._lists[-1] = count + 1
                self._mark = f"{indent}{count + 1}. "
        elif tag == "dt":
            self._mark = "- "
        elif tag == "dd":
            self._mark = "  "

    def _leave(self, node: LexborNode) -> None:
        tag = node.tag or ""
        if tag not in _BLOCKS:
            return
        self._flush()
        if tag in ("ul", "ol", "menu") and self._lists:
            self._lists.pop()
            if not self._lists:
                self._flush_items()
        elif tag == "dl":
            self._flush_items()

    def _flush(self) -> None:
        """End the running text: an item inside a list, else a paragraph."""
        text = tidy(close_up("".join(self._text)))
        self._text.clear()
        if not text:
            return
        if self._mark or self._lists:
            indent = self._mark or "  " * len(self._lists)
            self._items.append(indent + text.replace("\n", " "))
            self._mark = ""
        else:
            self._flush_items()
            self.blocks.append(Block("paragraph", text))

    def _flush_items(self) -> None:
        if self._items:
            self.blocks.append(Block("list", "\n".join(self._items)))
            self._items = []
        self._mark = ""
