"""Taking in 200 pages of mixed PDF and DOCX in two languages: pages per second, and where the time goes."""

import json
import tempfile
import time
from collections import Counter
from html import escape
from io import BytesIO
from pathlib import Path

from appliance import config
from appliance.accounts.permissions import Principal
from appliance.gateway.gateway import Gateway
from appliance.jobs.queue import Queue
from appliance.knowledge.bases import Bases
from appliance.knowledge.documents import Documents
from appliance.knowledge.ingest import Ingest
from appliance.knowledge.sandbox.reader import DocumentReader
from appliance.storage.blobs import BlobStore
from appliance.storage.database import Database
from tests.bench import table
from tests.bench.embedding import contexts
from tests.bench.models import DATA, served_box
from tests.simulators import documents as simulated

PAGES = 10
"""Of one document; ten of each format."""
DOCUMENTS = 10
_LINE = {"ja": 40, "en": 84}


def run() -> None:
    """Stage shares of the wall time of one worker. Reach: embedding dominates."""
    files = list(_files())
    spent: Counter[str] = Counter()
    with served_box() as box, tempfile.TemporaryDirectory(prefix="hako-") as folder:
        settings = config.load(data_dir=box.folder)
        database = Database(Path(folder) / "b.db", bytes(range(32)))
        database.migrate()
        blobs, queue = BlobStore(Path(folder) / "blobs", database, bytes(range(32))), Queue(database)
        bases = Bases(database, blobs)
        store = Documents(database, blobs, queue, bases)
        base = bases.create(Principal.system_operator(), "bench")
        reader = DocumentReader(settings.limits)
        gateway = Gateway(settings)
        gateway.embed(["warm"], "passage")
        ingest = Ingest(database, blobs, reader, gateway)
        began = time.perf_counter()
        for name, content in files:
            store.add(Principal.system_operator(), base.id, name, BytesIO(content))
            spent["storing the file"] += time.perf_counter() - began
            _take_in(ingest, queue, spent)
            began = time.perf_counter()
        passages = bases.get(Principal.system_operator(), base.id).passages
        reader.close()
        database.close()
    total = sum(spent.values())
    table.show(
        ["stage", "share", "s"],
        [[stage, f"{seconds / total:.0%}", f"{seconds:.1f}"] for stage, seconds in spent.most_common()],
    )
    pages = len(files) * PAGES
    print(f"   {pages} pages, {passages} passages in {total:.1f} s: {pages / total:.1f} pages/s")
    print(f"   ratio to the embedding alone: {spent['embedding'] / total:.2f}; the model's matrix products limit it")


def _take_in(ingest: Ingest, queue: Queue, spent: Counter[str]) -> None:
    """Work off one job and add up what each stage took."""
    job = queue.claim([Ingest.KIND])
    assert job
    stage, since = "reading", time.perf_counter()

    def report(now: str, _done: int, _total: int) -> None:
        nonlocal stage, since
        spent[stage] += time.perf_counter() - since
        stage, since = now, time.perf_counter()

    ingest.run(job, report)
    spent[stage] += time.perf_counter() - since
    ingest.closed(job, None)
    queue.finish(job)


def _files() -> list[tuple[str, bytes]]:
    japanese = contexts(json.loads((DATA / "eval" / "jaquad_dev_0000.json").read_text("utf-8")))
    english = contexts(json.loads((DATA / "eval" / "xquad.en.json").read_text("utf-8")))
    files = []
    for number in range(DOCUMENTS):
        language, source = ("ja", japanese) if number % 2 else ("en", english)
        part = source[number * 12 : number * 12 + 2 * PAGES]
        files.append((f"{number}.pdf", _pdf(part[:PAGES], language)))
        files.append((f"{number}.docx", _docx(part[PAGES:])))
    return files


def _pdf(paragraphs: list[str], language: str) -> bytes:
    width = _LINE[language]
    pages = []
    for paragraph in paragraphs:
        lines = [paragraph[start : start + width] for start in range(0, len(paragraph), width)]
        pages.append(simulated.column(lines[:44], 60, 780))
    return simulated.make_pdf(pages)


def _docx(paragraphs: list[str]) -> bytes:
    """Each paragraph under a heading of its own, which makes it a page."""
    body = ""
    for text in paragraphs:
        body += simulated.paragraph(escape(text[:30]), "Heading1") + simulated.paragraph(escape(text))
    return simulated.make_docx(body)
