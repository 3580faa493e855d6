"""Documents: adding, doubles, retrying, cancelling, pages, originals, and what others get."""

from io import BytesIO
from itertools import count
from pathlib import Path

import pytest

from appliance import clock
from appliance.errors import (
    ConflictError,
    DamagedDocumentError,
    EmptyDocumentError,
    ForbiddenError,
    InferenceUnreachableError,
    NotFoundError,
)
from appliance.jobs.queue import Queue
from appliance.knowledge.bases import Base
from tests.simulators.library import Library, member
from tests.unit.knowledge.conftest import HANDBOOK_JA

ALICE, BOB, MALLORY = member("alice"), member("bob"), member("mallory")


@pytest.fixture
def base(library: Library) -> Base:
    return library.bases.create(ALICE, "Rules")


def stored_files(library: Library) -> list[Path]:
    return [path for path in library.blobs._folder.rglob("*") if path.is_file()]


def fails_with(library: Library, error: Exception) -> None:
    def fail() -> None:
        raise error

    library.reader.before = fail


def test_a_document_waits_and_is_then_ready(library: Library, base: Base) -> None:
    document = library.add(ALICE, base, HANDBOOK_JA, "職員.MD")
    assert (document.state, document.format, document.size) == ("waiting", "md", len(HANDBOOK_JA.encode()))
    assert (document.created_by, document.progress, document.error) == ("alice", None, None)
    library.worker.step()
    ready = library.documents.get(ALICE, document.id)
    assert (ready.state, ready.title, ready.language, ready.name) == ("ready", "職員ハンドブック", "ja", "職員.MD")
    assert (ready.pages, ready.passages) == (3, 3)
    assert (library.bases.get(ALICE, base.id).documents, library.bases.get(ALICE, base.id).passages) == (1, 3)


def test_the_newest_document_is_listed_first(library: Library, base: Base, monkeypatch: pytest.MonkeyPatch) -> None:
    moments = count()  # without an end: threads of other tests' boxes look at this clock too
    monkeypatch.setattr(clock, "now", lambda: float(next(moments)))
    for name in ("one", "two", "three"):
        library.add(ALICE, base, f"# {name}", f"{name}.md")
    assert [document.name for document in library.documents.list(ALICE, base.id)] == ["three.md", "two.md", "one.md"]


def test_the_same_bytes_are_a_double_whatever_their_name(library: Library, base: Base) -> None:
    document = library.take_in(ALICE, base, HANDBOOK_JA)
    again, duplicate = library.documents.add(ALICE, base.id, "other.md", BytesIO(HANDBOOK_JA.encode()))
    assert (duplicate, again) == (True, document)
    assert not library.worker.step()
    assert b"".join(library.documents.original(ALICE, document.id)[1]).decode() == HANDBOOK_JA
    other = library.bases.create(ALICE, "Other")
    assert library.documents.add(ALICE, other.id, "a.md", BytesIO(HANDBOOK_JA.encode()))[1] is False


def test_a_document_that_failed_is_tried_again_when_it_is_added_again(library: Library, base: Base) -> None:
    fails_with(library, DamagedDocumentError())
    failed = library.take_in(ALICE, base, HANDBOOK_JA)
    assert (failed.state, failed.error) == ("failed", ("HK-DOC-012", {}))
    library.reader.before = None
    again, duplicate = library.documents.add(ALICE, base.id, "a.md", BytesIO(HANDBOOK_JA.encode()))
    assert (again.id, again.state, again.error, duplicate) == (failed.id, "waiting", None, False)
    library.worker.step()
    assert library.documents.get(ALICE, failed.id).state == "ready"


def test_an_empty_file_leaves_nothing(library: Library, base: Base) -> None:
    with pytest.raises(EmptyDocumentError):
        library.add(ALICE, base, "")
    assert library.documents.list(ALICE, base.id) == []
    assert stored_files(library) == []


