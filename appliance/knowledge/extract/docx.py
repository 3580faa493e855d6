"""DOCX: headings, lists with their automatic numbers, tables, footnotes, text boxes; deletions and headers left out."""

from dataclasses import dataclass
from typing import BinaryIO

from lxml import etree

from appliance.knowledge.extract.characters import tidy
from appliance.knowledge.extract.contract import (
    Block,
    Extracted,
    ExtractLimits,
    Progress,
    choose_title,
    table_row,
)
from appliance.knowledge.extract.docx_numbering import Numbering
from appliance.knowledge.extract.docx_package import Package, attribute, child, local
from appliance.knowledge.extract.sections import paginate

# Deleted or moved-away text, properties, field codes, ruby, and the second form of what is there already.
_SKIPPED = frozenset(
    {"del", "moveFrom", "delText", "delInstrText", "instrText", "rPr", "pPr", "sdtPr", "sdtEndPr", "rt", "rubyPr",
     "fldData", "annotationRef", "p", "tbl"}
)  # fmt: skip
_BREAKS = {"br": "\n", "cr": "\n", "tab": " ", "ptab": " ", "noBreakHyphen": "-"}
_SPAN_MAX = 100


@dataclass(frozen=True, slots=True)
class _Style:
    """What a named paragraph style means for the structure; `level` 1–6 for headings."""

    level: int = 0
    number_id: str = ""
    number_level: int = 0
    contents: bool = False
    """A line of the table of contents, which repeats what follows."""


def extract_docx(stream: BinaryIO, name: str, limits: ExtractLimits, progress: Progress) -> Extracted:
    """A word-processor document."""
    package = Package(stream, limits)
    reader = _Reader(package, progress)
    blocks = reader.read()
    return Extracted("docx", choose_title([package.title()], blocks, name), paginate(blocks))


class _Reader:
    """Walks the body once, in order."""

    def __init__(self, package: Package, progress: Progress) -> None:
        self._document = package.document()
        self._styles = _styles(package.part("styles"))
        self._numbering = Numbering(package.part("numbering"))
        self._notes = {kind: _notes(package.part(kind)) for kind in ("footnotes", "endnotes")}
        self._progress = progress
        self._blocks: list[Block] = []
        self._items: list[str] = []
        self._note_count = 0
        self._pending_notes: list[tuple[int, etree._Element]] = []
        self._pending_boxes: list[etree._Element] = []

    def read(self) -> list[Block]:
        body = child(self._document, "body")
        if body is not None:
            total = len(body)
            for done, element in enumerate(body):
                self._element(element)
                if done % 200 == 0:
                    self._progress(done, total)
        self._end_list()
        return self._blocks

    def _element(self, element: etree._Element) -> None:
        name = local(element)
        if name == "p":
            self._paragraph(element)
        elif name == "tbl":
            self._end_list()
            rows = self._rows(element)
            if rows:
                self._blocks.append(Block("table", "\n".join(rows)))
            self._flush_pending()
        elif name in ("sdt", "sdtContent", "ins", "moveTo", "smartTag", "customXml", "AlternateContent", "Choice"):
            for inner in element:
                self._element(inner)

    def _paragraph(self, element: etree._Element) -> None:
        properties = child(element, "pPr")
        style = self._style(properties)
        text = tidy(self._text(element))
        if style.contents:
            self._pending_boxes.clear()
            self._pending_notes.clear()
            return
        if text:
            mark = self._numbering.mark(style.number_id, style.number_level) if style.number_id else ""
            if style.level:
                self._end_list()
                heading = " ".join(f"{mark if mark != '-' else ''} {text}".split())
                self._blocks.append(Block("heading", heading, style.level))
            elif mark:
                self._items.append(f"{'  ' * style.number_level}{mark} {text}".replace("\n", " "))
            else:
                self._end_list()
                self._blocks.append(Block("paragraph", text))
        self._flush_pending()

    def _style(self, properties: etree._Element | None) -> _Style:
        named = child(properties, "pStyle")
        style = self._styles.get(attribute(named, "val"), _Style()) if named is not None else _Style()
        return _own_properties(properties, style)

    def _text(self, element: etree._Element) -> str:
        parts: list[str] = []
        for inner in element:
            self._inline(inner, parts)
        return "".join(parts)

    def _inline(self, element: etree._Element, parts: list[str]) -> None:
        name = local(element)
        if name == "t":
            parts.append(element.text or "")
        elif name in _BREAKS:
            parts.append(_BREAKS[name])
        elif name in ("footnoteReference", "endnoteReference"):
            self._note(element, name, parts)
        elif name == "txbxContent":
            self._pending_boxes.append(element)
        elif name in _SKIPPED or (name == "r" and _is_hidden(element)):
            return
        elif name == "AlternateContent":
            first = next((inner for inner in element if local(inner) in ("Choice", "Fallback")), None)
            for inner in first if first is not None else ():
                self._inline(inner, parts)
        else:
            for inner in element:
                self._inline(inner, parts)

    def _note(self, reference: etree._Element, name: str, parts: list[str]) -> None:
        note = self._notes[name.replace("Reference", "s")].pop(attribute(reference, "id"), None)
        if note is not None:
            self._note_count += 1
            parts.append(f"(*{self._note_count})")
            self._pending_notes.append((self._note_count, note))

    def _flush_pending(self) -> None:
        """Notes and text boxes come after the paragraph or table that they hang on."""
        while self._pending_notes or self._pending_boxes:
            notes, boxes = self._pending_notes, self._pending_boxes
            self._pending_notes, self._pending_boxes = [], []
            for box in boxes:
                for inner in box:
                    self._element(inner)
            for number, note in notes:
                text = tidy(" ".join(self._text(inner) for inner in note if local(inner) == "p"))
                if text:
                    self._end_list()
                    self._blocks.append(Block("paragraph", f"(*{number}) {text}"))

    def _rows(self, table: etree._Element) -> list[str]:
        rows: list[str] = []
        for element in _flat(table, "tr"):
            properties = child(element, "trPr")
            if child(properties, "del") is not None:
                continue
            cells: list[str] = []
            for cell in _flat(element, "tc"):
                cells.extend(self._cell(cell))
            if any(cells):
                rows.append(table_row(cells))
        return rows

    def _cell(self, cell: etree._Element) -> list[str]:
        """The cell's words and blanks for the further columns that it covers."""
        properties = child(cell, "tcPr")
        span = child(properties, "gridSpan")
        value = attribute(span, "val") if span is not None else ""
        columns = min(int(value), _SPAN_MAX) if value.isdecimal() and len(value) < 5 else 1
        merged = child(properties, "vMerge")
        continued = merged is not None and attribute(merged, "val") != "restart"
        text = "" if continued else tidy(" ".join(self._cell_texts(cell)))
        return [text] + [""] * (max(columns, 1) - 1)

    def _cell_texts(self, cell: etree._Element) -> list[str]:
        texts: list[str] = []
        for element in cell:
            name = local(element)
            if name == "p":
                style = self._style(child(element, "pPr"))
                mark = self._numbering.mark(style.number_id, style.number_level) if style.number_id else ""
                texts.append(f"{mark} {self._text(element)}")
            elif name == "tbl":
                texts.extend(row.strip("| ").replace(" | ", " ") for row in self._rows(element))
            elif name in ("sdt", "sdtContent", "ins", "moveTo", "customXml"):
                texts.extend(self._cell_texts(element))
        return texts

    def _end_list(self) -> None:
        if self._items:
            self._blocks.append(Block("list", "\n".join(self._items)))
            self._items = []


