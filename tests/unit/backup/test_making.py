"""Making snapshots: whole, incremental, while the box works, and nothing readable on the medium."""

import base64
import io
import os
import secrets
import threading
from pathlib import Path

import pytest

from appliance.backup import making
from appliance.backup.making import Wish
from appliance.backup.manifest import CHUNK
from appliance.config import Accounts
from appliance.errors import BackupFolderError, BackupRoomError, BusyError, CancelledError
from tests.simulators.backed_box import BackedBox, quiet
from tests.simulators.sticks import plain


def make(box: BackedBox, stick: Path, **wish: object) -> making.Snapshot:
    return making.make(box.repository(stick), box.settings, box.database, Wish(**wish), quiet)  # type: ignore[arg-type]


def files(stick: Path) -> dict[str, bytes]:
    return {str(path.relative_to(stick)): path.read_bytes() for path in stick.rglob("*") if path.is_file()}


def test_a_snapshot_holds_database_files_and_wrapped_key(box: BackedBox, stick: Path) -> None:
    box.settings.model_aliases.write_text("{}")
    made = make(box, stick)
    assert (made.number, len(made.blobs), made.missing, made.counts.users) == (1, 4, 0, 1)
    assert set(made.files) == {"model-aliases.json"}
    held = files(stick / "hako-backup" / box.id)
    assert held["vault.json"] == box.settings.vault_file.read_bytes()
    assert {Path(name).name for name in held if name.startswith("objects/")} == set(made.objects())
    assert box.repository(stick).newest() == made


def test_where_processes_have_accounts_of_their_own_what_they_share_is_in_it_too(box: BackedBox, stick: Path) -> None:
    names = ("keys", "web", "worker", "inference", "egress", "health")
    accounts = Accounts(**{name: f"hako-{name}" for name in names})
    settings = box.settings.model_copy(update={"accounts": accounts})
    settings.shared.mkdir()
    settings.model_figures.write_text("{}")
    box.settings.model_figures.write_text('{"left": "by an earlier release"}')
    settings.destinations.write_text("{}")
    made = making.make(box.repository(stick), settings, box.database, Wish(), quiet)
    assert {name: base64.b64decode(text) for name, text in made.files.items()} == {
        "model-figures.json": b"{}", "destinations.json": b"{}",
    }  # fmt: skip


def test_a_second_snapshot_writes_only_what_changed(box: BackedBox, stick: Path) -> None:
    with box.database.write() as connection:
        for _ in range(9000):
            connection.execute("insert into settings values (?, ?)", (secrets.token_hex(16), "x" * 500))
    first = make(box, stick)
    before = files(stick)
    assert first.database.size > 4 * CHUNK
    box.blobs.put(io.BytesIO(b"one more"))
    second = make(box, stick)
    new = files(stick).keys() - before.keys()
    assert second.new_bytes < first.new_bytes / 2
    assert len([name for name in new if "objects" in name]) < len(second.objects()) / 2
    assert all(files(stick)[name] == content for name, content in before.items())


def test_nothing_of_the_box_can_be_read_on_the_medium(box: BackedBox, stick: Path) -> None:
    secret = b"the combination is 7-15-31"
    box.blobs.put(io.BytesIO(secret * 10))
    box.settings.destinations.write_text('{"far": "10.9.8.7"}')
    with box.database.write() as connection:
        connection.execute("insert into settings values ('x', ?)", (secret.decode(),))
    plain(box.settings.models, "embedder", secret * 100)
    make(box, stick, models=True)
    whole = b"".join(files(stick).values())
    assert secret not in whole
    assert b"10.9.8.7" not in whole
    assert b"SQLite format" not in whole
    assert b"alice" not in whole


def test_people_go_on_writing_while_it_is_made(box: BackedBox, stick: Path) -> None:
    stop = threading.Event()

    def write() -> None:
        while not stop.is_set():
            with box.database.write() as connection:
                connection.execute("insert into settings values (?, ?)", (secrets.token_hex(16), "x" * 3000))
            box.blobs.put(io.BytesIO(os.urandom(100)))

    writers = [threading.Thread(target=write) for _ in range(2)]
    for writer in writers:
        writer.start()
    try:
        made = [make(box, stick) for _ in range(3)]
    finally:
        stop.set()
        for writer in writers:
            writer.join()
    assert len({snapshot.id for snapshot in made}) == 3
    assert box.run("verify", stick).state == box.run("rehearse", stick).state == "done"


