import os
import re
import signal
import subprocess
import sys
import threading
from pathlib import Path

import apsw
import numpy as np
import pytest

from appliance.errors import DiskFullError, NewerStoreError, StoreDamagedError, VaultDamagedError
from appliance.storage import migrations
from appliance.storage.database import Database
from tests.simulators import nursery

KEY = bytes(range(32))
CANARY = "canary-7c1f-秘密の文"


def put(database: Database, name: str, value: str) -> None:
    with database.write() as connection:
        connection.execute("insert or replace into settings values (?, ?)", (name, value))


def get(database: Database, name: str) -> str | None:
    with database.read() as connection:
        return connection.execute("select value from settings where name = ?", (name,)).get


@pytest.mark.parametrize("length", [0, 16, 31, 33, 64])
def test_a_key_of_the_wrong_length_is_refused_before_the_file_exists(tmp_path: Path, length: int) -> None:
    with pytest.raises(VaultDamagedError):
        Database(tmp_path / "hako.db", b"k" * length)
    assert not (tmp_path / "hako.db").exists()


def test_migrating_twice_applies_the_steps_once(tmp_path: Path) -> None:
    database = Database(tmp_path / "hako.db", KEY)
    assert database.migrate() == len(migrations.STEPS)
    assert database.migrate() == 0
    database.close()


@pytest.mark.parametrize("told", [None, len(migrations.STEPS) + 1])
def test_a_file_of_a_newer_release_that_this_one_is_too_old_for_is_left_alone(
    database: Database, told: int | None
) -> None:
    with database.write() as connection:
        connection.execute(f"pragma user_version = {len(migrations.STEPS) + 1}")
        connection.execute("delete from settings where name = 'schema_reads_from'")
    if told is not None:
        put(database, "schema_reads_from", str(told))
    with pytest.raises(NewerStoreError):
        database.migrate()


