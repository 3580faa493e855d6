"""What tests share: a fresh encrypted database."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance.storage import audit_origin
from appliance.storage.database import Database


@pytest.fixture(autouse=True)
def _asked_by_nobody() -> None:
    """What a test records doesn't come from where the request of an earlier test in this process came from."""
    audit_origin._current.set({})


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    database = Database(tmp_path / "hako.db", bytes(range(32)))
    database.migrate()
    yield database
    database.close()


@pytest.fixture
def people(database: Database) -> dict[str, str]:
    """The cast: ids of Alice and Bob, with Mallory, who owns nothing."""
    ids = {name: f"usr_{name}" for name in ("alice", "bob", "mallory")}
    with database.write() as connection:
        for name, user_id in ids.items():
            connection.execute(
                "insert into users (id, name, display_name, role, password_hash, language, created_at)"
                " values (?, ?, ?, 'member', '', 'en', 0)",
                (user_id, name, name),
            )
    return ids
