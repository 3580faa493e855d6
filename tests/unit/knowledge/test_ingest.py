"""Taking documents in: what is embedded, cancelling, dying, repeating; never half a document."""

import threading
from collections.abc import Callable
from itertools import pairwise

import pytest

from appliance.errors import CancelledError, HakoError
from appliance.jobs.queue import Job
from appliance.knowledge.bases import Base
from appliance.knowledge.documents import Document
from appliance.knowledge.ingest import Ingest
from tests.simulators.library import Library, member
from tests.unit.knowledge.conftest import HANDBOOK_EN, HANDBOOK_JA

ALICE = member("alice")
MADE = ("pages", "passages", "sentences", "passage_vectors", "sentence_vectors")
LONG = "# Long\n\n" + "\n\n".join(f"## Part {i}\n\nPart number {i} tells of matter {i * 7}." for i in range(40))


class PowerCutError(BaseException):
    """Ends the process as far as our code can tell: nobody catches it."""


@pytest.fixture
def base(library: Library) -> Base:
    return library.bases.create(ALICE, "Rules")


def claimed(library: Library) -> Job:
    job = library.queue.claim([Ingest.KIND])
    assert job is not None
    return job


def quiet(_stage: str, _done: int, _total: int) -> None:
    """A report that nobody reads."""


def at(wanted: str, act: Callable[[], None]) -> Callable[[str, int, int], None]:
    def report(stage: str, _done: int, _total: int) -> None:
        if stage == wanted:
            act()

    return report


def state(library: Library, document: Document) -> str:
    return library.documents.get(ALICE, document.id).state


def test_the_title_goes_in_front_of_what_is_embedded(library: Library, base: Base) -> None:
    library.take_in(ALICE, base, HANDBOOK_JA)
    assert "職員ハンドブック 夜勤手当は1回につき6,000円です。" in library.embedder.texts
    assert any(
        text.startswith("職員ハンドブック 有給休暇\n有給休暇は1年に20日です。") for text in library.embedder.texts
    )


def test_a_sentence_that_is_repeated_is_embedded_once(library: Library, base: Base) -> None:
    text = "# T\n\n" + "\n\n".join(f"## P{i}\n\nAsk the front desk. This is part {i}." for i in range(9))
    library.take_in(ALICE, base, text)
    assert library.embedder.texts.count("T Ask the front desk.") == 1
    assert library.rows("sentences", "sentence_vectors") == {"sentences": 18, "sentence_vectors": 18}


def test_every_vector_belongs_to_its_text(library: Library, base: Base) -> None:
    library.take_in(ALICE, base, LONG)
    with library.database.read() as connection:
        sentences = connection.execute("select id, text, vector from sentences").fetchall()
        passages = connection.execute("select id, heading, text, vector from passages").fetchall()
        for sentence_id, text, vector in sentences:
            assert vector == library.embedder.embed([f"Long {text}"], "query")[0].tobytes()
            assert (
                vector
                == connection.execute(
                    "select embedding from sentence_vectors where sentence_id = ?", (sentence_id,)
                ).get
            )
        for passage_id, heading, text, vector in passages:
            assert vector == library.embedder.embed([f"Long {heading}\n{text}"], "query")[0].tobytes()
            assert (
                vector
                == connection.execute("select embedding from passage_vectors where passage_id = ?", (passage_id,)).get
            )
    assert (len(sentences), len(passages)) == (40, 40)


def test_progress_passes_through_the_stages(library: Library, base: Base) -> None:
    library.add(ALICE, base, LONG)
    seen: list[tuple[str, int, int]] = []
    library.ingest.run(claimed(library), lambda *progress: seen.append(progress))
    assert list(dict.fromkeys(stage for stage, _, _ in seen)) == ["reading", "splitting", "embedding", "indexing"]
    embedding = [(done, total) for stage, done, total in seen if stage == "embedding"]
    assert embedding[0] == (0, 40)
    assert embedding[-1] == (40, 40)
    assert max(later[0] - earlier[0] for earlier, later in pairwise(embedding)) <= 4


@pytest.mark.parametrize("stage", ["reading", "splitting", "embedding", "indexing"])
def test_a_cancel_at_any_stage_leaves_nothing(library: Library, base: Base, stage: str) -> None:
    document = library.add(ALICE, base, HANDBOOK_JA)
    job = claimed(library)

    def cancel() -> None:
        library.documents.cancel(ALICE, document.id)

    with pytest.raises(CancelledError) as cancelled:
        library.ingest.run(job, at(stage, cancel))
    library.ingest.closed(job, cancelled.value)
    assert state(library, document) == "cancelled"
    assert library.rows(*MADE) == dict.fromkeys(MADE, 0)
    assert library.found([base], "夜勤手当") == []


def test_a_cancel_of_the_running_job_stops_the_worker(library: Library, base: Base) -> None:
    document = library.add(ALICE, base, LONG)
    library.embedder.before = lambda: library.queue.cancel(f"document:{document.id}")
    library.worker.step()
    assert state(library, document) == "cancelled"
    assert library.rows(*MADE) == dict.fromkeys(MADE, 0)


