from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance.storage.database import Database

KEY = bytes(range(32))


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    opened = Database(tmp_path / "hako.db", KEY)
    opened.migrate()
    yield opened
    opened.close()
