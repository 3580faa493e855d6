"""Factory reset of a box that has worked: neither passphrase nor recovery key opens anything any more."""

import shutil
from pathlib import Path

import pytest

from appliance import config
from appliance.errors import HakoError, WrongPassphraseError
from appliance.machine import seen
from appliance.storage.database import Database
from appliance.vault.client import KeysClient
from tests.simulators.served import PASSWORD, ServedBox, typed


def test_no_key_is_left_and_the_next_start_is_the_first(tmp_path: Path) -> None:
    """About seven seconds: a box starts twice, with real Argon2."""
    box, away = ServedBox(tmp_path / "v"), tmp_path / "away"
    reset = ("--data-dir", str(box.folder), "erase", "--name", seen.name())
    with box:
        settings = config.load(data_dir=box.folder)
        keys = KeysClient(settings.keys_socket)
        passphrase, recovery_key = settings.passphrase_file.read_text("ascii").strip(), keys.new_recovery()
        with box.client() as client:
            client.post("/users", {"name": "mori", "display_name": "Mori", "password": PASSWORD})
        refused = typed(*reset)
        assert (refused.returncode, "HK-BOX-021" in refused.stderr) == (1, True)
        assert keys.derive("database")
    away.mkdir()
    for name in ("hako.db", "vault.json"):
        shutil.copyfile(box.folder / name, away / name)
    wrong = typed(*reset[:-1], "another-box")
    assert (wrong.returncode, "HK-BOX-035" in wrong.stderr) == (1, True)
    assert settings.vault_file.exists()
    done = typed(*reset)
    assert (done.returncode, "keys are gone" in done.stdout) == (0, True), done.stderr
    assert {path.name for path in box.folder.iterdir()} <= {"hako.toml", "models", "releases", "run", "log", "shared"}
    with box:
        assert "/setup?token=" in box.output
        for opened in (lambda: keys.unlock(passphrase), lambda: keys.recover(recovery_key)):
            with pytest.raises(WrongPassphraseError):
                opened()
        for purpose in ("database", "blobs"):
            with pytest.raises(HakoError):
                Database(away / "hako.db", keys.derive(purpose)).migrate()
        with box.client() as client:
            assert client.get("/users")["items"] == []