def test_a_sender_who_breaks_off_leaves_nothing(library: Library, base: Base) -> None:
    class Broken(BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            raise ConnectionError

    with pytest.raises(ConnectionError):
        library.documents.add(ALICE, base.id, "a.md", Broken())
    assert stored_files(library) == []
    assert not library.worker.step()


def test_a_failure_tells_its_reason_with_its_parameters(library: Library, base: Base) -> None:
    fails_with(library, DamagedDocumentError(limit="5 p."))
    assert library.take_in(ALICE, base, "# x").error == ("HK-DOC-012", {"limit": "5 p."})


def test_a_document_without_text_fails_as_empty(library: Library, base: Base) -> None:
    assert library.take_in(ALICE, base, " \n\n * \n").error == ("HK-DOC-011", {})


def test_retrying_reads_a_failed_document_again(library: Library, base: Base) -> None:
    fails_with(library, DamagedDocumentError())
    failed = library.take_in(ALICE, base, HANDBOOK_JA)
    library.reader.before = None
    assert library.documents.retry(ALICE, failed.id).state == "waiting"
    assert library.documents.retry(ALICE, failed.id).state == "waiting"
    library.worker.step()
    assert not library.worker.step()
    assert library.documents.retry(ALICE, failed.id).state == "ready"
    assert not library.worker.step()


def test_a_document_cancelled_before_it_is_read_is_not_read(library: Library, base: Base) -> None:
    document = library.add(ALICE, base, HANDBOOK_JA)
    assert library.documents.cancel(ALICE, document.id).state == "cancelled"
    assert not library.worker.step()
    assert library.documents.cancel(ALICE, document.id).state == "cancelled"
    assert library.documents.retry(ALICE, document.id).state == "waiting"
    library.worker.step()
    assert library.documents.cancel(ALICE, document.id).state == "ready"


def test_progress_shows_the_stage_and_what_is_left(
    library: Library, base: Base, monkeypatch: pytest.MonkeyPatch
) -> None:
    document = library.add(ALICE, base, HANDBOOK_JA)
    job = library.queue.claim(["ingest"])
    assert job is not None
    assert library.documents.get(ALICE, document.id).progress is None
    library.ingest._begin(job, document.id)
    library.queue.report(job, "reading", 3, 10)
    (listed,) = library.documents.list(ALICE, base.id)
    assert listed.progress is not None
    assert (listed.progress.stage, listed.progress.done, listed.progress.total) == ("reading", 3, 10)
    assert listed.progress.eta_s is None
    library.queue.report(job, "embedding", 20, 100)
    started = job.started_at
    assert started is not None
    monkeypatch.setattr(clock, "now", lambda: started + 30)
    progress = library.documents.get(ALICE, document.id).progress
    assert progress is not None
    assert progress.eta_s == pytest.approx(120)


def test_a_page_carries_blocks_and_sentences_by_offset(library: Library, base: Base) -> None:
    document = library.take_in(ALICE, base, HANDBOOK_JA)
    view = library.documents.page(ALICE, document.id, 1)
    assert (view.page, view.pages, view.document) == (1, 3, document)
    assert view.blocks[0] == {"kind": "heading", "level": 1, "start": 0, "end": 8}
    sentences = [view.text[sentence["start"] : sentence["end"]] for sentence in view.sentences]
    assert sentences[0] == "夜勤手当は1回につき6,000円です。"
    assert [sentence["ordinal"] for sentence in view.sentences] == list(range(len(sentences)))
    for missing in (0, 4):
        with pytest.raises(NotFoundError):
            library.documents.page(ALICE, document.id, missing)


def test_the_original_comes_back_as_it_was(library: Library, base: Base) -> None:
    document = library.take_in(ALICE, base, HANDBOOK_JA)
    described, chunks = library.documents.original(ALICE, document.id)
    assert described == document
    assert b"".join(chunks).decode() == HANDBOOK_JA


def test_a_deleted_document_leaves_nothing(library: Library, base: Base) -> None:
    document = library.take_in(ALICE, base, HANDBOOK_JA)
    library.documents.delete(ALICE, document.id)
    tables = ("documents", "pages", "passages", "sentences", "passage_vectors", "sentence_vectors", "blobs")
    assert library.rows(*tables) == dict.fromkeys(tables, 0)
    assert stored_files(library) == []
    assert library.found([base], "夜勤手当") == []
    with library.database.read() as connection:
        terms = f"base_{base.number}_terms"
        assert connection.execute(f"select count(*) from {terms}").get == 0
    assert library.bases.get(ALICE, base.id).documents == 0


def test_no_term_of_a_deleted_document_stays_in_the_index(library: Library, base: Base) -> None:
    library.take_in(ALICE, base, "# Kept\n\nOrdinary words stay here.")
    document = library.take_in(ALICE, base, "# Gone\n\nThe codeword is xylophonist.")
    library.documents.delete(ALICE, document.id)
    with library.database.read() as connection:
        blocks = connection.execute(f"select block from base_{base.number}_text_data").fetchall()
    assert not any(b"xylophonist" in row[0] or b"phonist" in row[0] for row in blocks)


def test_a_document_that_is_still_waiting_can_be_deleted(library: Library, base: Base) -> None:
    document = library.add(ALICE, base, HANDBOOK_JA)
    library.documents.delete(ALICE, document.id)
    assert not library.worker.step()
    assert stored_files(library) == []


def test_a_blob_erased_between_storing_and_recording_is_noticed(library: Library, base: Base) -> None:
    blob = library.blobs.put(BytesIO(b"# x"))
    library.blobs.delete(blob.id)
    with pytest.raises(ConflictError):
        library.documents._add(ALICE, base.id, "x.md", blob)


def test_originals_that_a_crash_left_behind_are_swept(
    library: Library, base: Base, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = library.take_in(ALICE, base, HANDBOOK_JA)
    library.blobs.put(BytesIO(b"never recorded"))
    assert library.documents.sweep() == 0
    later = clock.now() + 7200
    monkeypatch.setattr(clock, "now", lambda: later)
    assert library.documents.sweep() == 1
    assert b"".join(library.documents.original(ALICE, kept.id)[1]).decode() == HANDBOOK_JA
    assert len(stored_files(library)) == 1


def test_trouble_that_passes_does_not_fail_the_document(library: Library, base: Base) -> None:
    document = library.add(ALICE, base, HANDBOOK_JA)

    def away() -> None:
        raise InferenceUnreachableError

    library.embedder.before = away
    library.worker.step()
    assert library.documents.get(ALICE, document.id).state == "working"
    job = library.queue.by_key(f"document:{document.id}")
    assert job is not None
    assert job.state == "waiting"


def test_mallory_finds_nothing_of_alice(library: Library, base: Base) -> None:
    document = library.take_in(ALICE, base, HANDBOOK_JA)
    for attempt in (
        lambda: library.documents.list(MALLORY, base.id),
        lambda: library.documents.get(MALLORY, document.id),
        lambda: library.documents.add(MALLORY, base.id, "x.md", BytesIO(b"# x")),
        lambda: library.documents.retry(MALLORY, document.id),
        lambda: library.documents.cancel(MALLORY, document.id),
        lambda: library.documents.delete(MALLORY, document.id),
        lambda: library.documents.page(MALLORY, document.id, 1),
        lambda: library.documents.original(MALLORY, document.id),
    ):
        with pytest.raises(NotFoundError):
            attempt()
    assert library.documents.list(ALICE, base.id) == [document]
    assert len(stored_files(library)) == 1


def test_mallory_can_read_but_not_change_a_shared_base(library: Library) -> None:
    base = library.bases.create(ALICE, "Shared", visibility="everyone")
    document = library.take_in(ALICE, base, HANDBOOK_JA)
    assert library.documents.list(MALLORY, base.id) == [document]
    assert library.documents.page(MALLORY, document.id, 1).text
    for attempt in (
        lambda: library.documents.add(MALLORY, base.id, "x.md", BytesIO(b"# x")),
        lambda: library.documents.retry(MALLORY, document.id),
        lambda: library.documents.cancel(MALLORY, document.id),
        lambda: library.documents.delete(MALLORY, document.id),
    ):
        with pytest.raises(ForbiddenError):
            attempt()
    assert library.documents.list(ALICE, base.id) == [document]
    assert len(stored_files(library)) == 1


def test_a_base_that_is_closed_closes_its_documents(library: Library) -> None:
    base = library.bases.create(ALICE, "Shared", visibility="everyone")
    document = library.take_in(ALICE, base, HANDBOOK_JA)
    library.bases.update(ALICE, base.id, visibility="private")
    with pytest.raises(NotFoundError):
        library.documents.get(BOB, document.id)


def test_the_job_remembers_who_asked(library: Library, base: Base) -> None:
    document = library.add(ALICE, base, HANDBOOK_JA)
    with library.database.read() as connection:
        row = connection.execute("select owner_id, key, kind from jobs").fetchone()
    assert row == ("usr_alice", f"document:{document.id}", "ingest")
    assert Queue(library.database).by_key(f"document:{document.id}") is not None
