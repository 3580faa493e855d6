import hashlib
import io
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from appliance import clock
from appliance.errors import DiskFullError, EnvelopeError, NotFoundError
from appliance.storage.blobs import BlobStore
from appliance.storage.database import Database

KEY = b"\x07" * 32
SENTENCE = "診療記録の写しは、窓口で受け取れます。".encode()


@pytest.fixture
def store(tmp_path: Path, database: Database) -> BlobStore:
    return BlobStore(tmp_path / "blobs", database, KEY)


def content(store: BlobStore, blob_id: str) -> bytes:
    return b"".join(store.open(blob_id))


def stored_files(tmp_path: Path) -> list[Path]:
    return [path for path in (tmp_path / "blobs").rglob("*") if path.is_file()]


@pytest.mark.parametrize("size", [0, 1, 1 << 20, (1 << 20) + 1, 3_500_000])
def test_what_goes_in_comes_out(store: BlobStore, size: int) -> None:
    given = os.urandom(size)
    blob = store.put(io.BytesIO(given))
    assert blob.size == size
    assert content(store, blob.id) == given
    target = io.BytesIO()
    store.fetch(blob.id, target)
    assert target.getvalue() == given


def test_same_content_is_the_same_blob_and_one_file(store: BlobStore, tmp_path: Path) -> None:
    first = store.put(io.BytesIO(SENTENCE))
    second = store.put(io.BytesIO(SENTENCE))
    other = store.put(io.BytesIO(SENTENCE + b"!"))
    assert first == second
    assert other.id != first.id
    assert len(stored_files(tmp_path)) == 2


def test_the_disk_shows_neither_content_nor_a_plain_digest(store: BlobStore, tmp_path: Path) -> None:
    blob = store.put(io.BytesIO(SENTENCE * 1000))
    (file,) = stored_files(tmp_path)
    assert SENTENCE not in file.read_bytes()
    assert blob.id != hashlib.sha256(SENTENCE * 1000).hexdigest()
    assert file.stat().st_mode & 0o777 == 0o600


def test_another_box_names_the_same_content_differently(store: BlobStore, tmp_path: Path, database: Database) -> None:
    other = BlobStore(tmp_path / "other", database, b"\x08" * 32)
    assert other.put(io.BytesIO(SENTENCE)).id != store.put(io.BytesIO(SENTENCE)).id


@pytest.mark.parametrize("broken", [b"", b"HAKOENV1", b"not an envelope" * 100])
def test_a_truncated_or_foreign_file_is_told(store: BlobStore, tmp_path: Path, broken: bytes) -> None:
    blob = store.put(io.BytesIO(SENTENCE))
    stored_files(tmp_path)[0].write_bytes(broken)
    with pytest.raises(EnvelopeError):
        content(store, blob.id)


def test_a_cut_off_file_and_a_flipped_bit_are_told(store: BlobStore, tmp_path: Path) -> None:
    blob = store.put(io.BytesIO(os.urandom(2_500_000)))
    (file,) = stored_files(tmp_path)
    whole = file.read_bytes()
    for damaged in (whole[:-1], whole[: 40 + (1 << 20) + 16], whole[:-20] + b"\0" + whole[-19:], whole + b"x"):
        file.write_bytes(damaged)
        with pytest.raises(EnvelopeError):
            content(store, blob.id)


def test_a_missing_file_is_told_and_healed_by_the_same_content(store: BlobStore, tmp_path: Path) -> None:
    blob = store.put(io.BytesIO(SENTENCE))
    stored_files(tmp_path)[0].unlink()
    with pytest.raises(EnvelopeError):
        content(store, blob.id)
    store.put(io.BytesIO(SENTENCE))
    assert content(store, blob.id) == SENTENCE


def test_a_swapped_file_does_not_open_under_another_name(store: BlobStore, tmp_path: Path) -> None:
    first, second = store.put(io.BytesIO(b"first")), store.put(io.BytesIO(b"second"))
    by_name = {path.name: path for path in stored_files(tmp_path)}
    by_name[second.id].write_bytes(by_name[first.id].read_bytes())
    with pytest.raises(EnvelopeError):
        content(store, second.id)


def test_a_swapped_key_row_does_not_open_another_file(store: BlobStore, tmp_path: Path, database: Database) -> None:
    first, second = store.put(io.BytesIO(b"first")), store.put(io.BytesIO(b"second"))
    by_name = {path.name: path for path in stored_files(tmp_path)}
    by_name[second.id].write_bytes(by_name[first.id].read_bytes())
    with database.write() as connection:
        wrapped = connection.execute("select wrapped_key from blobs where id = ?", (first.id,)).get
        connection.execute("update blobs set wrapped_key = ? where id = ?", (wrapped, second.id))
    with pytest.raises(EnvelopeError):
        store.open(second.id)


@pytest.mark.parametrize("blob_id", ["", "../../vault.json", "a" * 63, "A" * 64, "0" * 64])
def test_an_unknown_or_hostile_id_finds_nothing(store: BlobStore, blob_id: str) -> None:
    with pytest.raises(NotFoundError):
        store.open(blob_id)


