"""The vault file: two ways to one master key, and no third."""

import hashlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from appliance.errors import (
    BadInputError,
    ConflictError,
    DiskFullError,
    NewerStoreError,
    NotInitialisedError,
    RecoveryTypoError,
    VaultDamagedError,
    WeakPasswordError,
    WrongPassphraseError,
)
from appliance.vault import recovery
from appliance.vault.keyring import Keyring
from appliance.vault.passphrase import Cost

CHEAP = Cost(memory_kib=8, passes=1)
PASSPHRASE = "正しい馬の電池と留め金"
OTHER = "another passphrase"


def path(keyring: Keyring) -> Path:
    return keyring._path


def rewrite(keyring: Keyring, change: Callable[[dict[str, Any]], object]) -> None:
    """Alter the file as somebody who knows its format would: with the checksum made right again."""
    content = json.loads(path(keyring).read_text("utf-8"))
    change(content["vault"])
    canonical = json.dumps(content["vault"], sort_keys=True, separators=(",", ":"))
    content["sha256"] = hashlib.sha256((canonical + content["mac"]).encode()).hexdigest()
    path(keyring).write_text(json.dumps(content), "utf-8")


def test_passphrase_and_recovery_key_open_the_same_master_key(keyring: Keyring) -> None:
    master = keyring.create(PASSPHRASE)
    recovery_key = keyring.set_recovery(master)
    again = Keyring(path(keyring))
    assert len(master) == 32
    assert again.open_with_passphrase(PASSPHRASE) == master
    assert again.open_with_recovery(recovery_key.lower().replace("-", " ")) == master


def test_two_vaults_have_nothing_in_common(tmp_path: Path) -> None:
    first, second = Keyring(tmp_path / "1", CHEAP), Keyring(tmp_path / "2", CHEAP)
    assert first.create(PASSPHRASE) != second.create(PASSPHRASE)


def test_a_wrong_passphrase_opens_nothing(keyring: Keyring) -> None:
    keyring.create(PASSPHRASE)
    for wrong in (OTHER, PASSPHRASE + " ", PASSPHRASE[:-1], ""):
        with pytest.raises(WrongPassphraseError):
            keyring.open_with_passphrase(wrong)


def test_a_passphrase_may_be_typed_on_another_keyboard(keyring: Keyring) -> None:
    master = keyring.create("ガ行の鍵 ABC 123")
    assert keyring.open_with_passphrase("カ\u3099行の鍵\u3000ＡＢＣ　１２３") == master


@pytest.mark.parametrize("weak", ["", "1234567", "七文字の合言葉"])
def test_a_passphrase_below_eight_characters_is_refused(keyring: Keyring, weak: str) -> None:
    with pytest.raises(WeakPasswordError) as caught:
        keyring.create(weak)
    assert caught.value.params == {"min_length": 8}
    assert not keyring.exists()
    master = keyring.create(PASSPHRASE)
    with pytest.raises(WeakPasswordError):
        keyring.set_passphrase(master, weak)


@pytest.mark.parametrize("broken", ["x" * 1025, "broken\ud800surrogate", "with\0zero-byte"])
def test_what_nobody_can_type_is_refused(keyring: Keyring, broken: str) -> None:
    with pytest.raises(BadInputError):
        keyring.create(broken)
    keyring.create(PASSPHRASE)
    with pytest.raises(BadInputError):
        keyring.open_with_passphrase(broken)


def test_a_vault_is_never_overwritten_by_a_new_one(keyring: Keyring) -> None:
    master = keyring.create(PASSPHRASE)
    with pytest.raises(ConflictError) as caught:
        keyring.create(OTHER)
    assert caught.value.params == {"name": "vault.json"}
    assert keyring.open_with_passphrase(PASSPHRASE) == master


def test_even_a_damaged_vault_is_never_overwritten(keyring: Keyring) -> None:
    path(keyring).write_bytes(b"half a fi")
    with pytest.raises(ConflictError):
        keyring.create(PASSPHRASE)
    assert path(keyring).read_bytes() == b"half a fi"


def test_without_a_vault_nothing_opens(keyring: Keyring) -> None:
    assert not keyring.exists()
    for use in (
        lambda: keyring.open_with_passphrase(PASSPHRASE),
        lambda: keyring.open_with_recovery(recovery.as_text(bytes(20))),
        lambda: keyring.set_recovery(bytes(32)),
        keyring.recovery_confirmed,
    ):
        with pytest.raises(NotInitialisedError):
            use()


def test_changing_the_passphrase_keeps_the_master_key_and_the_recovery_key(keyring: Keyring) -> None:
    master = keyring.create(PASSPHRASE)
    recovery_key = keyring.set_recovery(master)
    keyring.set_passphrase(master, OTHER)
    assert keyring.open_with_passphrase(OTHER) == master
    assert keyring.open_with_recovery(recovery_key) == master
    with pytest.raises(WrongPassphraseError):
        keyring.open_with_passphrase(PASSPHRASE)


