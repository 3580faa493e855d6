"""Restoring and rehearsing: the same box elsewhere, never half, no mark lowered, nothing believed that isn't sealed."""

import base64
import io
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import appliance
from appliance import clock
from appliance.accounts.sessions import Sessions
from appliance.backup import manifest, rehearsing, restoring
from appliance.backup.repository import Repository, only_box
from appliance.backup.restoring import Restored
from appliance.bundle.trust.anchors import Anchors
from appliance.bundle.trust.state import TrustState, TrustStore
from appliance.bundle.update import history, updates
from appliance.bundle.update.history import Change
from appliance.bundle.update.state import MANIFEST, Phase, Places, Release
from appliance.errors import (
    BackupDamagedError,
    BackupTargetError,
    DiskFullError,
    HakoError,
    NewerStoreError,
    NoBackupError,
    OtherBoxError,
    ReleaseFloorError,
    SeveralBoxesError,
    TrustDamagedError,
    UpdateTrialError,
    WrongPassphraseError,
)
from appliance.storage import migrations
from appliance.storage.database import Database
from appliance.vault.keyring import Keyring
from tests.simulators.backed_box import BackedBox, quiet
from tests.simulators.publisher import Publisher
from tests.simulators.sticks import plain


def restore(box: BackedBox, stick: Path, target: Path, **more: Any) -> Restored:
    vault = box.settings.vault_file.read_bytes()
    name = more.pop("name", None)
    return restoring.restore(box.repository(stick), box.key, vault, target, name, quiet, **more)


def backed_up(box: BackedBox, stick: Path, **more: Any) -> str:
    assert box.run("create", stick, **more).state == "done"
    return box.repository(stick).ids()[0]


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def objects(stick: Path) -> list[Path]:
    return sorted(stick.glob("hako-backup/*/objects/??/*"))


def test_the_restored_box_is_the_same_box(box: BackedBox, stick: Path, tmp_path: Path) -> None:
    kept = box.blobs.put(io.BytesIO(b"the red safe"))
    plain(box.settings.models, "embedder", os.urandom(40_000))
    box.settings.destinations.write_text("{}")
    user = box.users.create("bob", "Bob", "member", "correct-horse-battery-staple", "en")
    Sessions(box.database, box.key("tokens")).start(user, "test")
    name = backed_up(box, stick, models=True)
    result = restore(box, stick, tmp_path / "new")
    assert (result.snapshot.id, result.publishers, result.replaced) == (name, 0, None)
    assert Keyring(tmp_path / "new" / "vault.json").open_with_recovery(box.recovery)
    again = BackedBox(tmp_path / "new")
    assert b"".join(again.blobs.open(kept.id)) == b"the red safe"
    assert again.users.verify("bob", "correct-horse-battery-staple").id == user.id
    assert (tmp_path / "new" / "destinations.json").read_text() == "{}"
    original = (box.settings.models / "embedder" / "model.onnx").read_bytes()
    assert (tmp_path / "new" / "models" / "embedder" / "model.onnx").read_bytes() == original
    assert again.trail == [*box.trail[: len(again.trail) - 1], "box-restored"]
    report = again.audit.verify()
    assert (report.is_sound, report.entries) == (True, len(again.trail))
    with again.database.read() as connection:
        assert connection.execute("select count(*) from sessions").get == 0
        assert connection.execute("select count(*) from jobs").get == 0
    assert (tmp_path / "new").stat().st_mode & 0o777 == 0o700
    assert backed_up(again, stick) != name
    again.close()


def test_a_log_of_actions_that_was_tampered_with_is_noticed_and_does_not_keep_the_box_away(
    box: BackedBox, stick: Path, tmp_path: Path
) -> None:
    box.audit.record("alice", "something")
    with box.database.write() as connection:
        connection.execute("drop trigger audit_no_update")
        connection.execute("update audit set actor = 'mallory' where number = 1")
    backed_up(box, stick)
    assert box.run("rehearse", stick).error_code == "HK-AUD-002"
    restore(box, stick, tmp_path / "new")
    again = BackedBox(tmp_path / "new")
    (newest,) = again.audit.entries(limit=1)
    assert (newest.action, newest.detail["chained"]) == ("box-restored", 0)
    again.close()


