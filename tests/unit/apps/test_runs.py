"""Runs: readers from any number, stops, crashes, other people."""

import threading
from collections.abc import Iterator

import pytest

from appliance.apps.chats import Chats
from appliance.apps.runs import RunEvent, Runs, Writer
from appliance.errors import EmptyDocumentError, NotFoundError
from appliance.storage.database import Database

People = dict[str, str]


@pytest.fixture
def runs(database: Database) -> Iterator[Runs]:
    runs = Runs(database)
    yield runs
    runs.close()


@pytest.fixture
def message(database: Database, people: People) -> str:
    chats = Chats(database)
    chat = chats.create(people["alice"], "m", [])
    return chats.add_question(people["alice"], chat.id, "q", None)[1].id


def events(stream: Iterator[RunEvent | None]) -> list[tuple[int, str]]:
    return [(event.number, event.kind) for event in stream if event]


def hello(writer: Writer) -> None:
    for word in ("He", "llo"):
        writer.emit("delta", text=word)
    writer.emit("done", message={})


def test_a_reader_sees_every_event_once(runs: Runs, people: People, message: str) -> None:
    run = runs.start(people["alice"], message, hello)
    assert events(runs.follow(run, people["alice"])) == [(1, "delta"), (2, "delta"), (3, "done")]


def test_a_reader_that_comes_back_goes_on_where_it_was(runs: Runs, people: People, message: str) -> None:
    run = runs.start(people["alice"], message, hello)
    assert events(runs.follow(run, people["alice"], after=2)) == [(3, "done")]
    assert events(runs.follow(run, people["alice"], after=99)) == []


def test_two_readers_see_the_same(runs: Runs, people: People, message: str) -> None:
    go = threading.Event()

    def slow(writer: Writer) -> None:
        writer.emit("delta", text="a")
        go.wait(5)
        writer.emit("done", message={})

    run = runs.start(people["alice"], message, slow)
    first = runs.follow(run, people["alice"])
    assert next(first) == RunEvent(1, "delta", {"text": "a"})
    go.set()
    assert events(first) == [(2, "done")]
    assert len(events(runs.follow(run, people["alice"]))) == 2


def test_a_finished_run_is_read_from_the_database(runs: Runs, people: People, message: str, database: Database) -> None:
    run = runs.start(people["alice"], message, hello)
    events(runs.follow(run, people["alice"]))
    runs.close()
    assert events(Runs(database).follow(run, people["alice"])) == [(1, "delta"), (2, "delta"), (3, "done")]


def test_a_failure_ends_the_stream_with_its_code(runs: Runs, people: People, message: str) -> None:
    def fail(_writer: Writer) -> None:
        raise EmptyDocumentError("detail", name="x.pdf")

    run = runs.start(people["alice"], message, fail)
    (event,) = [event for event in runs.follow(run, people["alice"]) if event]
    assert (event.kind, event.data) == ("error", {"code": "HK-DOC-011", "params": {"name": "x.pdf"}})


def test_a_mistake_in_the_work_shows_no_detail(runs: Runs, people: People, message: str) -> None:
    def crash(_writer: Writer) -> None:
        raise ValueError("document text")

    run = runs.start(people["alice"], message, crash)
    (event,) = [event for event in runs.follow(run, people["alice"]) if event]
    assert event.data == {"code": "HK-BOX-001", "params": {}}


def test_a_stop_reaches_the_work_at_once(runs: Runs, people: People, message: str) -> None:
    closed = threading.Event()

    def wait(writer: Writer) -> None:
        writer.on_stop(closed.set)
        writer.emit("delta", text="a")
        assert closed.wait(5)
        assert writer.stopped()
        writer.emit("done", message={})

    run = runs.start(people["alice"], message, wait)
    next(runs.follow(run, people["alice"]))
    runs.stop(run, people["alice"])
    assert events(runs.follow(run, people["alice"]))[-1] == (2, "done")


def test_after_a_crash_the_text_so_far_is_kept(database: Database, people: People, message: str) -> None:
    with database.write() as connection:
        connection.execute("insert into runs values ('run_1', ?, ?, 'running', 0)", (people["alice"], message))
        for number, text in enumerate(("Half ", "an answer"), start=1):
            connection.execute(
                "insert into run_events values ('run_1', ?, 'delta', json_object('text', ?))", (number, text)
            )
    assert Runs(database).recover() == 1
    found = Chats(database).message(people["alice"], message)
    assert (found.text, found.state, found.body["error"]["code"]) == ("Half an answer", "failed", "HK-RUN-002")
    assert Runs(database).recover() == 0


def test_mallory_can_neither_read_nor_stop(runs: Runs, people: People, message: str) -> None:
    go = threading.Event()

    def wait(writer: Writer) -> None:
        go.wait(5)
        writer.emit("done", message={"stopped": writer.stopped()})

    run = runs.start(people["alice"], message, wait)
    with pytest.raises(NotFoundError):
        runs.follow(run, people["mallory"])
    with pytest.raises(NotFoundError):
        runs.stop(run, people["mallory"])
    go.set()
    (event,) = [event for event in runs.follow(run, people["alice"]) if event]
    assert event.data["message"] == {"stopped": False}
