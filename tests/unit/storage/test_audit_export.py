"""Exports of the audit log: verified by a public key alone, whatever was done to the file, and by other means too."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from appliance.config import REPOSITORY
from appliance.errors import AuditExportError
from appliance.storage import audit_export
from appliance.storage.checkpoints import Checkpoint, Witness
from appliance.vault.signing import SigningKey
from tests.unit.storage.audit_lab import SEED, Lab

KEY = SigningKey(SEED).public
Lines = list[dict[str, Any]]


def written(lab: Lab, path: Path) -> Path:
    path.write_text("".join(lab.audit.export("alice", "Box of Alice")), "utf-8")
    return path


@pytest.fixture
def exported(lab: Lab, tmp_path: Path) -> Path:
    """Nine entries with checkpoints at 1, 4, 8 and, made for the export, 9."""
    for _ in range(2):
        lab.fill(4)
        lab.audit.checkpoint()
    return written(lab, tmp_path / "log.jsonl")


def found(path: Path, **more: Any) -> set[str]:
    return {each.key for each in audit_export.verify(path, KEY, **more).report.open}


def changed(path: Path, change: Callable[[Lines], Any]) -> Path:
    lines = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    change(lines)
    path.write_text("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines), "utf-8")
    return path


def test_an_export_is_whole_and_ends_with_a_signature(exported: Path) -> None:
    told = audit_export.verify(exported, KEY)
    assert told.report.is_sound
    assert (told.report.entries, told.report.checkpoints, told.unconfirmed) == (9, 4, 0)
    assert (told.header.name, told.header.public_key) == ("Box of Alice", KEY.hex())
    assert found(changed(exported, lambda _lines: None)) == set()


def test_every_line_is_json_that_says_what_it_is(exported: Path) -> None:
    header, *rest = [json.loads(line) for line in exported.read_text("utf-8").splitlines()]
    assert header["format"] == "hako-audit"
    assert [set(line) for line in rest] == [{"entry", "digest"}] * 9 + [{"checkpoint", "signature"}] * 4
    assert rest[-5]["entry"]["action"] == "audit-exported"


def edit(number: int, **values: Any) -> Callable[[Lines], Any]:
    return lambda lines: lines[number]["entry"].update(values)


TAMPERINGS: dict[str, tuple[Callable[[Lines], Any], set[str]]] = {
    "changed": (edit(6, actor="usr_mallory"), {"entry:6-6"}),
    "changed at a checkpoint": (edit(4, at=1.5), {"entry:4-4", "lost:2-2"}),
    "a detail changed": (edit(2, detail='{"size": 13.5}'), {"entry:2-2"}),
    "taken out": (lambda lines: lines.pop(6), {"entry:7-7"}),
    "put in twice": (lambda lines: lines.insert(6, lines[6]), {"entry:6-6"}),
    "moved": (lambda lines: lines.insert(5, lines.pop(6)), {"entry:5-7"}),
    "its end cut off": (lambda lines: lines.__delitem__(slice(7, 10)), {"lost:3-4"}),
    "its end cut off with the signatures": (lambda lines: (lines.__delitem__(slice(12, 14)), lines.pop(9)), {
        "uncovered:5-8"
    }),
    "no entries": (lambda lines: lines.__delitem__(slice(1, 10)), {"lost:1-4"}),
    "a checkpoint taken out": (lambda lines: lines.pop(11), {"chain:2-2"}),
    "a checkpoint altered": (lambda lines: lines[11]["checkpoint"].update(number=5), {"forged:2-2", "chain:2-2"}),
    "its newest checkpoint taken out": (lambda lines: lines.pop(13), {"uncovered:9-9"}),
    "another salt": (lambda lines: lines[0].update(salt="0" * 64), {"entry:1-9", "lost:1-4", "uncovered:1-9"}),
}  # fmt: skip


@pytest.mark.parametrize(("change", "expected"), TAMPERINGS.values(), ids=TAMPERINGS)
def test_every_tampering_with_an_export_is_noticed(
    exported: Path, change: Callable[[Lines], Any], expected: set[str]
) -> None:
    keys = found(changed(exported, change))
    assert expected <= keys


def test_a_history_that_was_made_anew_has_no_signature(exported: Path) -> None:
    """Every digest computed anew, as anybody can with the salt that the file tells."""

    def forge(lines: Lines) -> None:
        salt, digest = bytes.fromhex(lines[0]["salt"]), bytes(32)
        lines[3]["entry"]["actor"] = "usr_mallory"
        for line in lines[1:10]:
            entry = line["entry"]
            row = tuple(entry[name] for name in ("number", "at", "actor", "action", "target", "detail"))
            digest = audit_export.public(salt, digest, row)
            line["digest"] = digest.hex()

    assert found(changed(exported, forge)) == {"lost:2-4", "uncovered:2-9"}


def test_signatures_of_another_key_confirm_nothing(exported: Path) -> None:
    forger = Witness(exported.with_name("x"), b"\x01" * 32)

    def sign_anew(lines: Lines) -> None:
        lines[0]["public_key"] = forger.public.hex()
        for line in lines[10:]:
            made = Checkpoint.parse(json.dumps(line))
            assert made
            line["signature"] = forger.sign(made.statement).signature.hex()

    assert found(changed(exported, sign_anew)) == {"forged:1-4", "uncovered:1-9"}


@pytest.mark.parametrize(
    "content",
    [b"", b"\n", b"{}\n", b"\xff\xfe\n", b"[1]\n", b"PK\x03\x04", b"{" * 5000 + b"\n"],
    ids=["empty", "blank", "object", "bytes", "list", "zip", "deep"],
)
def test_what_is_no_export_is_said_to_be_none(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x"
    path.write_bytes(content)
    with pytest.raises(AuditExportError):
        audit_export.verify(path, KEY)


@pytest.mark.parametrize("kept", [0.1, 0.5, 0.9])
def test_an_export_that_was_cut_off_is_no_export(exported: Path, kept: float) -> None:
    content = exported.read_bytes()
    exported.write_bytes(content[: int(len(content) * kept)])
    with pytest.raises(AuditExportError):
        audit_export.verify(exported, KEY)


def test_an_earlier_export_shows_that_the_whole_folder_was_put_back(lab: Lab, exported: Path, tmp_path: Path) -> None:
    older = lab.keep("older")
    lab.fill(3)
    earlier = written(lab, tmp_path / "earlier.jsonl")
    later = written(lab, tmp_path / "later.jsonl")
    assert found(later, earlier=earlier) == set()
    lab.put_back(older, database=True, file=True)
    lab.fill(5)
    assert lab.found() == []  # nothing on the box can know
    now = written(lab, tmp_path / "now.jsonl")
    assert found(now) == set()
    assert {key.partition(":")[0] for key in found(now, earlier=earlier)} == {"earlier"}


def test_an_earlier_export_of_another_box_is_refused(lab: Lab, exported: Path, tmp_path: Path) -> None:
    other = SigningKey(b"\x01" * 32).public
    with pytest.raises(AuditExportError):
        audit_export.verify(written(lab, tmp_path / "now.jsonl"), other, earlier=exported)


def test_what_was_accepted_on_the_box_is_told_as_known(lab: Lab, exported: Path, tmp_path: Path) -> None:
    lab.tamper("update audit set actor = 'x' where number = 2")
    lab.audit.accept(lab.found(), "alice", "a backup was put back")
    report = audit_export.verify(written(lab, tmp_path / "now.jsonl"), KEY).report
    assert report.is_sound
    assert "lost" in {each.kind for each in report.findings}


def test_a_broken_log_can_be_exported_and_is_not_whole(lab: Lab, exported: Path, tmp_path: Path) -> None:
    lab.tamper("update audit set actor = 'x' where number = 2")
    assert "lost" in {key.partition(":")[0] for key in found(written(lab, tmp_path / "now.jsonl"))}


def test_nothing_of_the_box_is_needed(exported: Path) -> None:
    """A process that has neither the log nor its keys."""
    command = [sys.executable, "-m", "appliance", "--data-dir", str(exported.parent / "none"), "audit", "verify"]
    whole = subprocess.run(
        [*command, str(exported), "--key", KEY.hex()], cwd=REPOSITORY, capture_output=True, text=True, check=False
    )
    assert (whole.returncode, whole.stderr) == (0, "")
    changed(exported, edit(6, actor="usr_mallory"))
    broken = subprocess.run(
        [*command, str(exported), "--key", KEY.hex()], cwd=REPOSITORY, capture_output=True, text=True, check=False
    )
    assert (broken.returncode, "HK-AUD-002" in broken.stderr) == (1, True)
    assert not (exported.parent / "none").exists()
