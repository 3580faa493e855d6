"""`hako doctor` without a box, and how what is known of one is written."""

import io
import json
import zipfile
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from appliance.cli import doctor
from appliance.cli.doctor_words import lines
from appliance.cli.main import main
from appliance.health import alone
from appliance.health.finding import Finding, Look
from appliance.health.seen import Seen
from appliance.inference.engines import scripted

LOW = Finding("disk", "low", "error", "HK-HLT-001", {"free": 1, "total": 100, "percent": 99})
WORN = Finding("ups", "worn", "warning", "HK-HLT-008", {"ups": "cellar"})
FINE = Look("memory", "used", "free", {"percent": 20, "free": 8, "total": 10})


def ran(monkeypatch: pytest.MonkeyPatch, folder: Path, *words: str, language: str = "en_GB.UTF-8") -> Any:
    monkeypatch.setenv("LC_ALL", language)
    return CliRunner().invoke(main, ["--data-dir", str(folder), "doctor", *words])


def looking(monkeypatch: pytest.MonkeyPatch, *found: Finding) -> None:
    """The machine is found so."""
    bad = [Look(each.check, findings=(each,)) for each in found]
    monkeypatch.setattr(alone, "looks", lambda _plain, _host: [Seen(each, "machine", 1.8e9) for each in (FINE, *bad)])


@pytest.mark.parametrize(("found", "code"), [((), 0), ((WORN,), 1), ((WORN, LOW), 2)])
def test_the_exit_code_tells_the_worst(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, found: tuple[Finding, ...], code: int
) -> None:
    looking(monkeypatch, *found)
    said = ran(monkeypatch, tmp_path)
    assert said.exit_code == code, said.output
    assert [each.code in said.output for each in found] == [True] * len(found)
    assert ("Nothing needs attention." in said.output) == (not found)


def test_a_state_is_a_sign_a_word_and_a_colour_where_it_can_be_shown(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    looking(monkeypatch, LOW)
    plain = ran(monkeypatch, tmp_path).output
    assert "× Error      The disk is getting full  HK-HLT-001" in plain
    assert "✓ Well       Memory: 20 % · 8 of 10 GB free" in plain
    assert "→ Delete documents and models that nobody needs." in plain
    assert "Errors: 1, warnings: 0" in plain
    assert "\x1b" not in plain
    found = json.loads(ran(monkeypatch, tmp_path, "--json").output)
    assert any("\x1b[31m× Error\x1b[0m" in line for line in lines(found, "en", with_colour=True))
    japanese = ran(monkeypatch, tmp_path, language="ja_JP.UTF-8").output
    assert "× 異常" in japanese
    assert "箱は動いていません" in japanese


def test_as_json_for_programs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    looking(monkeypatch, WORN, LOW)
    said = ran(monkeypatch, tmp_path, "--json")
    found = json.loads(said.output)
    assert (found["box"], found["state"], said.exit_code) == ("not_running", "error", 2)
    assert [each["code"] for each in found["findings"]] == ["HK-HLT-001", "HK-HLT-008"]
    assert {check["name"]: check["state"] for check in found["checks"]}["memory"] == "ok"


def test_files_of_models_are_read_again(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    looking(monkeypatch)
    scripted.install(tmp_path / "models", "talker", "chat")
    assert ran(monkeypatch, tmp_path).exit_code == 0
    entry = next(path for path in (tmp_path / "models" / "talker").iterdir() if path.name != "model.json")
    entry.write_bytes(b"\0" + entry.read_bytes()[1:])
    said = ran(monkeypatch, tmp_path)
    assert (said.exit_code, "HK-HLT-039" in said.output) == (2, True)


def test_nothing_is_made_where_there_is_no_box(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    folder = tmp_path / "none"
    said = ran(monkeypatch, folder)
    assert said.exit_code in doctor.EXITS.values()
    assert "Disk space" in said.output
    assert not folder.exists()


def test_a_kit_without_a_box_and_one_that_has_no_place(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "kit.zip"
    said = ran(monkeypatch, tmp_path / "v", "--kit", str(file))
    assert (said.exit_code, "What needs keys isn't in it" in said.output) == (0, True)
    assert file.stat().st_mode & 0o077 == 0
    with zipfile.ZipFile(io.BytesIO(file.read_bytes())) as archive:
        assert "- findings.json" in archive.read("hako-support/README.txt").decode()
    said = ran(monkeypatch, tmp_path / "v", "--kit", str(tmp_path / "absent" / "kit.zip"))
    assert (said.exit_code, "HK-BOX-038" in said.stderr) == (1, True)