def _flat(element: etree._Element, name: str) -> list[etree._Element]:
    """Children of that name, also inside content controls and tracked insertions."""
    found: list[etree._Element] = []
    for inner in element:
        kind = local(inner)
        if kind == name:
            found.append(inner)
        elif kind in ("sdt", "sdtContent", "ins", "moveTo", "customXml"):
            found.extend(_flat(inner, name))
    return found


def _is_hidden(run: etree._Element) -> bool:
    vanish = child(child(run, "rPr"), "vanish")
    return vanish is not None and attribute(vanish, "val") not in ("0", "false", "off")


def _notes(root: etree._Element | None) -> dict[str, etree._Element]:
    """Notes by id; the separators among them have a type."""
    return {
        attribute(note, "id"): note
        for note in (root if root is not None else ())
        if attribute(note, "type") in ("", "normal")
    }


def _styles(root: etree._Element | None) -> dict[str, _Style]:
    """Paragraph styles by id, each with what it inherits."""
    raw: dict[str, tuple[str, str, etree._Element]] = {}
    for element in root if root is not None else ():
        if local(element) == "style" and attribute(element, "type") in ("paragraph", ""):
            name, base = child(element, "name"), child(element, "basedOn")
            raw[attribute(element, "styleId")] = (
                attribute(name, "val").lower() if name is not None else "",
                attribute(base, "val") if base is not None else "",
                element,
            )
    return {key: _resolved(key, raw) for key in raw}


def _resolved(key: str, raw: dict[str, tuple[str, str, etree._Element]]) -> _Style:
    chain: list[str] = []
    while key in raw and key not in chain and len(chain) < 20:
        chain.append(key)
        key = raw[key][1]
    style = _Style()
    for name, _, element in (raw[link] for link in reversed(chain)):
        if name == "title":
            style = _Style(1, style.number_id, style.number_level)
        elif name.startswith("heading ") and name[8:].isdecimal():
            style = _Style(min(max(int(name[8:]), 1), 6), style.number_id, style.number_level)
        elif name.startswith("toc ") and name[4:].isdecimal():
            style = _Style(contents=True)
        style = _own_properties(child(element, "pPr"), style)
    return style


def _own_properties(properties: etree._Element | None, style: _Style) -> _Style:
    """The style as a paragraph's or another style's own properties change it."""
    outline, numbered = child(properties, "outlineLvl"), child(properties, "numPr")
    level, number_id, number_level = style.level, style.number_id, style.number_level
    if outline is not None and (value := attribute(outline, "val")).isdecimal() and len(value) == 1:
        level = 0 if value == "9" else min(int(value) + 1, 6)  # 9 is body text
    if numbered is not None:
        depth, identity = child(numbered, "ilvl"), child(numbered, "numId")
        if identity is not None:
            number_id = attribute(identity, "val")
            number_id = "" if number_id == "0" else number_id  # 0 switches an inherited number off
        if depth is not None and (value := attribute(depth, "val")).isdecimal() and len(value) == 1:
            number_level = int(value)
    return _Style(level, number_id, number_level, style.contents)
