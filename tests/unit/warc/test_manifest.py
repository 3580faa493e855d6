"""A manifest says what a snapshot is, or is none."""

import json
from pathlib import Path

import pytest

from appliance.warc import manifest
from tests.simulators import warcs


@pytest.fixture
def said(tmp_path: Path) -> dict[str, object]:
    found: dict[str, object] = json.loads((warcs.snapshot(tmp_path) / "snapshot.json").read_bytes())
    return found


def test_a_whole_one_is_read(said: dict[str, object]):
    read = manifest.read(json.dumps(said).encode())
    assert read is not None
    assert (read.name, read.title.ja, read.pages) == ("city", "市役所", 3)


@pytest.mark.parametrize(
    "change",
    [
        {"format": 2},
        {"name": "../city"},
        {"name": "City"},
        {"more": 1},
        {"files": {}},
        {"files": {"../x.warc.gz": {"sha256": "0" * 64, "size": 1}}},
        {"files": {"x.zip": {"sha256": "0" * 64, "size": 1}}},
        {"files": {"x.warc.gz": {"sha256": "0" * 64, "size": 0}}},
        {"starts": []},
        {"starts": ["javascript:alert(1)"]},
        {"starts": ["file:///etc/passwd"]},
        {"by": "two\nlines"},
        {"ended": 0},
        {"left_out": {"weather": 1}},
        {"pages": "3"},
    ],
)
def test_another_is_none(said: dict[str, object], change: dict[str, object]):
    assert manifest.read(json.dumps({**said, **change}).encode()) is None


@pytest.mark.parametrize("data", [b"", b"{", b"[" * 100_000, b" " * (2 << 20)])
def test_nonsense_is_none(data: bytes):
    assert manifest.read(data) is None
