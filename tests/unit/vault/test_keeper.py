"""The vault while it is held: sealed and open, wrong tries, what never waits."""

import threading
from pathlib import Path

import pytest

from appliance import clock
from appliance.errors import (
    BadInputError,
    ConflictError,
    RecoveryTypoError,
    SealedError,
    TooManyTriesError,
    VaultDamagedError,
    WeakPasswordError,
    WrongPassphraseError,
)
from appliance.vault import tries
from appliance.vault.keeper import Keeper
from appliance.vault.keyring import Keyring
from appliance.vault.passphrase import Cost
from appliance.vault.protocol import VaultStatus

PASSPHRASE = "correct horse"
PURPOSES = ("database", "blobs", "tokens", "audit", "audit-signing")


@pytest.fixture
def keeper(keyring: Keyring) -> Keeper:
    keeper = Keeper(keyring)
    keeper.create(PASSPHRASE)
    return keeper


class Time:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def time(monkeypatch: pytest.MonkeyPatch) -> Time:
    time = Time()
    monkeypatch.setattr(clock, "monotonic", time)
    return time


def miss(keeper: Keeper, asker: str = "") -> int | float | str:
    with pytest.raises(WrongPassphraseError) as caught:
        keeper.unlock("wrong passphrase", asker)
    return caught.value.params["tries_left"]


def wait(keeper: Keeper, asker: str = "") -> int | float | str:
    with pytest.raises(TooManyTriesError) as caught:
        keeper.unlock(PASSPHRASE, asker)
    return caught.value.params["retry_after_s"]


def test_a_vault_begins_without_a_file_and_is_open_once_made(keyring: Keyring) -> None:
    keeper = Keeper(keyring)
    assert keeper.status() == VaultStatus(exists=False, sealed=True, recovery_confirmed=False)
    keeper.create(PASSPHRASE)
    assert keeper.status() == VaultStatus(exists=True, sealed=False, recovery_confirmed=False)
    with pytest.raises(ConflictError):
        keeper.create(PASSPHRASE)


def test_keys_are_the_same_after_sealing_and_after_a_restart(keeper: Keeper, keyring: Keyring) -> None:
    before = [keeper.derive(purpose) for purpose in PURPOSES]
    assert len(set(before)) == len(PURPOSES)
    keeper.seal()
    keeper.unlock(PASSPHRASE)
    assert [keeper.derive(purpose) for purpose in PURPOSES] == before
    restarted = Keeper(keyring)
    restarted.unlock(PASSPHRASE)
    assert [restarted.derive(purpose) for purpose in PURPOSES] == before


def test_a_sealed_vault_gives_nothing(keeper: Keeper) -> None:
    keeper.new_recovery()
    keeper.seal()
    keeper.seal()
    assert keeper.status().sealed
    for use in (lambda: keeper.derive("database"), keeper.new_recovery, keeper.confirm_recovery):
        with pytest.raises(SealedError):
            use()


@pytest.mark.parametrize("purpose", ["", "Database", "hako/v1/database", "vault-file"])
def test_only_the_known_purposes_get_a_key(keeper: Keeper, purpose: str) -> None:
    with pytest.raises(BadInputError):
        keeper.derive(purpose)


def test_who_holds_the_recovery_key_can_show_it_and_the_vault_stays_as_it_was(keeper: Keeper) -> None:
    recovery_key = keeper.new_recovery()
    replaced, recovery_key = recovery_key, keeper.new_recovery()
    keeper.seal()
    keeper.check_recovery(recovery_key)
    assert keeper.status().sealed
    with pytest.raises(WrongPassphraseError) as wrong:
        keeper.check_recovery(replaced)
    assert wrong.value.params["tries_left"] == 4


def test_the_recovery_key_opens_the_vault_and_replaces_a_lost_passphrase(keeper: Keeper) -> None:
    database = keeper.derive("database")
    recovery_key = keeper.new_recovery()
    keeper.confirm_recovery()
    keeper.seal()
    keeper.recover(recovery_key)
    assert keeper.derive("database") == database
    assert keeper.status().recovery_confirmed
    keeper.reset_passphrase(recovery_key, "found again")
    keeper.seal()
    with pytest.raises(WrongPassphraseError):
        keeper.unlock(PASSPHRASE)
    keeper.unlock("found again")
    assert keeper.derive("database") == database


def test_changing_the_passphrase_needs_the_old_one(keeper: Keeper) -> None:
    with pytest.raises(WrongPassphraseError) as caught:
        keeper.change_passphrase("wrong passphrase", "the new one")
    assert caught.value.params == {"tries_left": 4}
    with pytest.raises(WeakPasswordError):
        keeper.change_passphrase(PASSPHRASE, "short")
    keeper.change_passphrase(PASSPHRASE, "the new one")
    assert not keeper.status().sealed
    keeper.seal()
    keeper.unlock("the new one")


def test_changing_the_passphrase_of_a_sealed_vault_leaves_it_sealed(keeper: Keeper) -> None:
    keeper.seal()
    keeper.change_passphrase(PASSPHRASE, "the new one")
    assert keeper.status().sealed


def test_a_wrong_passphrase_costs_a_try_and_a_right_one_gives_them_back(keeper: Keeper) -> None:
    assert [miss(keeper), miss(keeper)] == [4, 3]
    keeper.unlock(PASSPHRASE)
    assert miss(keeper) == 4