def test_an_older_snapshot_can_be_named(box: BackedBox, stick: Path, tmp_path: Path) -> None:
    first = backed_up(box, stick)
    box.users.create("later", "Later", "member", "correct-horse-battery-staple", "en")
    backed_up(box, stick)
    assert restore(box, stick, tmp_path / "new", name=first).snapshot.counts.users == 1
    with pytest.raises(NoBackupError):
        restore(box, stick, tmp_path / "newer", name="000009-20260101T000000Z-00000000")
    with pytest.raises(NoBackupError):
        restore(box, stick, tmp_path / "newer", name="../../vault.json")


def test_what_is_there_is_not_overwritten(box: BackedBox, stick: Path, tmp_path: Path) -> None:
    backed_up(box, stick)
    target = tmp_path / "full"
    target.mkdir()
    (target / "precious").write_text("x")
    for over in (False, True):
        with pytest.raises(BackupTargetError):
            restore(box, stick, target, over=over)
    assert contents(target) == {"precious": b"x"}
    with pytest.raises(BackupTargetError):
        restore(box, stick, target / "precious")
    (target / "precious").unlink()
    restore(box, stick, target)
    assert (target / "hako.db").exists()


def test_a_replaced_box_that_a_cut_left_half_aside_is_kept_by_the_next_restore(
    box: BackedBox, stick: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    backed_up(box, stick)
    target = box.settings.data_dir
    monkeypatch.setattr(clock, "now", lambda: 1_800_000_000.0)  # all of it within one second
    real = restoring._exchange

    def cut_off(one: Path, other: Path) -> bool:
        assert real(one, other)
        raise KeyboardInterrupt

    box.users.create("later", "Later", "member", "correct-horse-battery-staple", "en")
    box.close()
    monkeypatch.setattr(restoring, "_exchange", cut_off)
    with pytest.raises(KeyboardInterrupt):
        restore(box, stick, target, over=True)
    monkeypatch.setattr(restoring, "_exchange", real)
    replaced = restore(box, stick, target, over=True).replaced
    kept = sorted(target.parent.glob("box.replaced-*"))
    assert (len(kept), replaced in kept) == (2, True)
    names = []
    for folder in kept:
        there = BackedBox(folder)
        names.append([user.name for user in there.users.list()])
        there.close()
    assert sorted(names) == [["alice"], ["alice", "later"]]
    assert not target.with_name("box.restoring").exists()
    assert not (target / ".restoring").exists()


def test_another_box_is_not_replaced(box: BackedBox, stick: Path, tmp_path: Path) -> None:
    backed_up(box, stick)
    BackedBox(tmp_path / "other").close()
    before = contents(tmp_path / "other")
    with pytest.raises(OtherBoxError):
        restore(box, stick, tmp_path / "other", over=True)
    assert contents(tmp_path / "other") == before


# -- marks


def learned(box: BackedBox, publisher: Publisher, *, counter: int, floor: int, version: int, times: int) -> str:
    """Have the box know a publisher so far."""
    anchors = Anchors(box.database)
    current = anchors.current()
    from appliance.bundle.trust import anchors as module

    fingerprint = module.describe(publisher.anchor).fingerprint
    if current is None or current.fingerprint != fingerprint:
        anchors.put(publisher.anchor, fingerprint, by="alice", replaces=current.fingerprint if current else "")
    store = TrustStore(box.settings.trust / fingerprint[:32], box.key("trust"))
    timestamp = f'{{"signed": {{"version": {version}}}}}'.encode()
    for _ in range(times):
        known = store.load()
        state = TrustState(known.serial, {2: b"root"}, {"timestamp": timestamp}, counter, floor, float(version))
        saved = store.save(state)
    anchors.seen(fingerprint, saved.serial)
    return fingerprint


def test_restoring_over_a_box_keeps_its_higher_marks(box: BackedBox, stick: Path) -> None:
    publisher = Publisher(clock.now())
    fingerprint = learned(box, publisher, counter=3, floor=2, version=5, times=1)
    plain(box.settings.models, "embedder", os.urandom(10_000))
    backed_up(box, stick)
    learned(box, publisher, counter=9, floor=7, version=40, times=3)
    other = learned(box, Publisher(clock.now()), counter=1, floor=1, version=1, times=2)
    box.close()
    target = box.settings.data_dir
    (target / "vault.json").write_bytes((target / "vault.json").read_bytes())
    result = restore(box, stick, target, over=True)
    again = BackedBox(target)
    store = TrustStore(again.settings.trust / fingerprint[:32], again.key("trust"))
    with again.database.read() as connection:
        rows = {row[0]: row[1:] for row in connection.execute("select fingerprint, serial, is_current from anchors")}
    known = store.load(rows[fingerprint][0])
    assert (known.counter, known.floor, known.issued) == (9, 7, 40.0)
    assert known.serial >= 4
    assert b"40" in known.metadata["timestamp"]
    assert rows[other][1] == 1
    assert rows[fingerprint][1] == 0
    assert TrustStore(again.settings.trust / other[:32], again.key("trust")).load(rows[other][0]).counter == 1
    assert result.publishers == 2
    assert (target / "models" / "embedder" / "model.onnx").stat().st_size == 10_000
    assert result.replaced is not None
    assert (result.replaced / "hako.db").exists()
    assert not target.with_name(target.name + restoring.STAGING).exists()
    again.close()


def test_a_box_whose_database_is_gone_keeps_its_marks_too(box: BackedBox, stick: Path) -> None:
    publisher = Publisher(clock.now())
    fingerprint = learned(box, publisher, counter=3, floor=2, version=5, times=1)
    backed_up(box, stick)
    learned(box, publisher, counter=9, floor=7, version=40, times=3)
    box.close()
    box.settings.database.write_bytes(os.urandom(100_000))
    for ending in ("-wal", "-shm"):
        box.settings.database.with_name("hako.db" + ending).unlink(missing_ok=True)
    restore(box, stick, box.settings.data_dir, over=True)
    again = BackedBox(box.settings.data_dir)
    assert TrustStore(again.settings.trust / fingerprint[:32], again.key("trust")).load().floor == 7
    again.close()


def test_marks_that_can_not_be_believed_are_not_replaced(box: BackedBox, stick: Path) -> None:
    fingerprint = learned(box, Publisher(clock.now()), counter=3, floor=2, version=5, times=1)
    backed_up(box, stick)
    box.close()
    for copy in (box.settings.trust / fingerprint[:32]).iterdir():
        copy.write_bytes(b"")
    before = contents(box.settings.data_dir)
    with pytest.raises(TrustDamagedError):
        restore(box, stick, box.settings.data_dir, over=True)
    assert {name: data for name, data in contents(box.settings.data_dir).items() if "hako.db" not in name} == {
        name: data for name, data in before.items() if "hako.db" not in name
    }


def test_that_later_actions_are_gone_is_told_until_somebody_takes_note(box: BackedBox, stick: Path) -> None:
    backed_up(box, stick)
    box.audit.record("alice", "later")
    box.audit.checkpoint()
    box.close()
    restore(box, stick, box.settings.data_dir, over=True)
    again = BackedBox(box.settings.data_dir)
    assert again.audit.entries(limit=1)[0].detail["chained"] == 1
    report = again.audit.verify()
    assert {found.kind for found in report.open} == {"lost"}
    assert again.audit.accept([found.key for found in report.open], "alice", "put back").is_sound
    assert backed_up(again, stick)
    assert again.run("rehearse", stick).state == "done"
    again.close()


def test_a_passphrase_that_was_changed_meanwhile_stays(box: BackedBox, stick: Path) -> None:
    backed_up(box, stick)
    Keyring(box.settings.vault_file).set_passphrase(box._master, "a newer passphrase")
    box.close()
    restore(box, stick, box.settings.data_dir, over=True)
    with pytest.raises(WrongPassphraseError):
        Keyring(box.settings.vault_file).open_with_passphrase("correct horse battery")
    assert Keyring(box.settings.vault_file).open_with_passphrase("a newer passphrase") == box._master


# -- what may have happened to the medium


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def grow(path: Path) -> None:
    path.write_bytes(path.read_bytes() + bytes(64))


def pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


@pytest.mark.parametrize("spoil", [flip, cut, grow, pipe, Path.unlink], ids=["flipped", "cut", "grown", "pipe", "gone"])
@pytest.mark.parametrize("what", ["object", "snapshot"])
def test_damage_is_found_and_nothing_is_restored(
    box: BackedBox, stick: Path, tmp_path: Path, spoil: Callable[[Path], Any], what: str
) -> None:
    name = backed_up(box, stick)
    snapshot = stick / "hako-backup" / box.id / "snapshots" / name
    spoil(objects(stick)[0] if what == "object" else snapshot)
    expected = NoBackupError if (what, spoil) == ("snapshot", Path.unlink) else BackupDamagedError
    with pytest.raises(expected):
        restore(box, stick, tmp_path / "new")
    assert not (tmp_path / "new").exists()
    assert not (tmp_path / ("new" + restoring.STAGING)).exists()
    assert box.run("verify", stick).error_code == expected.code


def test_every_object_that_is_spoiled_is_noticed_and_made_anew(box: BackedBox, stick: Path) -> None:
    backed_up(box, stick)
    spoiled = objects(stick)
    for path in spoiled:
        flip(path)
    job = box.run("verify", stick)
    # Each file, and the database in as many chunks as it needs.
    files = list(box.settings.blobs_dir.glob("??/*"))
    assert len(spoiled) == len(files) + -(-box.settings.database.stat().st_size // manifest.CHUNK)
    assert (job.error_code, job.error_params) == ("HK-BAK-003", {"count": len(spoiled)})
    backed_up(box, stick, keep=1)
    assert box.run("verify", stick).state == "done"
    assert box.run("rehearse", stick).state == "done"


def test_a_snapshot_under_another_ones_name_is_not_believed(box: BackedBox, stick: Path, tmp_path: Path) -> None:
    first, second = backed_up(box, stick), backed_up(box, stick)
    place = stick / "hako-backup" / box.id / "snapshots"
    shutil.copy(place / first, place / second)
    with pytest.raises(BackupDamagedError):
        restore(box, stick, tmp_path / "new")
    shutil.copy(place / first, place / "000009-20990101T000000Z-00000000")
    with pytest.raises(BackupDamagedError):
        restore(box, stick, tmp_path / "new")


def test_objects_that_change_places_are_noticed(box: BackedBox, stick: Path, tmp_path: Path) -> None:
    backed_up(box, stick)
    one, other, *_ = sorted(objects(stick), key=lambda path: path.stat().st_size)
    content = one.read_bytes()
    one.write_bytes(other.read_bytes())
    other.write_bytes(content)
    with pytest.raises(BackupDamagedError):
        restore(box, stick, tmp_path / "new")


def test_the_snapshot_of_another_box_is_not_believed(box: BackedBox, stick: Path, tmp_path: Path) -> None:
    backed_up(box, stick)
    other = BackedBox(tmp_path / "other")
    backed_up(other, stick)
    theirs = stick / "hako-backup" / other.id
    shutil.rmtree(stick / "hako-backup" / box.id)
    theirs.rename(stick / "hako-backup" / box.id)
    with pytest.raises(BackupDamagedError):
        restore(box, stick, tmp_path / "new")
    assert only_box(stick) == box.id
    other.close()


def test_of_several_boxes_one_is_named(box: BackedBox, stick: Path, tmp_path: Path) -> None:
    with pytest.raises(NoBackupError):
        only_box(stick)
    backed_up(box, stick)
    other = BackedBox(tmp_path / "other")
    backed_up(other, stick)
    with pytest.raises(SeveralBoxesError):
        only_box(stick)
    assert only_box(stick, other.id[:8]) == other.id
    with pytest.raises(NoBackupError):
        only_box(stick, "zz")
    other.close()


@pytest.mark.parametrize(
    "change",
    [
        {"files": {"../../evil": ""}},
        {"files": {"/etc/cron.d/evil": ""}},
        {"files": {"trust/../../vault.json": ""}},
        {"files": {"vault.json": ""}},
        {"files": {"dev-passphrase": ""}},
        {"blobs": [{"id": "../" * 20, "key": "0" * 64, "object": "0" * 64, "size": 1}]},
        {"blobs": [{"id": "0" * 64, "key": "0" * 64, "object": "../" + "0" * 61, "size": 1}]},
        {"models": [{"id": "..", "manifest": "{}", "files": {}}]},
        {"models": [{"id": "m", "manifest": "{}", "files": {"../x": {"sha256": "0" * 64, "size": 1}}}]},
        {"id": "000001-20260101T000000Z-0000000/"},
        {"vault": "0" * 31 + "/"},
    ],
)
def test_no_name_in_a_manifest_leads_elsewhere(
    box: BackedBox, stick: Path, tmp_path: Path, change: dict[str, Any]
) -> None:
    """Even one that is sealed with the right key."""
    name = backed_up(box, stick)
    repository = box.repository(stick)
    said = {**repository.snapshot(name).model_dump(), **change}
    place = stick / "hako-backup" / box.id / "snapshots" / name
    place.write_bytes(manifest.sealed_text(repository._manifest_key, json.dumps(said).encode()))
    with pytest.raises(BackupDamagedError):
        restore(box, stick, tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_a_later_releases_backup_is_left_alone(box: BackedBox, stick: Path, tmp_path: Path) -> None:
    name = backed_up(box, stick)
    repository = box.repository(stick)
    made = repository.snapshot(name)
    place = stick / "hako-backup" / box.id / "snapshots" / name
    later = made.model_copy(
        update={"database": made.database.model_copy(update={"schema_version": 999, "reads_from": 900})}
    )
    place.write_bytes(manifest.sealed(repository._manifest_key, later))
    with pytest.raises(NewerStoreError):
        restore(box, stick, tmp_path / "new")
    assert box.run("rehearse", stick).error_code == "HK-STO-002"
    place.write_bytes(manifest.sealed_text(repository._manifest_key, b'{"format": 2, "news": 1}'))
    with pytest.raises(NewerStoreError):
        restore(box, stick, tmp_path / "new")


def test_a_later_releases_backup_is_restored_where_that_one_says_that_this_release_can_work_with_it(
    box: BackedBox, stick: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    box.users.create("bob", "Bob", "member", "correct-horse-battery-staple", "en")
    with monkeypatch.context() as later:
        later.setattr(migrations, "STEPS", (*migrations.STEPS, "create table later (id text) strict;"))
        box.database.migrate()
        backed_up(box, stick)
    assert box.run("rehearse", stick).error_code is None
    restore(box, stick, tmp_path / "new")
    again = BackedBox(tmp_path / "new")
    assert [user.name for user in again.users.list()] == ["alice", "bob"]
    again.close()


def test_a_box_is_not_restored_to_a_release_below_its_floor(
    box: BackedBox, stick: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    updates.raise_mark(box.database, (appliance.COUNTER + 2, appliance.COUNTER + 1))
    backed_up(box, stick)
    with pytest.raises(ReleaseFloorError) as seen:
        restore(box, stick, tmp_path / "new")
    assert seen.value.params["floor"] == appliance.COUNTER + 1
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith("new")] == []
    with monkeypatch.context() as newer:
        newer.setattr(appliance, "COUNTER", appliance.COUNTER + 1)
        restore(box, stick, tmp_path / "new")
    # Where the box is still there, what counts is the release that runs it, not the one that restores it.
    places = Places.of(box.settings.data_dir)
    current = Release("0.2.0-x", "0.2.0", appliance.COUNTER + 2)
    places.folder(current.name).mkdir(parents=True)
    (places.folder(current.name) / MANIFEST).write_text(json.dumps(vars(current)))
    places.point("current", current.name)
    box.close()
    restore(box, stick, box.settings.data_dir, over=True)


def test_how_releases_were_changed_is_told_of_the_machine_that_the_box_is_on(
    box: BackedBox, stick: Path, tmp_path: Path
) -> None:
    def changed(version: str, at: float) -> Change:
        return Change(version, "0.1.0", True, True, "", "", "alice", at, {})

    history.add(box.database, changed("0.2.0", 1.0))
    backed_up(box, stick)
    restore(box, stick, tmp_path / "new")
    again = BackedBox(tmp_path / "new")
    assert history.of(again.database) == []
    again.close()
    history.add(box.database, changed("0.3.0", 2.0))
    box.close()
    restore(box, stick, box.settings.data_dir, over=True)
    over = BackedBox(box.settings.data_dir)
    assert [change.version for change in history.of(over.database)] == ["0.3.0", "0.2.0"]
    over.close()


def test_a_wrong_key_opens_nothing(box: BackedBox, stick: Path) -> None:
    backed_up(box, stick)
    stranger = Repository(stick, box.id, bytes(32))
    with pytest.raises(BackupDamagedError):
        stranger.newest()
    with pytest.raises(WrongPassphraseError):
        Keyring(stick / "hako-backup" / box.id / "vault.json").open_with_passphrase("not the passphrase")


def test_no_room_is_told_before_anything_is_written(
    box: BackedBox, stick: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    backed_up(box, stick)
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: shutil._ntuple_diskusage(10, 10, 0))  # type: ignore[attr-defined]
    with pytest.raises(DiskFullError):
        restore(box, stick, tmp_path / "new")
    assert box.run("rehearse", stick).state == "waiting"  # room may come
    assert not (tmp_path / "new").exists()


# -- rehearsals


def test_a_rehearsal_opens_counts_and_wipes(box: BackedBox, stick: Path) -> None:
    made = backed_up(box, stick)
    assert box.run("rehearse", stick).state == "done"
    said = box.backups.last()["rehearse"]
    assert (said["snapshot"], said["opened"], said["blobs"], said["counts"]["users"]) == (made, 4, 4, 1)
    assert said["audit"] >= 1
    assert not (box.settings.data_dir / "rehearsal").exists()
    assert box.trail[-1] == "backup-rehearsed"


def test_a_rehearsal_notices_records_that_are_not_what_was_backed_up(box: BackedBox, stick: Path) -> None:
    name = backed_up(box, stick)
    repository = box.repository(stick)
    made = repository.snapshot(name)
    counts = made.counts.model_copy(update={"users": 77})
    place = stick / "hako-backup" / box.id / "snapshots" / name
    place.write_bytes(manifest.sealed(repository._manifest_key, made.model_copy(update={"counts": counts})))
    assert box.run("rehearse", stick).error_code == "HK-STO-001"
    assert not (box.settings.data_dir / "rehearsal").exists()


def test_a_rehearsal_with_the_keys_of_another_vault_fails(box: BackedBox, stick: Path, tmp_path: Path) -> None:
    backed_up(box, stick)

    def derive(purpose: str) -> bytes:
        return bytes(32) if purpose == "database" else box.key(purpose)

    with pytest.raises(HakoError):
        rehearsing.rehearse(box.repository(stick), derive, tmp_path / "scratch", quiet)
    assert not (tmp_path / "scratch").exists()


def test_small_files_come_back_byte_for_byte(box: BackedBox, stick: Path, tmp_path: Path) -> None:
    content = b'name = "\xe7\xae\xb1"\n'
    (box.settings.data_dir / "hako.toml").write_bytes(content)
    made = box.repository(stick).snapshot(backed_up(box, stick))
    assert base64.b64decode(made.files["hako.toml"]) == content
    restore(box, stick, tmp_path / "new")
    assert (tmp_path / "new" / "hako.toml").read_bytes() == content


def test_over_a_box_its_releases_stay_and_what_may_not_run_any_more_too(box: BackedBox, stick: Path) -> None:
    backed_up(box, stick)
    places = Places.of(box.settings.data_dir)
    places.folder("0.2.0-00000000").mkdir(parents=True)
    (places.folder("0.2.0-00000000") / "release.json").write_text('{"version": "0.2.0", "counter": 2}')
    places.point("current", "0.2.0-00000000")
    updates.raise_mark(box.database, (2, 2))
    with places.held() as held:
        held.change(phase=Phase.PROBING)
    box.database.close()
    with pytest.raises(UpdateTrialError):
        restore(box, stick, box.settings.data_dir, over=True)
    with places.held() as held:
        held.change(phase=Phase.COMMITTED)
    restore(box, stick, box.settings.data_dir, over=True)
    assert places.current == "0.2.0-00000000"
    database = Database(box.settings.database, box.key("database"), box.settings.cipher)
    assert updates.mark_of(database) == (2, 2)
    database.close()
