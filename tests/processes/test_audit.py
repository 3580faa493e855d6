"""The audit log of a served box: power cuts are no false alarm, older files are one, and outsiders can verify."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.simulators.served import ServedBox


@pytest.fixture
def box(tmp_path: Path) -> Iterator[ServedBox]:
    with ServedBox(tmp_path / "v") as made:
        yield made


def act(box: ServedBox, times: int) -> None:
    """Something that is recorded."""
    with box.client() as client:
        for number in range(times):
            client.put("/models/aliases/" + f"name-{number}", {"model": "talker"})


def trail(box: ServedBox) -> list[str]:
    with box.client() as client:
        return [item["action"] for item in client.get("/audit")["items"]]


def test_a_power_cut_between_entry_and_checkpoint_is_no_alarm(box: ServedBox) -> None:
    act(box, 3)
    box.kill()
    offline = box.hako("audit", "verify")
    assert (offline.returncode, "whole" in offline.stdout) == (0, True), offline.stdout + offline.stderr
    box.start("--no-question")
    with box.client() as client:
        assert client.post("/audit/verify", {})["sound"]
    assert trail(box).count("box-opened") == 2
    assert box.stop() == 0
    box.start("--no-question")
    began = [action for action in trail(box) if action.startswith("box-")]
    assert began[:3] == ["box-opened", "box-stopped", "box-opened"]


def test_outsiders_verify_what_was_exported(box: ServedBox, tmp_path: Path) -> None:
    act(box, 2)
    assert "model-alias-set" in box.hako("audit", "list", "--raw", "--action", "model-alias-set").stdout
    assert "The operator at the terminal gave" in box.hako("audit", "list", "--action", "model-alias-set").stdout
    export, key = tmp_path / "log.jsonl", tmp_path / "key"
    assert box.hako("audit", "export", str(export)).returncode == 0
    assert box.hako("audit", "key", "--out", str(key)).returncode == 0
    assert export.stat().st_mode & 0o777 == 0o600
    assert box.stop() == 0
    verified = box.hako("audit", "verify", str(export), "--key", str(key))
    assert verified.returncode == 0, verified.stdout + verified.stderr


def test_a_database_that_was_put_back_is_told_at_the_start_and_the_box_works_on(box: ServedBox, tmp_path: Path) -> None:
    assert box.stop() == 0
    older = tmp_path / "older"
    older.mkdir()
    for path in box.folder.glob("hako.db*"):
        shutil.copy(path, older)
    box.start("--no-question")
    act(box, 2)
    assert box.stop() == 0
    for path in box.folder.glob("hako.db*"):
        path.unlink()
    for path in older.iterdir():
        shutil.copy(path, box.folder)

    box.start("--no-question")
    assert "record of actions" in box.output
    assert "audit_log_not_whole" in box.log()
    broken = box.hako("audit", "verify")
    assert (broken.returncode, "HK-AUD-002" in broken.stderr, "×" in broken.stdout) == (1, True, True)
    doctor = box.hako("doctor", "--look")
    assert (doctor.returncode, "HK-HLT-031" in doctor.stdout) == (2, True)
    assert "audit-not-whole" in trail(box)
    act(box, 1)
    accepted = box.hako("audit", "accept", "--yes", "--reason", "an older copy was put back")
    assert accepted.returncode == 0, accepted.stderr
    again = box.hako("audit", "verify")
    assert (again.returncode, "✓" in again.stdout) == (0, True)
