"""Runs: readers from any number, stops, crashes, other people."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from appliance import clock
from appliance.apps.chats import Chats
from appliance.apps.runs import RunEvent, Runs, Writer
from appliance.errors import DiskFullError, EmptyDocumentError, NotFoundError
from appliance.storage.database import Database
from tests.simulators.waiting import eventually

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


def test_a_crash_while_an_answer_is_continued_loses_nothing_of_it(
    database: Database, people: People, message: str
) -> None:
    chats = Chats(database)
    chats.close_answer(message, "The first half", "done", {"mode": "chat", "stats": {"finish": "length"}})
    chats.reopen(people["alice"], chats.message(people["alice"], message))
    with database.write() as connection:
        connection.execute("insert into runs values ('run_1', ?, ?, 'running', 0)", (people["alice"], message))
        connection.execute("insert into run_events values ('run_1', 1, 'delta', json_object('text', ' and more'))")
    assert Runs(database).recover() == 1
    found = chats.message(people["alice"], message)
    assert (found.text, found.state, found.body["mode"]) == ("The first half and more", "failed", "chat")


def test_after_a_crash_the_marks_still_have_their_sources(database: Database, people: People, message: str) -> None:
    with database.write() as connection:
        connection.execute("insert into runs values ('run_1', ?, ?, 'running', 0)", (people["alice"], message))
        told = [("delta", {"text": "So it is"}), ("citation", {"n": 1, "quote": "it is"}), ("delta", {"text": " [1]"})]
        for number, (kind, data) in enumerate(told):
            connection.execute("insert into run_events values ('run_1', ?, ?, ?)", (number, kind, json.dumps(data)))
    Runs(database).recover()
    found = Chats(database).message(people["alice"], message)
    assert (found.text, found.body["citations"]) == ("So it is [1]", [{"n": 1, "quote": "it is"}])


def test_an_answer_that_never_got_a_run_is_closed_at_the_next_start(
    database: Database, people: People, message: str
) -> None:
    assert Runs(database).recover() == 1
    found = Chats(database).message(people["alice"], message)
    assert (found.state, found.body["error"]["code"]) == ("failed", "HK-RUN-002")


def test_a_chat_that_is_deleted_ends_the_writing_of_its_answer(
    runs: Runs, people: People, message: str, database: Database
) -> None:
    ended = threading.Event()

    def wait(writer: Writer) -> None:
        writer.on_stop(ended.set)
        writer.emit("delta", text="a")
        ended.wait(20)
        writer.emit("done", message={})

    runs.start(people["alice"], message, wait)
    with database.write() as connection:
        connection.execute("delete from chats")
    assert ended.wait(20)  # the next events find no run to belong to


def test_all_answers_of_a_person_can_be_stopped(runs: Runs, people: People, message: str) -> None:
    stopped: dict[str, threading.Event] = {name: threading.Event() for name in ("alice", "mallory")}
    go = threading.Event()

    def work(name: str) -> Callable[[Writer], None]:
        def wait(writer: Writer) -> None:
            writer.on_stop(stopped[name].set)
            go.wait(20)
            writer.emit("done", message={})

        return wait

    for name in stopped:
        runs.start(people[name], message, work(name))
    runs.stop_all(people["alice"])
    assert stopped["alice"].wait(20)
    assert not stopped["mallory"].is_set()
    go.set()


def test_events_are_forgotten_once_nobody_can_need_them(
    runs: Runs, people: People, message: str, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    def count() -> int:
        with database.read() as connection:
            return int(connection.execute("select count(*) from run_events").get)

    first = runs.start(people["alice"], message, hello)
    events(runs.follow(first, people["alice"]))
    assert eventually(lambda: count() == 3)
    began = clock.monotonic()
    for later in (60, 1200):  # out of the memory, then out of the database
        monkeypatch.setattr(clock, "monotonic", lambda later=later: began + later)
        events(runs.follow(runs.start(people["alice"], message, hello), people["alice"]))
    assert eventually(lambda: count() == 6)
    assert events(runs.follow(first, people["alice"])) == []


def test_events_that_found_no_room_are_stored_with_the_next(
    runs: Runs, people: People, message: str, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    full, go = threading.Event(), threading.Event()
    write = database.write

    def no_room() -> Any:
        if full.is_set():
            raise DiskFullError
        return write()

    def work(writer: Writer) -> None:
        full.set()
        writer.emit("delta", text="kept ")
        go.wait(20)
        full.clear()
        writer.emit("delta", text="whole")
        writer.emit("done", message={})

    monkeypatch.setattr(database, "write", no_room)
    run = runs.start(people["alice"], message, work)
    next(runs.follow(run, people["alice"]))
    time.sleep(0.7)  # one attempt to store it
    go.set()
    events(runs.follow(run, people["alice"]))
    runs.close()
    assert events(Runs(database).follow(run, people["alice"])) == [(1, "delta"), (2, "delta"), (3, "done")]


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