def test_deleting_erases_key_and_file(store: BlobStore, tmp_path: Path, database: Database) -> None:
    blob = store.put(io.BytesIO(SENTENCE))
    assert store.delete(blob.id)
    assert stored_files(tmp_path) == []
    with pytest.raises(NotFoundError):
        store.open(blob.id)
    with database.read() as connection:
        assert connection.execute("select count(*) from blobs").get == 0
        assert not store.holds(connection, blob.id)


def test_a_blob_that_a_document_uses_stays(store: BlobStore, database: Database) -> None:
    blob = store.put(io.BytesIO(SENTENCE))
    at = clock.now()
    with database.write() as connection:
        connection.execute(
            "insert into bases (id, number, name, visibility, created_at, updated_at)"
            " values ('b', 1, 'b', 'everyone', ?, ?)",
            (at, at),
        )
        connection.execute(
            "insert into documents (id, base_id, name, format, size, digest, blob_id, state, created_at, updated_at)"
            " values ('d', 'b', 'n', 'txt', 1, 'x', ?, 'ready', ?, ?)",
            (blob.id, at, at),
        )
    assert not store.delete(blob.id)
    assert content(store, blob.id) == SENTENCE


def test_a_source_that_breaks_leaves_nothing(store: BlobStore, tmp_path: Path, database: Database) -> None:
    class Breaking(io.RawIOBase):
        def read(self, size: int = -1) -> bytes:
            raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        store.put(Breaking())  # type: ignore[arg-type]
    assert stored_files(tmp_path) == []
    with database.read() as connection:
        assert connection.execute("select count(*) from blobs").get == 0


def test_a_full_disk_is_told_and_leaves_nothing(
    store: BlobStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(DiskFullError):
        store.put(io.BytesIO(SENTENCE))
    assert stored_files(tmp_path) == []


def test_sweep_removes_leftovers_and_spares_what_is_held_or_being_written(store: BlobStore, tmp_path: Path) -> None:
    blob = store.put(io.BytesIO(SENTENCE))
    orphan = tmp_path / "blobs" / "ab" / ("ab" * 32)
    orphan.parent.mkdir(exist_ok=True)
    orphan.write_bytes(b"left by a crash between rename and commit")
    (tmp_path / "blobs" / "incoming" / "dead").write_bytes(b"left by a killed upload")
    removed: list[int] = []

    class Slow(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            if not removed:
                sweeper = threading.Thread(target=lambda: removed.append(store.sweep()))
                sweeper.start()
                sweeper.join()
            return super().read(size)

    slow = store.put(Slow(b"written while the sweep runs"))
    assert removed == [2]
    assert content(store, blob.id) == SENTENCE
    assert content(store, slow.id) == b"written while the sweep runs"
    assert not orphan.exists()


def test_many_threads_put_and_delete_the_same_content(store: BlobStore, tmp_path: Path) -> None:
    failures: list[BaseException] = []

    def guarded(work: Callable[[], object]) -> None:
        try:
            for _ in range(8):
                work()
        except BaseException as error:  # noqa: BLE001 - collected for the assertion
            failures.append(error)

    blob = store.put(io.BytesIO(SENTENCE))
    works: list[Callable[[], object]] = [
        lambda: store.put(io.BytesIO(SENTENCE)),
        lambda: store.delete(blob.id),
        store.sweep,
    ]
    threads = [threading.Thread(target=guarded, args=(work,)) for work in works * 2]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    store.put(io.BytesIO(SENTENCE))
    assert content(store, blob.id) == SENTENCE
    assert len(stored_files(tmp_path)) == 1


_UPLOADER = """
import os, sys
from pathlib import Path
from appliance.storage.blobs import BlobStore
from appliance.storage.database import Database
folder = Path(sys.argv[1])
database = Database(folder / "hako.db", bytes(range(32)))
store = BlobStore(folder / "blobs", database, b"\\x07" * 32)
class Source:
    count = 0
    def read(self, size=-1):
        self.count += 1
        if self.count == 3:
            print("writing", flush=True)
            sys.stdin.read()
        return "診療記録".encode() * 87382
store.put(Source())
"""


def test_kill_9_while_an_upload_is_written_leaves_the_old_state(
    store: BlobStore, tmp_path: Path, database: Database
) -> None:
    blob = store.put(io.BytesIO(SENTENCE))
    with subprocess.Popen(
        [sys.executable, "-c", _UPLOADER, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as uploader:
        assert uploader.stdout is not None
        assert uploader.stdout.readline() == "writing\n"
        assert store.sweep() == 0
        uploader.send_signal(signal.SIGKILL)
        uploader.wait(10)
    leftover = [path for path in stored_files(tmp_path) if path.parent.name == "incoming"]
    assert len(leftover) == 1
    assert "診療記録".encode() not in leftover[0].read_bytes()
    assert store.sweep() == 1
    assert content(store, blob.id) == SENTENCE
    with database.read() as connection:
        assert connection.execute("select count(*) from blobs").get == 1