def test_after_five_wrong_tries_a_wait_begins_that_grows_to_five_minutes(keeper: Keeper, time: Time) -> None:
    assert [miss(keeper) for _ in range(5)] == [4, 3, 2, 1, 0]
    waits = []
    for _ in range(6):
        waits.append(wait(keeper))
        time.now += float(waits[-1]) - 0.5
        assert wait(keeper) == 1
        time.now += 0.5
        assert miss(keeper) == 0
    assert waits == [30, 60, 120, 240, 300, 300]
    time.now += 300
    keeper.unlock(PASSPHRASE)
    assert miss(keeper) == 4


def test_a_wrong_passphrase_does_not_shut_out_the_recovery_key(keeper: Keeper, time: Time) -> None:
    recovery_key = keeper.new_recovery()
    keeper.seal()
    for _ in range(5):
        miss(keeper)
    keeper.recover(recovery_key)
    keeper.reset_passphrase(recovery_key, "found again")
    keeper.unlock("found again")
    assert time.now == 1000.0


def test_a_replaced_recovery_key_costs_a_try_and_a_mistyped_one_none(keeper: Keeper) -> None:
    old = keeper.new_recovery()
    new = keeper.new_recovery()
    for expected in (4, 3):
        with pytest.raises(RecoveryTypoError):
            keeper.recover("1" + new)
        with pytest.raises(WrongPassphraseError) as caught:
            keeper.recover(old)
        assert caught.value.params == {"tries_left": expected}


def test_a_strangers_tries_keep_neither_others_nor_the_box_itself_out(keeper: Keeper, time: Time) -> None:
    keeper.seal()
    for left in (4, 3, 2, 1, 0):
        assert miss(keeper, "10.0.0.66") == left
    assert wait(keeper, "10.0.0.66") == 30
    assert miss(keeper, "10.0.0.5") == 4
    keeper.unlock(PASSPHRASE, "10.0.0.5")
    assert miss(keeper, "10.0.0.66") == 4  # the right one forgets the wrong ones


def test_many_addresses_together_get_few_tries_and_the_box_itself_is_never_shut_out(keeper: Keeper, time: Time) -> None:
    keeper.seal()
    for number in range(tries.OF_ALL):
        miss(keeper, f"10.0.1.{number}")
        time.now += 1
    assert wait(keeper, "10.0.0.5") == tries.OF_ALL_S - tries.OF_ALL
    assert miss(keeper) == 4
    time.now += tries.OF_ALL_S - tries.OF_ALL
    assert miss(keeper, "10.0.0.5") == 4
    assert wait(keeper, "10.0.0.6") == 1
    keeper.unlock(PASSPHRASE)


def test_recovery_has_doors_of_its_own(keeper: Keeper, time: Time) -> None:
    wrong = keeper.new_recovery()
    right = keeper.new_recovery()
    for _ in range(5):
        with pytest.raises(WrongPassphraseError):
            keeper.recover(wrong, "10.0.0.66")
    with pytest.raises(TooManyTriesError):
        keeper.recover(right, "10.0.0.66")
    keeper.unlock(PASSPHRASE, "10.0.0.66")
    keeper.recover(right, "10.0.0.5")


def test_only_so_many_addresses_are_remembered(monkeypatch: pytest.MonkeyPatch, time: Time) -> None:
    monkeypatch.setattr(tries, "_ADDRESSES", 2)
    doors = tries.Doors()
    for asker in ("a", "a", "b", "c"):
        doors.wrong(asker)
    assert doors.wrong("c") == 3
    assert doors.wrong("a") == 4  # forgotten, yet counted among all
    for _ in range(6):
        doors.check("d")
        doors.wrong("d")
        time.now += 400
    doors.check("d")


def test_many_guesses_at_once_get_no_more_than_five_tries(keeper: Keeper, time: Time) -> None:
    outcomes: list[type[Exception]] = []

    def guess() -> None:
        try:
            keeper.unlock("wrong passphrase")
        except (WrongPassphraseError, TooManyTriesError) as error:
            outcomes.append(type(error))

    threads = [threading.Thread(target=guess) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert outcomes.count(WrongPassphraseError) == 5
    assert outcomes.count(TooManyTriesError) == 15
    assert time.now == 1000.0


class Slow(Keyring):
    """Checks a passphrase until told to go on."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, Cost(8, 1))
        self.began, self.go_on = threading.Event(), threading.Event()

    def open_with_passphrase(self, passphrase: str) -> bytes:
        self.began.set()
        assert self.go_on.wait(30)
        return super().open_with_passphrase(passphrase)


def test_status_and_keys_do_not_wait_for_a_passphrase_being_checked(tmp_path: Path) -> None:
    slow = Slow(tmp_path / "vault.json")
    keeper = Keeper(slow)
    keeper.create(PASSPHRASE)
    checking = threading.Thread(target=keeper.unlock, args=(PASSPHRASE,))
    checking.start()
    try:
        assert slow.began.wait(30)
        assert not keeper.status().sealed
        before = keeper.derive("database")
        keeper.seal()
        assert keeper.status().sealed
    finally:
        slow.go_on.set()
        checking.join()
    assert keeper.derive("database") == before


def test_a_damaged_file_is_told_and_costs_no_try(keeper: Keeper, keyring: Keyring) -> None:
    keyring._path.write_bytes(b"{}")
    for use in (keeper.status, lambda: keeper.unlock(PASSPHRASE), keeper.new_recovery):
        with pytest.raises(VaultDamagedError):
            use()
    assert len(keeper.derive("database")) == 32
