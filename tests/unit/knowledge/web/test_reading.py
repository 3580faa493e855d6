"""WARC files are read in a jailed child: what it finds is believed as far as it has the right shape."""

import itertools
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from appliance.config import Limits
from appliance.errors import CancelledError, ReaderUnavailableError, WarcDamagedError, WarcOversizeError
from appliance.knowledge.web import reading
from appliance.knowledge.web.pages import Moved, Read
from appliance.knowledge.web.reading import WarcReader
from appliance.machine import jail
from tests.simulators import warcs

POPEN = subprocess.Popen
BEGUN = '{"what":"begun","record":%d,"position":9}'
PAGE = (
    '{"what":"page","record":%d,"url":"http://a.example/%d","at":1.5,"kind":"html","title":"T",'
    '"blocks":[["paragraph",0,"x"]],"links":[]}'
)
END = '{"what":"end"}'


@pytest.fixture
def file(tmp_path: Path) -> Iterator[int]:
    opened = os.open(warcs.write(tmp_path), os.O_RDONLY)
    yield opened
    os.close(opened)


@pytest.fixture
def scripted(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Children that say what a test gives them, one script after another; returns the orders that they got."""

    def script(*scripts: str) -> list[str]:
        orders: list[str] = []
        waiting = itertools.chain(scripts, itertools.repeat(scripts[-1]))

        def start(command: list[str], **options: Any) -> Any:
            orders.append(command[-1])
            return POPEN([sys.executable, "-S", "-E", "-c", next(waiting)], **options)

        monkeypatch.setattr(reading.subprocess, "Popen", start)
        return orders

    return script


def saying(*lines: str, then: str = "") -> str:
    return f"import os, time, signal\nos.write(1, {chr(10).join([*lines, '']).encode()!r})\n{then}"


def read(file: int, seconds: int = 60) -> list[Read | Moved]:
    return list(WarcReader(Limits(parse_seconds=seconds)).read(file, "city.warc.gz"))


def test_a_file_is_read_in_a_child(file: int):
    told: list[int] = []
    found = list(WarcReader(Limits()).read(file, "city.warc.gz", told.append))
    assert [each.url.removeprefix(warcs.SITE) for each in found] == ["/", "/bins", "/rules.txt", "/old"]
    assert told[-1] == os.fstat(file).st_size


def test_a_bomb_is_refused(tmp_path: Path):
    (tmp_path / "x").write_bytes(warcs.packed(warcs.record(warcs.answer(b"\0" * (45 << 20), "image/png"))))
    with (tmp_path / "x").open("rb") as opened, pytest.raises(WarcOversizeError):
        read(opened.fileno())


def test_a_page_that_takes_the_reader_down_is_left_unread(file: int, scripted: Any):
    died = saying(BEGUN % 1, PAGE % (1, 1), BEGUN % 4, then="os.kill(os.getpid(), signal.SIGSEGV)")
    orders = scripted(died, saying(BEGUN % 4, PAGE % (4, 4), END))
    assert [each.url for each in read(file)] == ["http://a.example/1", "http://a.example/4"]
    assert '"first": 4, "unreadable": [4]' in orders[1]


def test_a_reader_that_hangs_is_ended(file: int, scripted: Any, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(reading, "_START_S", 0.0)
    scripted(saying(BEGUN % 1, then="time.sleep(60)"), saying(BEGUN % 1, END))
    limits = Limits.model_construct(parse_seconds=1, parse_memory_mb=256)
    assert list(WarcReader(limits).read(file, "x")) == []


def test_a_file_all_of_whose_pages_kill_is_refused(file: int, scripted: Any):
    scripted(*(saying(BEGUN % number, then="os._exit(1)") for number in range(1, 22)))
    with pytest.raises(WarcDamagedError):
        read(file)


def test_a_page_that_kills_even_unread_is_not_tried_for_ever(file: int, scripted: Any):
    orders = scripted(saying(BEGUN % 3, then="os._exit(1)"))
    with pytest.raises(WarcDamagedError):
        read(file)
    assert len(orders) == 2


@pytest.mark.parametrize(
    "lines",
    [
        ["no json"],
        ["[]"],
        ['{"what":"sing"}'],
        [PAGE % (1, 1)],
        [BEGUN % 1, PAGE % (1, 1), PAGE % (1, 2)],
        [BEGUN % 2, BEGUN % 1],
        [BEGUN % 1, BEGUN % 1],
        [BEGUN % -1],
        [BEGUN % 1, (PAGE % (1, 1)).replace("http://a.example/1", "file:///etc/passwd")],
        [BEGUN % 1, (PAGE % (1, 1)).replace("http://a.example/1", "javascript:alert(1)")],
        [BEGUN % 1, (PAGE % (1, 1)).replace('"links":[]', '"links":[["data:x","y"]]')],
        [BEGUN % 1, (PAGE % (1, 1)).replace("paragraph", "script")],
        [BEGUN % 1, '{"what":"moved","url":"http://a.example/","to":"http://A.example"}'],
        ['{"what":"refused","too_large":false,"why":"<b>look</b>"}'],
    ],
)
def test_a_child_that_lies_is_not_believed(file: int, scripted: Any, lines: list[str]):
    scripted(saying(*lines, END))
    with pytest.raises(WarcDamagedError):
        read(file)


def test_a_page_of_more_text_than_is_read_is_a_lie(file: int, scripted: Any, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(reading.wire, "TEXT_CHARS", 0)
    scripted(saying(BEGUN % 1, PAGE % (1, 1), END))
    with pytest.raises(WarcDamagedError):
        read(file)


def test_a_child_that_says_too_much_is_ended(file: int, scripted: Any, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(reading.wire, "LINE_BYTES", 1 << 20)
    scripted("import os\nwhile True: os.write(1, b'a' * 65536)")
    with pytest.raises(WarcDamagedError):
        read(file)


def test_without_a_jail_nothing_is_read(file: int, scripted: Any):
    scripted(f"import os; os._exit({jail.NOT_JAILED})")
    with pytest.raises(ReaderUnavailableError):
        read(file)


def test_whoever_waits_may_stop_it(file: int, scripted: Any):
    scripted("import time; time.sleep(60)")

    def stop(_position: int) -> None:
        raise CancelledError

    with pytest.raises(CancelledError):
        next(WarcReader(Limits()).read(file, "x", stop))
