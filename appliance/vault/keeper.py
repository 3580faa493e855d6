"""The vault while the keys process runs: sealed or open, with the master key in locked memory."""

import threading
from collections.abc import Callable

from appliance import logs
from appliance.errors import BadInputError, ConflictError, SealedError, WrongPassphraseError
from appliance.vault.digests import derive
from appliance.vault.keyring import Keyring
from appliance.vault.memory import LockedKey
from appliance.vault.passphrase import check_strength
from appliance.vault.protocol import VaultStatus
from appliance.vault.tries import Doors

log = logs.get(__name__)

_LABELS = {
    name: f"hako/v1/{name}"
    for name in ("database", "blobs", "tokens", "audit", "audit-signing", "trust", "backup", "packs")
}


class Keeper:
    """Safe to share between threads. One passphrase is checked at a time; `status` and `derive` don't wait for it."""

    def __init__(self, keyring: Keyring) -> None:
        self._keyring = keyring
        self._passphrase_tries = Doors()
        self._recovery_tries = Doors()
        self._changing = threading.Lock()
        """Held while Argon2 runs and while the file is rewritten."""
        self._holding = threading.Lock()
        """Around the key in memory; held for microseconds."""
        self._master: LockedKey | None = None

    def status(self) -> VaultStatus:
        """What anybody may know.

        Raises:
            VaultDamagedError: there is a vault file that can't be read.
        """
        exists = self._keyring.exists()
        return VaultStatus(
            exists=exists,
            sealed=not self._is_open(),
            recovery_confirmed=exists and self._keyring.recovery_confirmed(),
        )

    def create(self, passphrase: str) -> None:
        """Make a new vault and leave it open.

        Raises:
            ConflictError: there is one already.
            WeakPasswordError: shorter than 8 characters.
        """
        with self._changing:
            if self._is_open():
                raise ConflictError("a vault is open", name=self._keyring.name)
            self._hold(self._keyring.create(passphrase))
        log.info("vault_created")

    def unlock(self, passphrase: str, asker: str = "") -> None:
        """Open the vault. `asker` is the address of who tries, empty for the box itself; see `Doors`.

        Raises:
            WrongPassphraseError: `tries_left` before a wait.
            TooManyTriesError: not before `retry_after_s`.
            NotInitialisedError, VaultDamagedError: no file, or not a genuine one.
        """
        with self._changing:
            self._hold(self._by_passphrase(passphrase, asker))
        log.info("vault_opened", by="passphrase")

    def recover(self, recovery_key: str, asker: str = "") -> None:
        """Open the vault with the recovery key. `asker`: as in `unlock`.

        Raises:
            RecoveryTypoError: `group` is mistyped; this costs no try.
            WrongPassphraseError, TooManyTriesError, NotInitialisedError, VaultDamagedError: as in `unlock`.
        """
        with self._changing:
            self._hold(self._by_recovery(recovery_key, asker))
        log.info("vault_opened", by="recovery")

    def check_recovery(self, recovery_key: str, asker: str = "") -> None:
        """See whether somebody holds the recovery key; the vault stays as it is. Raises as `recover`."""
        with self._changing:
            self._by_recovery(recovery_key, asker)

    def new_recovery(self) -> str:
        """A new recovery key in place of the old one, as text.

        Raises:
            SealedError: not open.
        """
        with self._changing:
            recovery_key = self._keyring.set_recovery(self._copy())
        log.info("recovery_made")
        return recovery_key

    def confirm_recovery(self) -> None:
        """Note that the recovery key was written down.

        Raises:
            SealedError: not open.
            ConflictError: none was made yet.
        """
        with self._changing:
            self._keyring.confirm_recovery(self._copy())
        log.info("recovery_confirmed")

    def change_passphrase(self, old: str, new: str) -> None:
        """Replace the passphrase; the vault stays open or sealed as it was.

        Raises:
            WeakPasswordError: the new one is shorter than 8 characters; nothing was tried.
            WrongPassphraseError, TooManyTriesError, NotInitialisedError, VaultDamagedError: as in `unlock`.
        """
        check_strength(new)
        with self._changing:
            self._keyring.set_passphrase(self._by_passphrase(old), new)
        log.info("passphrase_changed", by="passphrase")

    def reset_passphrase(self, recovery_key: str, new: str) -> None:
        """Replace a lost passphrase with the help of the recovery key, which stays valid.

        Raises:
            WeakPasswordError: the new one is shorter than 8 characters; nothing was tried.
            RecoveryTypoError, WrongPassphraseError, TooManyTriesError: as in `recover`.
        """
        check_strength(new)
        with self._changing:
            self._keyring.set_passphrase(self._by_recovery(recovery_key), new)
            self._passphrase_tries.right()
        log.info("passphrase_changed", by="recovery")

    def seal(self) -> None:
        """Forget the master key."""
        with self._holding:
            was_open = self._master is not None
            if self._master is not None:
                self._master.wipe()
            self._master = None
        if was_open:
            log.info("vault_sealed")

    def derive(self, purpose: str) -> bytes:
        """The 32-byte key for a purpose.

        Raises:
            BadInputError: no such purpose.
            SealedError: not open.
        """
        label = _LABELS.get(purpose)
        if label is None:
            raise BadInputError("unknown purpose", field="purpose")
        return derive(self._copy(), label)

    def _is_open(self) -> bool:
        with self._holding:
            return self._master is not None

    def _hold(self, master: bytes) -> None:
        with self._holding:
            if self._master is not None:
                self._master.wipe()
            self._master = LockedKey(master)

    def _copy(self) -> bytes:
        with self._holding:
            if self._master is None:
                raise SealedError
            return self._master.copy()

    def _by_passphrase(self, passphrase: str, asker: str = "") -> bytes:
        return _try(self._passphrase_tries, asker, lambda: self._keyring.open_with_passphrase(passphrase))

    def _by_recovery(self, recovery_key: str, asker: str = "") -> bytes:
        return _try(self._recovery_tries, asker, lambda: self._keyring.open_with_recovery(recovery_key))


def _try(tries: Doors, asker: str, opened: Callable[[], bytes]) -> bytes:
    tries.check(asker)
    try:
        master = opened()
    except WrongPassphraseError as error:
        left = tries.wrong(asker)
        log.warning("unlock_refused", why=error.detail, tries_left=left, asker=asker or "box")
        raise WrongPassphraseError(error.detail, tries_left=left) from error
    tries.right()
    return master