@pytest.mark.parametrize("stage", ["reading", "splitting", "embedding", "indexing"])
def test_a_worker_killed_at_any_stage_leaves_nothing_and_the_next_one_all(
    library: Library, base: Base, stage: str
) -> None:
    document = library.add(ALICE, base, HANDBOOK_JA)

    def die() -> None:
        raise PowerCutError

    with pytest.raises(PowerCutError):
        library.ingest.run(claimed(library), at(stage, die))
    assert state(library, document) == "working"
    assert library.rows(*MADE) == dict.fromkeys(MADE, 0)
    library.queue.recover()
    library.worker.step()
    assert state(library, document) == "ready"
    assert library.found([base], "夜勤手当")[0].startswith("夜勤手当は1回につき6,000円です。")


def test_a_worker_killed_while_it_writes_leaves_nothing(
    library: Library, base: Base, monkeypatch: pytest.MonkeyPatch
) -> None:
    document = library.add(ALICE, base, HANDBOOK_JA)
    from appliance.knowledge import index

    def die(*_: object) -> None:
        raise PowerCutError

    with monkeypatch.context() as patch:
        patch.setattr(index, "add", die)
        with pytest.raises(PowerCutError):
            library.ingest.run(claimed(library), quiet)
    assert library.rows(*MADE) == dict.fromkeys(MADE, 0)
    library.queue.recover()
    library.worker.step()
    assert state(library, document) == "ready"


def test_a_job_repeated_after_its_work_was_done_changes_nothing(library: Library, base: Base) -> None:
    document = library.add(ALICE, base, HANDBOOK_JA)
    library.ingest.run(claimed(library), quiet)
    before = library.rows(*MADE)
    asked = len(library.embedder.texts)
    library.queue.recover()  # the worker died between its last transaction and closing the job
    library.worker.step()
    assert (state(library, document), library.rows(*MADE)) == ("ready", before)
    assert len(library.embedder.texts) == asked


def test_writing_a_document_again_replaces_its_rows(library: Library, base: Base) -> None:
    document = library.take_in(ALICE, base, HANDBOOK_JA)
    before = library.rows(*MADE)
    with library.database.write() as connection:
        connection.execute("update documents set state = 'failed' where id = ?", (document.id,))
    library.documents.retry(ALICE, document.id)
    assert library.found([base], "夜勤手当") == []
    library.worker.step()
    assert library.rows(*MADE) == before
    assert len(library.found([base], "夜勤手当")) == 3


def test_a_worker_that_lost_its_claim_does_not_touch_the_document(library: Library, base: Base) -> None:
    document = library.add(ALICE, base, HANDBOOK_JA)
    lost = claimed(library)
    library.queue.recover()
    holder = claimed(library)
    with pytest.raises(CancelledError):
        library.ingest.run(lost, quiet)
    library.ingest.closed(lost, CancelledError())
    assert state(library, document) == "waiting"
    library.ingest.run(holder, quiet)
    library.ingest.closed(lost, HakoError())
    assert state(library, document) == "ready"


def test_a_claim_lost_while_embedding_writes_nothing(library: Library, base: Base) -> None:
    document = library.add(ALICE, base, HANDBOOK_JA)
    lost = claimed(library)

    def lose() -> None:
        library.queue.recover()
        claimed(library)

    with pytest.raises(CancelledError):
        library.ingest.run(lost, at("indexing", lose))
    assert state(library, document) == "working"
    assert library.rows(*MADE) == dict.fromkeys(MADE, 0)


@pytest.mark.parametrize("stage", ["reading", "splitting", "embedding", "indexing"])
def test_a_document_deleted_meanwhile_ends_cleanly(library: Library, base: Base, stage: str) -> None:
    document = library.add(ALICE, base, HANDBOOK_JA)
    deleted = threading.Event()

    def delete() -> None:
        if not deleted.is_set():
            deleted.set()
            library.documents.delete(ALICE, document.id)

    real = library.worker._handlers[Ingest.KIND].run

    def run(job: Job, report: Callable[[str, int, int], None]) -> None:
        def both(stage_now: str, done: int, total: int) -> None:
            at(stage, delete)(stage_now, done, total)
            report(stage_now, done, total)

        real(job, both)

    library.worker._handlers[Ingest.KIND].run = run  # type: ignore[method-assign]
    library.worker.step()
    assert deleted.is_set()
    assert library.rows("documents", *MADE) == dict.fromkeys(("documents", *MADE), 0)
    assert not library.worker.step()


def test_a_base_deleted_meanwhile_ends_cleanly(library: Library, base: Base) -> None:
    library.add(ALICE, base, HANDBOOK_JA)
    library.embedder.before = lambda: library.bases.delete(ALICE, base.id) if library.rows("bases")["bases"] else None
    library.worker.step()
    assert library.rows("bases", "documents", *MADE) == dict.fromkeys(("bases", "documents", *MADE), 0)


def test_documents_are_found_while_another_is_read(library: Library, base: Base) -> None:
    library.take_in(ALICE, base, HANDBOOK_JA)
    library.add(ALICE, base, HANDBOOK_EN, "lab.md")
    found: list[list[str]] = []

    def look() -> None:
        library.embedder.before = None
        found.append(library.found([base], "夜勤手当 solvents"))

    library.embedder.before = look
    library.worker.step()
    assert len(found[0]) == 3
    assert len(library.found([base], "夜勤手当 solvents")) == 6
