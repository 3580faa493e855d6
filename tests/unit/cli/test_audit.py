"""`hako audit verify` without a running box: with its passphrase over its files, or over an export anywhere."""

import os
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from appliance.cli.main import main
from appliance.config import Settings
from appliance.storage.audit import Audit
from appliance.storage.checkpoints import Witness
from appliance.storage.database import Database
from appliance.vault.digests import derive
from appliance.vault.keyring import Keyring
from appliance.vault.passphrase import Cost

PASSPHRASE = "correct horse battery"


class StoppedBox:
    """A vault, a database with a log, and the file of checkpoints; no process."""

    def __init__(self, folder: Path) -> None:
        self.settings = Settings(data_dir=folder)
        folder.mkdir()
        master = Keyring(self.settings.vault_file, Cost(memory_kib=64, passes=1)).create(PASSPHRASE)
        database = Database(self.settings.database, derive(master, "hako/v1/database"))
        database.migrate()
        witness = Witness(self.settings.audit_checkpoints, derive(master, "hako/v1/audit-signing"))
        self.key = witness.public.hex()
        audit = Audit(database, derive(master, "hako/v1/audit"), witness)
        audit.begin()
        audit.record("alice", "user-created", "usr_bob")
        audit.end()
        self.export = folder.parent / "log.jsonl"
        self.export.write_text("".join(audit.export("alice", "Box of Alice")), "utf-8")
        database.close()

    def hako(self, *words: str, typed: str = PASSPHRASE + "\n") -> Result:
        runner = CliRunner(env={"LC_ALL": "en_GB.UTF-8"})
        return runner.invoke(main, ["--data-dir", str(self.settings.data_dir), "audit", *words], input=typed)


@pytest.fixture
def box(tmp_path: Path) -> StoppedBox:
    return StoppedBox(tmp_path / "box")


def test_a_stopped_box_is_verified_with_its_passphrase(box: StoppedBox) -> None:
    result = box.hako("verify")
    assert (result.exit_code, "4 entries" in result.output) == (0, True), result.output
    assert PASSPHRASE not in result.output


def test_a_wrong_passphrase_verifies_nothing(box: StoppedBox) -> None:
    result = box.hako("verify", typed="something else\n")
    assert (result.exit_code, "HK-VLT-002" in result.output) == (1, True)


def test_a_development_box_brings_its_passphrase(box: StoppedBox) -> None:
    folder = box.settings.data_dir
    (folder / "hako.toml").write_text("development = true\n")
    box.settings.passphrase_file.touch(0o600)
    box.settings.passphrase_file.write_text(PASSPHRASE + "\n")
    assert box.hako("verify", typed="").exit_code == 0
    box.settings.passphrase_file.chmod(0o644)
    assert "HK-BOX-010" in box.hako("verify", typed="").output


def test_a_file_that_was_put_aside_is_told_and_named(box: StoppedBox) -> None:
    shutil.rmtree(box.settings.audit_checkpoints.parent)
    result = box.hako("verify")
    assert (result.exit_code, "HK-AUD-002" in result.output) == (1, True)
    assert "Checkpoints 1 to" in result.output


def test_no_box_at_all_is_told_and_none_is_made(tmp_path: Path) -> None:
    folder = tmp_path / "none"
    result = CliRunner(env={"LC_ALL": "C"}).invoke(main, ["--data-dir", str(folder), "audit", "verify"])
    assert (result.exit_code, "HK-BOX-020" in result.output, folder.exists()) == (1, True, False)


def test_an_export_is_verified_by_the_key_or_a_file_with_it(box: StoppedBox, tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text(box.key + "\n")
    for key in (box.key, str(file)):
        result = box.hako("verify", str(box.export), "--key", key, "--earlier", str(box.export))
        assert (result.exit_code, "Box of Alice" in result.output) == (0, True), result.output


@pytest.mark.parametrize("key", ["", "xyz", "ab", "ab" * 33])
def test_what_is_no_key_is_said_to_be_none(box: StoppedBox, key: str) -> None:
    result = box.hako("verify", str(box.export), "--key", key)
    assert (result.exit_code, "HK-BOX-003" in result.output) == (1, True)


def test_another_key_confirms_nothing(box: StoppedBox) -> None:
    result = box.hako("verify", str(box.export), "--key", os.urandom(32).hex())
    assert (result.exit_code, "HK-AUD-002" in result.output) == (1, True)


def test_an_export_without_a_key_proves_nothing_and_is_not_asked_to(box: StoppedBox) -> None:
    assert box.hako("verify", str(box.export)).exit_code == 2
    assert box.hako("verify", "--key", box.key).exit_code == 2


def test_a_file_that_is_not_there_is_one_sentence(box: StoppedBox) -> None:
    result = box.hako("verify", "nowhere.jsonl", "--key", box.key)
    assert (result.exit_code, "HK-AUD-001" in result.output) == (1, True)
