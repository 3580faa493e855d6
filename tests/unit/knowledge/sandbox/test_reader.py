"""The reader: results, limits, cancelling, crashes, a zygote that dies."""

import os
import signal
import threading
from pathlib import Path
from typing import BinaryIO

import pytest

from appliance.errors import (
    CancelledError,
    DamagedDocumentError,
    DocumentTooLargeError,
    HakoError,
    ReaderUnavailableError,
    UnknownFormatError,
)
from appliance.knowledge.extract.contract import Extracted
from appliance.knowledge.sandbox.reader import DocumentReader
from tests.simulators import documents
from tests.simulators.documents import Words, filling, make_docx, make_pdf, paragraph, shapes
from tests.simulators.hostile_zygote import COMMAND, LIMITS
from tests.simulators.waiting import eventually


def quiet(_done: int, _total: int) -> None:
    pass


def asked(reader: DocumentReader, data: bytes, name: str) -> Extracted:
    return reader.read(filling(data), name, quiet)


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (make_pdf([[Words("本文", 50, 780, 20), *documents.column(["東大寺は大きい。"], 50, 700)]]), "a.pdf"),
        (make_docx(paragraph("本文"), title="題"), "a.docx"),
        ("<html><meta charset=euc-jp><h1>題</h1><p>本文</p>".encode("euc_jp"), "a.html"),
        ("# 題\n\n- 一\n- 二\n\n| a | b |\n|---|---|\n| 1 | 2 |\n".encode(), "a.md"),
        ("番号,名前\n1,髙橋\n".encode("cp932"), "a.csv"),
        ("本文です。\n".encode("iso2022_jp"), "a.txt"),
        ("本文です。\n".encode("utf-16"), "a.txt"),
        ("Łódź i Gdańsk są piękne".encode("cp1250"), "a.txt"),
    ],
    ids=["pdf", "docx", "html", "md", "csv", "jis", "utf-16", "cp1250"],
)
def test_a_document_reads_the_same_inside_the_jail_as_outside(reader: DocumentReader, data: bytes, name: str) -> None:
    assert asked(reader, data, name) == documents.read(data, name)


def test_real_documents_read_the_same_inside_the_jail(reader: DocumentReader) -> None:
    folder = documents.shared_documents()
    for name in ("ja_cid.pdf", "ja.docx"):
        data = (folder / name).read_bytes()
        assert asked(reader, data, name) == documents.read(data, name)


def test_a_reason_given_in_the_child_arrives(reader: DocumentReader) -> None:
    with pytest.raises(UnknownFormatError) as caught:
        asked(reader, b"\x89PNG\r\n\x1a\n" + bytes(99), "写真.png")
    assert caught.value.params == {"name": "写真.png"}


def test_progress_is_told_while_the_child_works(hostile: DocumentReader) -> None:
    steps: list[tuple[int, int]] = []
    hostile.read(filling(b"x"), "steps", lambda *step: steps.append(step))
    assert steps[0] == (0, 1)
    assert all(0 <= done <= total for done, total in steps)


def test_an_endless_document_is_stopped(hasty: DocumentReader) -> None:
    with pytest.raises(DocumentTooLargeError) as caught:
        asked(hasty, b"x", "loop")
    assert caught.value.params == {"limit": "1 s"}


def test_a_document_that_only_waits_is_stopped(hasty: DocumentReader) -> None:
    with pytest.raises(DocumentTooLargeError) as caught:
        asked(hasty, b"x", "sleep")
    assert caught.value.params == {"limit": "1 s"}


def test_a_flood_of_progress_is_stopped(hasty: DocumentReader) -> None:
    with pytest.raises(DocumentTooLargeError):
        asked(hasty, b"x", "flood")


def test_a_document_that_wants_all_memory_is_too_large(hostile: DocumentReader) -> None:
    with pytest.raises(DocumentTooLargeError) as caught:
        asked(hostile, b"x", "memory")
    assert caught.value.params == {"limit": "512 MB"}


def test_running_out_of_processor_time_counts_as_time(hostile: DocumentReader) -> None:
    with pytest.raises(DocumentTooLargeError) as caught:
        asked(hostile, b"x", "xcpu")
    assert caught.value.params == {"limit": "30 s"}