def test_the_release_before_goes_on_with_what_its_successor_has_made_of_the_file(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = migrations.STEPS
    monkeypatch.setattr(migrations, "STEPS", (*known, "create table later (id text primary key) strict;"))
    assert database.is_behind
    assert database.migrate() == 1
    monkeypatch.setattr(migrations, "STEPS", known)
    assert database.migrate() == 0
    put(database, "of the older one", "1")
    monkeypatch.setattr(migrations, "STEPS", (*known, "create table later (id text primary key) strict;"))
    assert not database.is_behind
    assert get(database, "of the older one") == "1"


def test_since_the_first_release_a_step_only_adds() -> None:
    for step in migrations.STEPS[migrations.READS_FROM :]:
        words = re.sub(r"--[^\n]*", "", step).lower()
        # A trigger may keep what the release before would delete, without an error: it looks whether it is gone.
        words = re.sub(
            r"create trigger \w+ before delete on \w+\s+when .+? begin select raise\(ignore\); end;", "", words
        )
        for statement in filter(None, (part.strip() for part in words.split(";"))):
            added = re.fullmatch(r"alter table \w+ add column (.+)", statement, re.DOTALL)
            assert added or re.match(r"create (virtual )?(table|(unique )?index) ", statement), statement
            # What the release before inserts leaves the column out.
            assert added is None or "not null" not in added[1] or " default " in added[1], statement
            assert not statement.startswith("create unique index") or _is_of_new_table(statement, words), statement


def _is_of_new_table(index: str, step: str) -> bool:
    """A unique index on an old table would refuse what the release before writes."""
    table = re.search(r" on (\w+)", index)
    return table is not None and f"create table {table[1]} " in step


@pytest.mark.parametrize("cipher", ["aegis", "sqlcipher"])
def test_nothing_lies_in_the_clear_in_any_file(tmp_path: Path, cipher: str) -> None:
    database = Database(tmp_path / "hako.db", KEY, cipher)
    database.migrate()
    for number in range(300):
        put(database, f"{CANARY}-{number}", CANARY * 20)
    with database.write() as connection:
        connection.execute("create table filler (text text)")
        connection.executemany("insert into filler values (?)", ((f"{n} {CANARY}" * 50,) for n in range(3000)))
    with database.read() as connection:
        assert len(connection.execute("select text from filler order by text desc").fetchall()) == 3000
        files = [path for path in tmp_path.iterdir() if path.is_file()]
        assert {path.name for path in files} >= {"hako.db", "hako.db-wal"}
        speaking = [path for path in files if CANARY.encode() in _bytes_of(path)]
    assert speaking == []
    database.close()
    assert not (tmp_path / "hako.db").read_bytes().startswith(b"SQLite format 3")
    again = Database(tmp_path / "hako.db", KEY, cipher)
    assert get(again, f"{CANARY}-7") == CANARY * 20
    again.close()


def _bytes_of(path: Path) -> bytes:
    """Read in another process: closing a descriptor of the file here would drop SQLite's locks."""
    return subprocess.run(["cat", path], check=True, capture_output=True).stdout


def test_the_file_belongs_to_its_owner_alone(database: Database, tmp_path: Path) -> None:
    put(database, "a", "b")
    modes = {path.name: oct(path.stat().st_mode & 0o777) for path in tmp_path.glob("hako.db*")}
    assert set(modes.values()) == {"0o600"}


def test_another_key_opens_nothing(database: Database, tmp_path: Path) -> None:
    put(database, "a", "b")
    database.close()
    other = Database(tmp_path / "hako.db", KEY[::-1])
    with pytest.raises(VaultDamagedError) as caught, other.read():
        pass
    assert caught.value.params == {"name": "hako.db"}
    other.close()


def test_a_plaintext_database_in_its_place_is_refused(tmp_path: Path) -> None:
    plain = apsw.Connection(str(tmp_path / "hako.db"))
    plain.execute("create table settings (name text, value text); insert into settings values ('a', 'planted')")
    plain.close()
    database = Database(tmp_path / "hako.db", KEY)
    with pytest.raises(VaultDamagedError), database.read():
        pass
    database.close()


def test_the_header_check_itself_notices_plaintext(tmp_path: Path) -> None:
    plain = apsw.Connection(str(tmp_path / "hako.db"))
    plain.execute("create table t (a)")
    database = Database(tmp_path / "hako.db", KEY)
    with pytest.raises(VaultDamagedError):
        database._demand_encrypted(plain)
    plain.close()


def read_everything(database: Database) -> None:
    with database.read() as connection:
        for (table,) in connection.execute("select name from sqlite_schema where type = 'table'").fetchall():
            connection.execute(f'select * from "{table}"').fetchall()
        connection.execute("pragma integrity_check").fetchall()


def test_a_flipped_bit_is_noticed_wherever_it_is(tmp_path: Path) -> None:
    path = tmp_path / "hako.db"
    database = Database(path, KEY)
    database.migrate()
    with database.write() as connection:
        connection.executemany("insert into settings values (?, ?)", ((f"n{n}", "x" * 900) for n in range(200)))
    database.close()
    whole = path.read_bytes()
    # The first 24 bytes hold the salt, unused with a raw key, and the page size: nothing of the content.
    for at in (24, 16384 + 40, len(whole) // 2, len(whole) - 5000):
        damaged = bytearray(whole)
        damaged[at] ^= 1
        path.write_bytes(damaged)
        again = Database(path, KEY)
        with pytest.raises((StoreDamagedError, VaultDamagedError)):
            read_everything(again)
        again.close()


def test_a_raised_error_leaves_nothing_behind(database: Database) -> None:
    with pytest.raises(ValueError, match="stop"), database.write() as connection:  # noqa: PT012
        connection.execute("insert into settings values ('half', 'x')")
        raise ValueError("stop")
    assert get(database, "half") is None
    put(database, "next", "works")
    assert get(database, "next") == "works"


def test_reading_cannot_write(database: Database) -> None:
    with pytest.raises(apsw.ReadOnlyError), database.read() as connection:
        connection.execute("insert into settings values ('a', 'b')")
    put(database, "a", "written")
    assert get(database, "a") == "written"


def test_a_reader_sees_one_moment_while_others_write(database: Database) -> None:
    put(database, "a", "old")
    with database.read() as connection:
        before = connection.execute("select value from settings where name = 'a'").get
        writer = threading.Thread(target=put, args=(database, "a", "new"))
        writer.start()
        writer.join()
        after = connection.execute("select value from settings where name = 'a'").get
        assert get(database, "a") == "old"  # nested: the same moment
    assert (before, after, get(database, "a")) == ("old", "old", "new")


def test_reading_inside_a_write_sees_its_own_changes(database: Database) -> None:
    with database.write() as connection:
        connection.execute("insert into settings values ('a', 'mine')")
        assert get(database, "a") == "mine"


def test_a_transaction_inside_a_transaction_is_a_mistake(database: Database) -> None:
    with database.write(), pytest.raises(RuntimeError), database.write():
        pass
    with database.read(), pytest.raises(RuntimeError), database.write():
        pass
    put(database, "a", "still usable")


def test_many_threads_lose_no_write(database: Database) -> None:
    put(database, "count", "0")

    def add() -> None:
        for _ in range(10):
            with database.write() as connection:
                connection.execute("update settings set value = cast(value as integer) + 1 where name = 'count'")

    threads = [threading.Thread(target=add) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert get(database, "count") == "80"


def test_threads_one_after_another_share_a_connection(database: Database) -> None:
    for _ in range(5):
        thread = threading.Thread(target=get, args=(database, "a"))
        thread.start()
        thread.join()
    assert len(database._idle) == 1


def test_many_at_once_have_connections_of_their_own_and_few_are_kept(database: Database) -> None:
    there, used = threading.Barrier(9), set()

    def look() -> None:
        with database.read() as connection:
            used.add(id(connection))
            there.wait(10)

    threads = [threading.Thread(target=look) for _ in range(9)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(used) == 9
    assert 1 <= len(database._idle) <= 4


def test_who_reads_while_the_database_is_closed_reads_to_the_end(database: Database) -> None:
    put(database, "a", "still here")
    with database.read() as connection:
        database.close()
        assert connection.execute("select value from settings where name = 'a'").get == "still here"
    with pytest.raises(apsw.ConnectionClosedError):
        connection.execute("select 1")
    with pytest.raises(RuntimeError), database.read():
        pass


def test_a_full_disk_is_told_and_changes_nothing(database: Database) -> None:
    put(database, "a", "before")
    with database.write() as connection:
        connection.execute(f"pragma max_page_count = {connection.execute('pragma page_count').get + 2}")
    with pytest.raises(DiskFullError), database.write() as connection:  # noqa: PT012
        connection.execute("update settings set value = 'after' where name = 'a'")
        connection.execute("insert into settings values ('big', ?)", ("x" * 500_000,))
    assert get(database, "a") == "before"
    put(database, "small", "fits")


def test_foreign_keys_hold_and_strings_need_single_quotes(database: Database) -> None:
    with pytest.raises(apsw.ConstraintError), database.write() as connection:
        connection.execute("insert into pages values ('doc_none', 1, '', '[]')")
    with pytest.raises(apsw.SQLError), database.read() as connection:
        connection.execute('select "no such column"')


def test_vectors_and_full_text_work_in_the_encrypted_file(database: Database) -> None:
    near = np.zeros(384, dtype=np.float32)
    near[0] = 1
    with database.write() as connection:
        for number in (1, 2):
            connection.execute(
                "insert into passage_vectors values (?, 7, ?)", (number, np.roll(near, number - 1).tobytes())
            )
        connection.execute("create virtual table words using fts5(text, content='')")
        connection.execute("insert into words (rowid, text) values (1, '箱 を 開 ける')")
    with database.read() as connection:
        found = connection.execute(
            "select passage_id from passage_vectors where base_number = 7 and embedding match ? and k = 1",
            (near.tobytes(),),
        ).get
        assert found == 1
        assert connection.execute("select rowid from words where words match '箱'").get == 1


def test_a_closed_database_and_a_forked_one_refuse(tmp_path: Path) -> None:
    assert nursery.run(refuses, tmp_path / "hako.db") == 0


def refuses(path: Path) -> None:
    database = Database(path, KEY)
    database.migrate()
    if (child := os.fork()) == 0:
        try:
            with database.read():
                os._exit(1)
        except RuntimeError:
            os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    database.close()
    with pytest.raises(RuntimeError), database.read():
        pass


_WRITER = """
import sys
from pathlib import Path
from appliance.storage.database import Database
database = Database(Path(sys.argv[1]), bytes(range(32)))
database.migrate()
for number in range(100_000):
    with database.write() as connection:
        connection.execute("insert into settings values (?, ?)", (f"a{number}", "x" * 2000))
        connection.execute("insert into settings values (?, ?)", (f"b{number}", "x" * 2000))
    print(number, flush=True)
"""


@pytest.mark.parametrize("acknowledged", [3, 40])
def test_kill_9_while_writing_loses_nothing_acknowledged(tmp_path: Path, acknowledged: int) -> None:
    path = tmp_path / "hako.db"
    writer = subprocess.Popen([sys.executable, "-c", _WRITER, str(path)], stdout=subprocess.PIPE, text=True)
    assert writer.stdout is not None
    last = -1
    for line in writer.stdout:
        last = int(line)
        if last >= acknowledged:
            writer.send_signal(signal.SIGKILL)
            break
    rest = writer.stdout.read().split()
    writer.stdout.close()
    assert writer.wait(10) == -signal.SIGKILL
    last = int(rest[-1]) if rest else last
    database = Database(path, KEY)
    with database.read() as connection:
        assert connection.execute("pragma integrity_check").get == "ok"
        firsts = connection.execute("select count(*) from settings where name like 'a%'").get
        seconds = connection.execute("select count(*) from settings where name like 'b%'").get
    assert firsts == seconds >= last + 1
    database.close()


def test_what_many_threads_remember_of_the_file_stays_small(database: Database) -> None:
    """Each connection has a cache of its own, and the web process has dozens of threads that may read at once."""
    threads, mebi = 12, 1 << 20
    for number in range(20):
        put(database, str(number), "x" * mebi)
    before, read = apsw.memory_used(), threading.Barrier(threads)

    def remember() -> None:
        with database.read() as connection:
            connection.execute("select sum(length(value)) from settings where value like '%y'").fetchall()
            read.wait(60)

    readers = [threading.Thread(target=remember) for _ in range(threads)]
    for reader in readers:
        reader.start()
    for reader in readers:
        reader.join()
    assert mebi < apsw.memory_used() - before < 4 * 10 * mebi
