"""Lines of the log in a support kit: known fields in known shapes, whatever else a line says."""

import json
from pathlib import Path
from typing import Any

import pytest

from appliance.config import Settings
from appliance.health.kit import loglines
from tests.unit.health.checks.machines import host

MARK = "zanzibar"
LINE: dict[str, Any] = {
    "timestamp": "2026-11-26T09:00:00.123456Z",
    "level": "warning",
    "process": "web",
    "event": "request_failed",
    "code": "HK-BOX-004",
    "rule": "/api/v1/documents/<document_id>",
    "status": 404,
    "ms": 3.5,
}


def test_a_line_of_the_box_is_kept() -> None:
    assert loglines.redacted(json.dumps(LINE)) == LINE


@pytest.mark.parametrize("name", [*LINE, "detail", "reason", "name", "file", "key", "user", "request", "text"])
def test_words_in_any_field_are_left_out(name: str) -> None:
    for words in (f"{MARK} said so", f"/home/{MARK}/x", f"{MARK}さん", {"deep": MARK}, [MARK]):
        kept = loglines.redacted(json.dumps({**LINE, name: words}))
        assert MARK not in json.dumps(kept), (name, words)


def test_the_trace_keeps_places_in_our_own_code_alone() -> None:
    trace = [
        f"/home/{MARK}/lib/python3.11/site-packages/appliance/jobs/worker.py:31 run",
        f"/home/{MARK}/mine.py:3 {MARK}",
        f"appliance/{MARK}.py {MARK}",
        "webui/routing.py:120 <lambda>",
    ]
    kept = loglines.redacted(json.dumps({**LINE, "exception": "ValueError", "trace": trace}))
    assert kept is not None
    assert kept["trace"] == ["appliance/jobs/worker.py:31 run", "webui/routing.py:120 <lambda>"]


@pytest.mark.parametrize("line", ["", MARK, "[1]", "{", '{"event": "hello"}', '{"level": "info"}', "[" * 100_000])
def test_other_lines_are_dropped(line: str) -> None:
    assert loglines.redacted(line) is None


def test_the_newest_lines_of_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loglines, "MOST", 3)
    file = tmp_path / "log" / "hako.log"
    file.parent.mkdir()
    file.write_text("".join(json.dumps({**LINE, "status": number}) + f"\n{MARK}\n" for number in range(9)), "utf-8")
    read = loglines.read(Settings(data_dir=tmp_path), host(tmp_path))
    assert [json.loads(line)["status"] for line in read] == [6, 7, 8]


def test_the_journal_where_there_is_no_file(tmp_path: Path) -> None:
    newest_first = "\n".join(json.dumps({**LINE, "status": number}) for number in (3, 2, 1))
    asked = f"journalctl --unit=hako* --output=cat --no-pager --reverse --lines={loglines.MOST}"
    read = loglines.read(Settings(data_dir=tmp_path), host(tmp_path, answers={asked: newest_first}))
    assert [json.loads(line)["status"] for line in read] == [1, 2, 3]
    assert loglines.read(Settings(data_dir=tmp_path), host(tmp_path)) == []
