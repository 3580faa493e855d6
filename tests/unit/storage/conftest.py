from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance.storage.database import Database
from tests.unit.storage.audit_lab import Lab

KEY = bytes(range(32))


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    opened = Database(tmp_path / "hako.db", KEY)
    opened.migrate()
    yield opened
    opened.close()


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    folder = tmp_path / "box"
    folder.mkdir()
    made = Lab(folder)
    yield made
    made.close()