def test_a_file_that_is_erased_meanwhile_makes_the_moment_be_taken_again(
    box: BackedBox, stick: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with box.database.read() as reading:
        victims = reading.execute("select id from blobs order by id desc limit 2").fetchall()
    real = making._blob_rows

    def erased(connection: object) -> list[tuple[str, int, bytes]]:
        rows = real(connection)  # type: ignore[arg-type]
        if victims:
            box.blobs.delete(victims.pop()[0])
        return rows

    monkeypatch.setattr(making, "_blob_rows", erased)
    made = make(box, stick)
    assert (len(made.blobs), made.missing) == (2, 0)


def test_a_file_that_the_box_has_lost_is_told_and_does_not_stop_the_backup(box: BackedBox, stick: Path) -> None:
    next(box.settings.blobs_dir.glob("??/*")).unlink()
    made = make(box, stick)
    assert (len(made.blobs), made.missing) == (3, 1)
    assert box.run("rehearse", stick).state == "done"


def test_models_are_named_and_copied_only_when_asked(box: BackedBox, stick: Path) -> None:
    plain(box.settings.models, "embedder", os.urandom(50_000))
    listed = make(box, stick).models[0]
    assert (listed.id, listed.is_whole) == ("embedder", False)
    first = make(box, stick, models=True)
    assert first.models[0].is_whole
    assert first.size > 50_000
    assert make(box, stick, models=True).new_bytes < 50_000


def test_only_the_newest_are_kept_and_only_what_they_need(box: BackedBox, stick: Path) -> None:
    doomed = box.blobs.put(io.BytesIO(b"to be erased" * 100))
    first = make(box, stick)
    box.blobs.delete(doomed.id)
    kept = [make(box, stick, keep=2) for _ in range(3)][1:]
    repository = box.repository(stick)
    assert repository.ids() == [kept[1].id, kept[0].id]
    needed = set(kept[0].objects()) | set(kept[1].objects())
    assert {path.name for path in stick.glob("hako-backup/*/objects/??/*")} == needed
    assert set(first.objects()) - needed
    assert box.run("verify", stick).state == "done"


def test_while_a_snapshot_can_not_be_read_no_object_is_removed(box: BackedBox, stick: Path) -> None:
    first = make(box, stick)
    second = make(box, stick)
    path = stick / "hako-backup" / box.id / "snapshots" / second.id
    path.write_bytes(path.read_bytes()[:-1])
    make(box, stick, keep=2)
    held = {path.name for path in stick.glob("hako-backup/*/objects/??/*")}
    assert set(first.objects()) <= held


def test_without_its_folder_nothing_is_made(box: BackedBox, tmp_path: Path) -> None:
    with pytest.raises(BackupFolderError):
        make(box, tmp_path / "nowhere")
    assert not (tmp_path / "nowhere").exists()


def test_two_can_not_be_made_at_once(box: BackedBox, stick: Path) -> None:
    with box.repository(stick).held(), pytest.raises(BusyError):
        make(box, stick)


def test_cancelling_leaves_the_earlier_ones(box: BackedBox, stick: Path) -> None:
    first = make(box, stick)

    def stop(_stage: str, done: int, _total: int) -> None:
        if done:
            raise CancelledError

    box.blobs.put(io.BytesIO(b"more"))
    with pytest.raises(CancelledError):
        making.make(box.repository(stick), box.settings, box.database, Wish(), stop)
    assert box.repository(stick).ids() == [first.id]
    assert make(box, stick).number == 2


def test_no_room_leaves_the_earlier_ones_and_gives_the_room_back(
    box: BackedBox, stick: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = make(box, stick)
    box.blobs.put(io.BytesIO(os.urandom(5000)))
    real, calls = os.fsync, iter(range(100))

    def full(descriptor: int) -> None:
        if next(calls) == 6:
            raise OSError(28, "No space left on device")
        real(descriptor)

    monkeypatch.setattr("appliance.backup.repository.os.fsync", full)
    with pytest.raises(BackupRoomError):
        make(box, stick)
    monkeypatch.undo()
    assert box.repository(stick).ids() == [first.id]
    assert {path.name for path in stick.glob("hako-backup/*/objects/??/*")} == set(first.objects())
    assert box.run("verify", stick).state == "done"


@pytest.mark.parametrize("place", ["hako-backup", "objects", "snapshots", "incoming", "objects/00"])
def test_a_link_on_the_medium_is_not_followed(box: BackedBox, stick: Path, tmp_path: Path, place: str) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "precious").write_text("x")
    path = stick / "hako-backup" if place == "hako-backup" else stick / "hako-backup" / box.id / place
    path.parent.mkdir(parents=True, exist_ok=True)
    path.symlink_to(elsewhere)
    with pytest.raises(BackupFolderError):
        make(box, stick)
    assert (elsewhere / "precious").exists()