@pytest.mark.parametrize("crash", ["segv", "abort", "quit", "lie"])
def test_a_crash_or_a_lie_is_a_damaged_document_and_the_next_one_is_read(hostile: DocumentReader, crash: str) -> None:
    with pytest.raises(DamagedDocumentError):
        asked(hostile, b"x", crash)
    assert shapes(asked(hostile, "本文".encode(), "a")) == [("paragraph", "本文")]


def test_cancelling_kills_the_child_at_once(hostile: DocumentReader) -> None:
    def cancel(done: int, _total: int) -> None:
        if done == 3:
            raise CancelledError

    with pytest.raises(CancelledError):
        hostile.read(filling(b"x"), "sleep", cancel)
    assert eventually(lambda: not children_of(hostile))


def test_a_cancellation_is_noticed_while_the_child_is_silent(hostile: DocumentReader) -> None:
    calls = 0

    def cancel(_done: int, _total: int) -> None:
        nonlocal calls
        calls += 1
        if calls == 3:
            raise CancelledError

    with pytest.raises(CancelledError):
        hostile.read(filling(b"x"), "loop", cancel)


def test_a_source_that_fails_passes_its_error_on(hostile: DocumentReader) -> None:
    def fill(_file: BinaryIO) -> None:
        raise HakoError("no such blob")

    with pytest.raises(HakoError, match="no such blob"):
        hostile.read(fill, "a", quiet)


def test_each_document_has_a_process_of_its_own(hostile: DocumentReader) -> None:
    pids = {shapes(asked(hostile, b"x", "identity"))[0][1] for _ in range(3)}
    assert len(pids) == 3


def test_documents_are_read_side_by_side(hostile: DocumentReader) -> None:
    started = threading.Event()
    release = threading.Event()

    def hold(done: int, _total: int) -> None:
        if done == 3:
            started.set()
        if release.is_set():
            raise CancelledError

    def sleep() -> None:
        with pytest.raises(CancelledError):
            hostile.read(filling(b"x"), "sleep", hold)

    thread = threading.Thread(target=sleep)
    thread.start()
    try:
        assert started.wait(10)
        assert shapes(asked(hostile, b"second", "a")) == [("paragraph", "second")]
    finally:
        release.set()
        thread.join()


def test_a_killed_zygote_is_started_again() -> None:
    reader = DocumentReader(LIMITS, COMMAND)
    try:
        first = zygote_of(reader)
        os.kill(first, signal.SIGKILL)
        assert shapes(asked(reader, b"x", "a")) == [("paragraph", "x")]
        assert zygote_of(reader) != first
    finally:
        reader.close()


def test_a_zygote_killed_in_the_middle_of_a_document_costs_only_time() -> None:
    reader = DocumentReader(LIMITS, COMMAND)
    killed: list[int] = []

    def kill(done: int, _total: int) -> None:
        if done == 3 and not killed:
            killed.append(zygote_of(reader))
            os.kill(killed[0], signal.SIGKILL)
        elif killed and done == 3:
            raise CancelledError

    try:
        with pytest.raises(CancelledError):
            reader.read(filling(b"x"), "sleep", kill)
        assert zygote_of(reader) not in killed
    finally:
        reader.close()


def test_a_reader_that_can_not_start_says_so() -> None:
    reader = DocumentReader(LIMITS, (*COMMAND, "--broken"))
    with pytest.raises(ReaderUnavailableError):
        asked(reader, b"x", "a")
    reader.close()


def test_closing_ends_every_process() -> None:
    reader = DocumentReader(LIMITS, COMMAND)
    asked(reader, b"x", "a")
    pid = zygote_of(reader)
    reader.close()
    assert not Path(f"/proc/{pid}").exists()
    assert shapes(asked(reader, b"again", "a")) == [("paragraph", "again")]
    reader.close()


def zygote_of(reader: DocumentReader) -> int:
    return reader._running()._process.pid


def children_of(reader: DocumentReader) -> set[str]:
    pid = zygote_of(reader)
    return set(Path(f"/proc/{pid}/task/{pid}/children").read_text().split())
