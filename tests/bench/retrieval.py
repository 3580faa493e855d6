"""How well the right paragraph is found: XQuAD (English) and JaQuAD (Japanese), by terms, by meaning, by both."""

import json
import math
import random
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import BinaryIO, Literal

from appliance import logs
from appliance.accounts.permissions import Principal
from appliance.config import REPOSITORY
from appliance.jobs.queue import Queue
from appliance.jobs.worker import Worker
from appliance.knowledge.bases import Base, Bases
from appliance.knowledge.documents import Documents
from appliance.knowledge.embedder import Embedder, Vectors, Waits
from appliance.knowledge.extract.contract import Block, Extracted, Page, Progress
from appliance.knowledge.ingest import Ingest
from appliance.knowledge.retrieve import Hit, Retriever, SearchOptions
from appliance.storage.blobs import BlobStore
from appliance.storage.database import Database

DATA = REPOSITORY.parent / "shared" / "data" / "eval"
SETS = {"XQuAD-en": "xquad.en.json", "JaQuAD dev": "jaquad_dev_*.json"}
TARGETS = {"XQuAD-en": 0.975, "JaQuAD dev": 0.935}
"""nDCG@10 of the hybrid over 400 questions; it must beat both of its parts, too."""

_DEEP = 200
_RRF = 60


@dataclass(frozen=True)
class Question:
    """A question and the paragraph that answers it."""

    text: str
    paragraph: int


@dataclass(frozen=True)
class Set:
    """Paragraphs as (title of their article, text)."""

    name: str
    paragraphs: Sequence[tuple[str, str]]
    questions: Sequence[Question]


@dataclass(frozen=True)
class Line:
    """What one way of ranking reached."""

    set: str
    way: str
    ndcg_10: float
    recall_1: float
    recall_10: float


class _Paragraphs:
    """Reads what this bench wrote: a title line and a paragraph."""

    def read(self, fill: Callable[[BinaryIO], None], name: str, progress: Progress) -> Extracted:
        target = BytesIO()
        fill(target)
        title, text = target.getvalue().decode().split("\n", 1)
        progress(1, 1)
        return Extracted("txt", title or name, (Page(1, (Block("paragraph", text),)),))


class _Remembering:
    """An embedder that is asked for the same question several times."""

    def __init__(self, embedder: Embedder) -> None:
        self._embedder = embedder
        self._known: dict[str, Vectors] = {}

    def embed(
        self,
        texts: Sequence[str],
        kind: Literal["query", "passage"],
        *,
        stopped: Callable[[], bool] | None = None,
        waits: Waits | None = None,
    ) -> Vectors:
        if kind == "passage":
            return self._embedder.embed(texts, kind, stopped=stopped, waits=waits)
        (text,) = texts
        if text not in self._known:
            self._known[text] = self._embedder.embed(texts, kind, stopped=stopped, waits=waits)
        return self._known[text]

    def count_tokens(self, texts: Sequence[str], model: str | None = None) -> list[int]:
        return self._embedder.count_tokens(texts, model)


def run(embedder: Embedder, questions: int = 400, data: Path = DATA) -> list[Line]:
    """Print the tables and return their lines; `questions` are drawn from each set."""
    logs.configure("bench", "WARNING")
    lines: list[Line] = []
    remembering = _Remembering(embedder)
    print(f"{'set':12} {'ranked by':14} {'nDCG@10':>8} {'R@1':>6} {'R@10':>6}")
    for name, pattern in SETS.items():
        loaded = load(name, sorted(data.glob(pattern)))
        asked = random.Random(0).sample(loaded.questions, min(questions, len(loaded.questions)))
        with _filled(loaded, remembering) as (retriever, base, paragraph_of):
            for line in _rankings(loaded, asked, retriever, base, paragraph_of):
                lines.append(line)
                print(
                    f"{line.set:12} {line.way:14} {line.ndcg_10:8.3f} {line.recall_1:6.3f} {line.recall_10:6.3f}",
                    flush=True,
                )
            _verdicts(loaded, asked, retriever, base, paragraph_of)
    return lines


