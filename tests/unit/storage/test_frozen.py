"""The database file held still: the bytes of one moment, whatever is written and moved meanwhile."""

import secrets
from pathlib import Path

import apsw
import pytest

from appliance.errors import BusyError, StoreDamagedError
from appliance.storage import frozen
from appliance.storage.database import Database
from appliance.vault.envelope import new_key

KEY = new_key()
COUNT = "select count(*) from settings where value like 'xxx%'"


def put(database: Database, count: int) -> None:
    with database.write() as connection:
        for _ in range(count):
            connection.execute("insert into settings values (?, ?)", (secrets.token_hex(8), "x" * 300))


def rows(path: Path, cipher: str) -> int:
    database = Database(path, KEY, cipher)
    with database.read() as connection:
        assert connection.execute("pragma integrity_check").get == "ok"
        count: int = connection.execute(COUNT).get
    database.close()
    return count


@pytest.mark.parametrize("cipher", ["aegis", "sqlcipher"])
def test_the_bytes_are_those_of_the_moment(tmp_path: Path, cipher: str) -> None:
    database = Database(tmp_path / "hako.db", KEY, cipher)
    database.migrate()
    put(database, 2000)
    with database.frozen() as still:
        put(database, 3000)
        with database.read() as connection:
            connection.execute("pragma wal_checkpoint(passive)").fetchall()
        assert still.connection.execute(COUNT).get == 2000
        content = b"".join(still.read(offset, 100_000) for offset in range(0, still.size, 100_000))
        assert len(content) == still.size
    (tmp_path / "copy.db").write_bytes(content)
    assert rows(tmp_path / "copy.db", cipher) == 2000
    assert rows(tmp_path / "hako.db", cipher) == 5000
    with database.read() as connection:  # nothing holds the pages back any more
        assert connection.execute("pragma wal_checkpoint(passive)").fetchone()[0] == 0
    database.close()


def test_a_reader_who_holds_pages_back_is_waited_for_but_not_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(frozen, "_TRY_FOR_S", 0.2)
    database = Database(tmp_path / "hako.db", KEY)
    database.migrate()
    put(database, 10)
    slow = database._open()
    slow.execute("begin")
    slow.execute(COUNT).fetchall()
    put(database, 10)
    with pytest.raises(BusyError), database.frozen():
        pass
    slow.execute("rollback")
    put(database, 10)  # nobody was kept from writing
    with database.frozen() as still:
        assert still.connection.execute(COUNT).get == 30
    slow.close()
    database.close()


def test_a_file_that_ends_too_soon_is_damage(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(bytes(100))
    still = frozen.Frozen(apsw.Connection(":memory:"), 200, frozen._descriptor(tmp_path / "file"))
    with pytest.raises(StoreDamagedError):
        still.read(0, 200)
    still.connection.close()
