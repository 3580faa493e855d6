"""What the tests of backups share: a box with some content, and a stick."""

import io
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.simulators.backed_box import BackedBox


@pytest.fixture
def box(tmp_path: Path) -> Iterator[BackedBox]:
    opened = BackedBox(tmp_path / "box")
    opened.users.create("alice", "Alice", "operator", "correct-horse-battery-staple", "en")
    for number in range(4):
        opened.blobs.put(io.BytesIO(f"document {number}".encode() * 1000))
    yield opened
    opened.close()


@pytest.fixture
def stick(tmp_path: Path) -> Path:
    folder = tmp_path / "stick"
    folder.mkdir()
    return folder