def test_a_new_recovery_key_replaces_the_old_one_and_has_to_be_confirmed_again(keyring: Keyring) -> None:
    master = keyring.create(PASSPHRASE)
    with pytest.raises(ConflictError):
        keyring.confirm_recovery(master)
    old = keyring.set_recovery(master)
    assert not keyring.recovery_confirmed()
    keyring.confirm_recovery(master)
    assert keyring.recovery_confirmed()
    new = keyring.set_recovery(master)
    assert not keyring.recovery_confirmed()
    assert keyring.open_with_recovery(new) == master
    with pytest.raises(WrongPassphraseError):
        keyring.open_with_recovery(old)


def test_before_a_recovery_key_was_made_none_opens(keyring: Keyring) -> None:
    keyring.create(PASSPHRASE)
    with pytest.raises(WrongPassphraseError):
        keyring.open_with_recovery(recovery.as_text(bytes(20)))


def test_a_mistyped_recovery_key_names_the_group(keyring: Keyring) -> None:
    recovery_key = keyring.set_recovery(keyring.create(PASSPHRASE))
    place = 6 * 3 + 2
    wrong = "Z" if recovery_key[place] != "Z" else "Y"
    with pytest.raises(RecoveryTypoError) as caught:
        keyring.open_with_recovery(recovery_key[:place] + wrong + recovery_key[place + 1 :])
    assert caught.value.params == {"group": 4}


def test_the_file_shows_no_secret_and_belongs_to_its_owner_alone(keyring: Keyring) -> None:
    old = os.umask(0)
    try:
        master = keyring.create(PASSPHRASE)
        recovery_key = keyring.set_recovery(master)
    finally:
        os.umask(old)
    content = path(keyring).read_text("utf-8")
    assert path(keyring).stat().st_mode & 0o777 == 0o600
    assert [file.name for file in path(keyring).parent.iterdir()] == ["vault.json"]
    secret = recovery.from_text(recovery_key)
    for hidden in (PASSPHRASE, recovery_key, master.hex(), secret.hex()):
        assert hidden not in content


def test_the_cost_is_kept_in_the_file_and_real_by_default(tmp_path: Path) -> None:
    keyring = Keyring(tmp_path / "vault.json")
    master = keyring.create(PASSPHRASE)
    slot = json.loads(path(keyring).read_text("utf-8"))["vault"]["slots"]["passphrase"]
    assert (slot["kdf"], slot["memory_kib"], slot["passes"]) == ("argon2id", 65536, 3)
    assert Keyring(path(keyring), CHEAP).open_with_passphrase(PASSPHRASE) == master


@pytest.mark.parametrize(
    ("name", "value"),
    [("memory_kib", 100 << 20), ("memory_kib", -1), ("memory_kib", 1e3), ("passes", 1 << 31), ("passes", 0)],
)
def test_a_hostile_file_can_not_ask_for_all_memory_or_all_time(keyring: Keyring, name: str, value: float) -> None:
    keyring.create(PASSPHRASE)
    rewrite(keyring, lambda vault: vault["slots"]["passphrase"].update({name: value}))
    with pytest.raises(VaultDamagedError):
        keyring.open_with_passphrase(PASSPHRASE)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b'{"vault": 1}',
        b"\xff\xfe",
        b"[" * 60_000,
        b" " * (1 << 17),
        b'{"slots": {"passphrase": "x"}, "version": 1}',
    ],
)
def test_a_file_that_is_no_vault_is_told(keyring: Keyring, content: bytes) -> None:
    path(keyring).write_bytes(content)
    for use in (keyring.recovery_confirmed, lambda: keyring.open_with_passphrase(PASSPHRASE)):
        with pytest.raises(VaultDamagedError) as caught:
            use()
        assert caught.value.params == {"name": "vault.json"}


def test_a_folder_in_its_place_is_told(keyring: Keyring) -> None:
    path(keyring).mkdir()
    with pytest.raises(VaultDamagedError):
        keyring.recovery_confirmed()


def test_a_newer_release_s_file_is_told_as_such(keyring: Keyring) -> None:
    keyring.create(PASSPHRASE)
    rewrite(keyring, lambda vault: vault.update(version=2))
    with pytest.raises(NewerStoreError):
        keyring.open_with_passphrase(PASSPHRASE)


def test_damage_is_not_taken_for_a_wrong_passphrase(keyring: Keyring) -> None:
    master = keyring.create(PASSPHRASE)
    keyring.set_recovery(master)
    whole = path(keyring).read_bytes()
    taken = 0
    for place in range(0, len(whole), 3):
        path(keyring).write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        try:
            taken += keyring.open_with_passphrase(PASSPHRASE) == master  # white space between the fields
        except (VaultDamagedError, NewerStoreError):
            continue
    assert taken < 20


