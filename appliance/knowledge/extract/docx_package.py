"""The zip around a DOCX: members found by their relationships, bombs refused before unpacking."""

import posixpath
import zipfile
import zlib
from typing import BinaryIO

from lxml import etree

from appliance.errors import BombDocumentError, DamagedDocumentError, LockedDocumentError
from appliance.knowledge.extract.contract import ExtractLimits

_RATIO_MAX = 100
_RATIO_FREE = 16 << 20
"""Up to this size no ratio is suspicious: repetitive tables of real reports reach 1:90."""
_MEMBERS_MAX = 20_000
_MAIN = "/officeDocument"


def local(element: etree._Element) -> str:
    """A tag without its namespace: strict and transitional files differ only there. Comments have none."""
    tag = element.tag
    return tag.rpartition("}")[2] if isinstance(tag, str) else ""


def attribute(element: etree._Element, name: str) -> str:
    """An attribute's value by its local name, or nothing."""
    for key, value in element.attrib.items():
        if str(key).rpartition("}")[2] == name:
            return str(value)
    return ""


def child(element: etree._Element | None, name: str) -> etree._Element | None:
    """The first child of that local name."""
    if element is not None:
        for found in element:
            if local(found) == name:
                return found
    return None


class Package:
    """The parts of a DOCX that carry text."""

    def __init__(self, stream: BinaryIO, limits: ExtractLimits) -> None:
        self._limit = limits.member_bytes
        try:
            self._zip = zipfile.ZipFile(stream)
        except (zipfile.BadZipFile, NotImplementedError, ValueError, OSError) as error:
            raise DamagedDocumentError(f"zip: {error}") from error
        members = self._zip.infolist()
        if len(members) > _MEMBERS_MAX:
            raise BombDocumentError("too many members")
        self._members = {member.filename: member for member in members}
        self.main = self._relations("").get(_MAIN, "word/document.xml")
        self._targets = self._relations(self.main)

    def document(self) -> etree._Element:
        """The main part."""
        root = self._xml(self.main)
        if root is None:
            raise DamagedDocumentError("no main part")
        return root

    def part(self, kind: str) -> etree._Element | None:
        """A part that belongs to the main one: styles, numbering, footnotes, endnotes. None if missing or broken."""
        name = self._targets.get(f"/{kind}")
        return self._optional(name) if name else None

    def title(self) -> str:
        """What the file calls itself."""
        core = self._optional("docProps/core.xml")
        found = child(core, "title")
        return (found.text or "") if found is not None else ""

    def _relations(self, source: str) -> dict[str, str]:
        """Kind of relationship -> member name; external targets are left out."""
        folder, base = posixpath.split(source)
        root = self._optional(posixpath.join(folder, "_rels", f"{base}.rels"))
        found: dict[str, str] = {}
        for entry in root if root is not None else ():
            target, kind = attribute(entry, "Target"), attribute(entry, "Type")
            if attribute(entry, "TargetMode") == "External" or not target:
                continue
            path = target.lstrip("/") if target.startswith("/") else posixpath.normpath(posixpath.join(folder, target))
            found.setdefault("/" + kind.rpartition("/")[2], path)
        return found

    def _optional(self, name: str) -> etree._Element | None:
        try:
            return self._xml(name)
        except DamagedDocumentError:
            return None

    def _xml(self, name: str) -> etree._Element | None:
        member = self._members.get(name)
        if member is None:
            return None
        if member.flag_bits & 1:
            raise LockedDocumentError("encrypted zip member")
        packed = max(member.compress_size, 1)
        too_dense = member.file_size > _RATIO_FREE and member.file_size > packed * _RATIO_MAX
        if member.file_size > self._limit or too_dense:
            raise BombDocumentError(f"{member.file_size} bytes from {member.compress_size}")
        try:
            data = self._zip.read(member)
            # No entities, no network, no huge trees: an entity bomb is an error, an external entity stays unread.
            parser = etree.XMLParser(
                resolve_entities=False, no_network=True, huge_tree=False, load_dtd=False, remove_comments=True
            )
            root = etree.fromstring(data, parser)
        except (zipfile.BadZipFile, etree.XMLSyntaxError, NotImplementedError, EOFError, OSError, ValueError) as error:
            raise DamagedDocumentError(f"{type(error).__name__} in a member") from error
        except zlib.error as error:
            raise DamagedDocumentError("broken compression") from error
        if root.getroottree().docinfo.internalDTD is not None:
            raise DamagedDocumentError("a DTD where none belongs")
        return root
