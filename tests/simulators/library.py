"""Bases with documents in a real encrypted database, taken in by the real pipeline from Markdown."""

from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

from appliance.accounts.permissions import Permission, Principal
from appliance.jobs.queue import Queue
from appliance.jobs.worker import Worker
from appliance.knowledge.bases import Base, Bases
from appliance.knowledge.documents import Document, Documents
from appliance.knowledge.extract.contract import Extracted, Progress
from appliance.knowledge.extract.encodings import Decoded
from appliance.knowledge.extract.markdown import extract_markdown
from appliance.knowledge.ingest import Ingest
from appliance.knowledge.retrieve import Retriever
from appliance.storage.blobs import BlobStore
from appliance.storage.database import Database
from tests.simulators.embedder import WordingEmbedder


class MarkdownReader:
    """Reads in this process; `before` runs ahead of each document."""

    def __init__(self) -> None:
        self.before: Callable[[], None] | None = None

    def read(self, fill: Callable[[BinaryIO], None], name: str, progress: Progress) -> Extracted:
        if self.before is not None:
            self.before()
        target = BytesIO()
        fill(target)
        progress(1, 1)
        return extract_markdown(Decoded(target.getvalue().decode(), "utf-8", 0), name)


class Library:
    """All of knowledge around one database, with a worker that is stepped by hand."""

    def __init__(self, database: Database, folder: Path) -> None:
        self.database = database
        self.blobs = BlobStore(folder / "blobs", database, bytes(32))
        self.queue = Queue(database)
        self.bases = Bases(database, self.blobs)
        self.documents = Documents(database, self.blobs, self.queue, self.bases)
        self.embedder, self.reader = WordingEmbedder(), MarkdownReader()
        self.retriever = Retriever(database, self.embedder)
        self.ingest = Ingest(database, self.blobs, self.reader, self.embedder)
        self.worker = Worker(self.queue, {Ingest.KIND: self.ingest})

    def add(self, who: Principal, base: Base, text: str, name: str = "a.md") -> Document:
        """A document that waits to be read."""
        return self.documents.add(who, base.id, name, BytesIO(text.encode()))[0]

    def take_in(self, who: Principal, base: Base, text: str, name: str = "a.md") -> Document:
        """A document, read."""
        document = self.add(who, base, text, name)
        while self.worker.step():
            pass
        return self.documents.get(who, document.id)

    def found(self, bases: list[Base], query: str) -> list[str]:
        """Texts of what a search finds, best first."""
        return [hit.text for hit in self.retriever.search(bases, query).hits]

    def rows(self, *tables: str) -> dict[str, int]:
        """How many rows these tables have."""
        with self.database.read() as connection:
            return {table: int(connection.execute(f"select count(*) from {table}").get) for table in tables}


def member(name: str) -> Principal:
    """One of the cast, signed in."""
    rights = frozenset({Permission.CHAT, Permission.OWN_ACCOUNT, Permission.BASES_READ, Permission.BASES_WRITE})
    return Principal(f"usr_{name}", name, "member", "session", rights)


def operator(name: str) -> Principal:
    """One of the cast who runs the box."""
    return Principal(f"usr_{name}", name, "operator", "session", frozenset(Permission))