def test_an_altered_flag_or_slot_is_noticed_when_the_vault_opens(keyring: Keyring) -> None:
    master = keyring.create(PASSPHRASE)
    old = json.loads(path(keyring).read_text("utf-8"))["vault"]
    keyring.set_recovery(master)
    keyring.set_passphrase(master, OTHER)
    whole = path(keyring).read_bytes()
    changes: list[Callable[[dict[str, Any]], object]] = [
        lambda vault: vault.update(recovery_confirmed=True),
        lambda vault: vault["slots"].update(recovery=None),
        lambda vault: vault["slots"].update(passphrase=old["slots"]["passphrase"]),
    ]
    for change, passphrase in zip(changes, (OTHER, OTHER, PASSPHRASE), strict=True):
        path(keyring).write_bytes(whole)
        rewrite(keyring, change)
        with pytest.raises(VaultDamagedError):
            keyring.open_with_passphrase(passphrase)
        with pytest.raises(VaultDamagedError):
            keyring.confirm_recovery(master)


def test_a_slot_opens_only_in_its_own_vault(tmp_path: Path) -> None:
    mine, foreign = Keyring(tmp_path / "mine", CHEAP), Keyring(tmp_path / "foreign", CHEAP)
    mine.create(PASSPHRASE)
    foreign.create(OTHER)
    slot = json.loads(path(foreign).read_text("utf-8"))["vault"]["slots"]["passphrase"]
    rewrite(mine, lambda vault: vault["slots"].update(passphrase=slot))
    with pytest.raises(WrongPassphraseError):
        mine.open_with_passphrase(OTHER)


def test_another_vault_s_file_in_its_place_is_never_written_to(tmp_path: Path) -> None:
    mine, foreign = Keyring(tmp_path / "vault.json", CHEAP), Keyring(tmp_path / "foreign.json", CHEAP)
    master = mine.create(PASSPHRASE)
    foreign.create(OTHER)
    path(mine).write_bytes(path(foreign).read_bytes())
    for use in (
        lambda: mine.set_recovery(master),
        lambda: mine.set_passphrase(master, PASSPHRASE),
        lambda: mine.confirm_recovery(master),
    ):
        with pytest.raises(VaultDamagedError):
            use()
    assert path(mine).read_bytes() == path(foreign).read_bytes()


def test_a_full_disk_is_told_and_the_old_passphrase_holds(keyring: Keyring, monkeypatch: pytest.MonkeyPatch) -> None:
    master = keyring.create(PASSPHRASE)

    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(DiskFullError):
            keyring.set_passphrase(master, OTHER)
    assert keyring.open_with_passphrase(PASSPHRASE) == master
    assert [file.name for file in path(keyring).parent.iterdir()] == ["vault.json"]


def test_what_a_crash_left_beside_the_file_does_not_matter(keyring: Keyring) -> None:
    path(keyring).with_name("vault.json.new").write_bytes(b"half a fi")
    master = keyring.create(PASSPHRASE)
    assert keyring.open_with_passphrase(PASSPHRASE) == master
    assert [file.name for file in path(keyring).parent.iterdir()] == ["vault.json"]


_CHANGER = """
import sys
from pathlib import Path
from appliance.vault.keyring import Keyring
from appliance.vault.passphrase import Cost
keyring = Keyring(Path(sys.argv[1]), Cost(8, 1))
master = keyring.open_with_passphrase("passphrase 0")
print("changing", flush=True)
number = 0
while True:
    number = 1 - number
    keyring.set_passphrase(master, f"passphrase {number}")
"""


def test_kill_9_while_the_passphrase_is_changed_leaves_the_old_or_the_new_one(keyring: Keyring) -> None:
    master = keyring.create("passphrase 0")
    for wait_for in (1, 400, 1500):
        with subprocess.Popen(
            [sys.executable, "-c", _CHANGER, str(path(keyring))], stdout=subprocess.PIPE, text=True
        ) as changer:
            assert changer.stdout is not None
            assert changer.stdout.readline() == "changing\n"
            for _ in range(wait_for):
                keyring.recovery_confirmed()  # reads a whole file each time, while it is replaced
            changer.send_signal(signal.SIGKILL)
            changer.wait(10)
        opening = [number for number in (0, 1) if _opens(keyring, f"passphrase {number}", master)]
        assert len(opening) == 1
        keyring.set_passphrase(master, "passphrase 0")


def _opens(keyring: Keyring, passphrase: str, master: bytes) -> bool:
    try:
        return keyring.open_with_passphrase(passphrase) == master
    except WrongPassphraseError:
        return False
