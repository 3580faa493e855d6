"""The sending side of packs: a base's documents for one receiver, first as a plan, then as a file to be saved once."""

import hashlib
import secrets
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from appliance import clock
from appliance.bundle.boxes.format import Contents, Document, buffered, written
from appliance.bundle.boxes.identity import Identity, receiver_of
from appliance.bundle.media import PACK_ENDING
from appliance.bundle.shelf import demand_sizes
from appliance.errors import NotFoundError
from appliance.storage.audit import Audit

_GOOD_FOR_S: Final = 600.0
_MOST_WAITING: Final = 20
_LICENCE: Final = "LicenseRef-internal"


@dataclass(frozen=True)
class Sendable:
    """A document of a base; `opened` gives its original."""

    name: str
    size: int
    opened: Callable[[], Iterator[bytes]]


@dataclass(frozen=True)
class Content:
    """What is to be sent. An empty licence means that it is the organisation's own."""

    base_id: str
    title: str
    description: str
    licence: str
    provenance: dict[str, str]
    documents: Sequence[Sendable]

    @property
    def size(self) -> int:
        """Bytes of its documents."""
        return sum(document.size for document in self.documents)


@dataclass(frozen=True)
class Export:
    """Confirmed, and waiting to be fetched by who confirmed it."""

    id: str
    actor: str
    content: Content
    receiver: bytes
    issued: int
    until: float


class Sending:
    """Safe to share between threads. What waits is forgotten with the process, or after ten minutes."""

    def __init__(self, identity: Identity, box: str, largest: int, audit: Audit) -> None:
        """`largest`: bytes of one document that the other box may be expected to take."""
        self._identity, self._box, self._largest, self._audit = identity, box, largest, audit
        self._waiting: dict[str, Export] = {}
        self._lock = threading.Lock()

    def demand_possible(self, content: Content, code: str) -> bytes:
        """The receiver's key.

        Raises:
            BadInputError: the receiving code is mistyped.
            NotFoundError: there is no document.
            PackTooLargeError: too many documents.
        """
        receiver = receiver_of(code)
        if not content.documents:
            raise NotFoundError("no documents")
        demand_sizes((document.size for document in content.documents), self._largest)
        return receiver

    def prepare(self, content: Content, code: str, actor: str) -> Export:
        """Have it ready to be fetched; recorded before anything can leave. Raises as `demand_possible`."""
        receiver = self.demand_possible(content, code)
        now = clock.now()
        export = Export(secrets.token_hex(16), actor, content, receiver, int(now), now + _GOOD_FOR_S)
        self._audit.record(
            actor, "pack-exported", content.base_id, receiver=receiver.hex(), documents=len(content.documents),
            size=content.size,
        )  # fmt: skip
        with self._lock:
            self._waiting = {key: each for key, each in self._waiting.items() if each.until > now}
            while len(self._waiting) >= _MOST_WAITING:
                del self._waiting[next(iter(self._waiting))]
            self._waiting[export.id] = export
        return export

    def fetch(self, export_id: str, actor: str) -> tuple[str, Iterator[bytes]]:
        """Its file's name and content, once. Raises NotFoundError: not there, not theirs, or too late."""
        with self._lock:
            export = self._waiting.get(export_id)
            if export is None or export.actor != actor or export.until <= clock.now():
                raise NotFoundError(export_id)
            del self._waiting[export_id]
        return f"{export.content.title}{PACK_ENDING}", self._written(export)

    def _written(self, export: Export) -> Iterator[bytes]:
        content = export.content
        contents = Contents(
            title=_line(content.title),
            description=content.description,
            licence=_line(content.licence or _LICENCE),
            provenance=content.provenance,
            documents=tuple(
                Document(path=f"documents/{number:06}", name=_line(document.name), size=document.size)
                for number, document in enumerate(content.documents)
            ),
        )
        sources = [buffered(_lazily(document)) for document in content.documents]
        name = "base-" + hashlib.sha256(content.base_id.encode()).hexdigest()[:24]
        receiver, issued = export.receiver, export.issued
        return written(self._identity, self._box[:200], receiver, name, issued, contents, sources)


def _lazily(document: Sendable) -> Iterator[bytes]:
    """Opened only when it is its turn: a base may have thousands."""
    yield from document.opened()


def _line(text: str) -> str:
    """A name as the other box takes it: no path, one line, not too long."""
    return text.replace("/", "-").replace("\\", "-")[:200]