def load(name: str, files: Sequence[Path]) -> Set:
    """A set in SQuAD's format.

    Raises:
        FileNotFoundError: the data is not there.
    """
    if not files:
        raise FileNotFoundError(name)
    paragraphs: list[tuple[str, str]] = []
    questions: list[Question] = []
    for file in files:
        for article in json.loads(file.read_text("utf-8"))["data"]:
            for paragraph in article["paragraphs"]:
                questions += [Question(asked["question"], len(paragraphs)) for asked in paragraph["qas"]]
                paragraphs.append((article["title"].replace("_", " "), paragraph["context"]))
    return Set(name, paragraphs, questions)


@contextmanager
def _filled(loaded: Set, embedder: Embedder) -> Iterator[tuple[Retriever, Base, dict[str, int]]]:
    """A base with each paragraph as a document, taken in by the real pipeline; gone afterwards."""
    with tempfile.TemporaryDirectory() as folder:
        database = Database(Path(folder) / "hako.db", bytes(32))
        database.migrate()
        blobs, queue, who = (
            BlobStore(Path(folder) / "blobs", database, bytes(32)),
            Queue(database),
            Principal.system_operator(),
        )
        bases = Bases(database, blobs)
        documents = Documents(database, blobs, queue, bases)
        base = bases.create(who, loaded.name)
        paragraph_of: dict[str, int] = {}
        for place, (title, text) in enumerate(loaded.paragraphs):
            document, _ = documents.add(who, base.id, f"{place}.txt", BytesIO(f"{title}\n{text}".encode()))
            paragraph_of[document.id] = place
        began = time.process_time()
        worker = Worker(queue, {Ingest.KIND: Ingest(database, blobs, _Paragraphs(), embedder)})
        while worker.step():
            pass
        base = bases.get(who, base.id)
        print(
            f"{loaded.name}: {base.passages} passages taken in, {time.process_time() - began:.0f} s of CPU", flush=True
        )
        try:
            yield Retriever(database, embedder), base, paragraph_of
        finally:
            database.close()


def _rankings(
    loaded: Set, asked: Sequence[Question], retriever: Retriever, base: Base, paragraph_of: dict[str, int]
) -> Iterator[Line]:
    ways: dict[str, tuple[float, Callable[[Hit], float]]] = {
        "terms": (1.0, lambda hit: hit.score),
        "meaning": (0.0, lambda hit: hit.score),
        "both (ours)": (SearchOptions().lexical_weight, lambda hit: hit.score),
        "RRF": (SearchOptions().lexical_weight, _rrf),
    }
    for way, (weight, value) in ways.items():
        ranks: list[int | None] = []
        for question in asked:
            hits = retriever.search([base], question.text, SearchOptions(_DEEP, weight)).hits
            order = [paragraph_of[hit.document_id] for hit in sorted(hits, key=value, reverse=True)]
            distinct = list(dict.fromkeys(order))
            ranks.append(distinct.index(question.paragraph) + 1 if question.paragraph in distinct else None)
        yield Line(
            loaded.name,
            way,
            sum(1 / math.log2(rank + 1) for rank in ranks if rank is not None and rank <= 10) / len(ranks),
            sum(rank == 1 for rank in ranks) / len(ranks),
            sum(rank is not None and rank <= 10 for rank in ranks) / len(ranks),
        )


def _rrf(hit: Hit) -> float:
    return sum(1 / (_RRF + rank) for rank in (hit.lexical_rank, hit.dense_rank) if rank is not None)


def _verdicts(
    loaded: Set, asked: Sequence[Question], retriever: Retriever, base: Base, paragraph_of: dict[str, int]
) -> None:
    """Shares of the three verdicts where the answer is there, and where its whole article is taken away."""
    shares = {case: dict.fromkeys(("answer", "perhaps", "none"), 0) for case in ("present", "absent")}
    took_ms: list[float] = []
    for question in asked:
        title = loaded.paragraphs[question.paragraph][0]
        others = tuple(document for document, place in paragraph_of.items() if loaded.paragraphs[place][0] != title)
        found = retriever.search([base], question.text)
        took_ms.append(found.elapsed_ms)
        shares["present"][found.verdict] += 1
        shares["absent"][retriever.search([base], question.text, SearchOptions(document_ids=others)).verdict] += 1
    for case, counts in shares.items():
        told = "  ".join(f"{verdict} {count / len(asked):.2f}" for verdict, count in counts.items())
        print(f"{loaded.name:12} topic {case:8} {told}")
    print(f"{loaded.name:12} a search takes {sorted(took_ms)[len(took_ms) // 2]:.0f} ms, question's vector ready\n")
