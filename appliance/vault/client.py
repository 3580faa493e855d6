"""Ask the keys process: unlock, derive, recovery key; safe to share between threads and processes."""

import socket
from pathlib import Path

from appliance.errors import KeysUnreachableError, VaultDamagedError, by_code
from appliance.vault.digests import check_key
from appliance.vault.protocol import Message, VaultStatus, receive, send

__all__ = ["KeysClient", "VaultStatus"]

_QUICK_S = 10.0
_SLOW_S = 60.0
"""For what stretches a passphrase, and may wait for others that do."""


class KeysClient:
    """One connection for each call; nothing is kept between calls.

    Every method raises KeysUnreachableError when no keys process answers, and VaultDamagedError when the vault
    file can't be read.
    """

    def __init__(self, path: Path) -> None:
        """`path`: the keys process's unix socket."""
        self._path = path

    def status(self) -> VaultStatus:
        """Whether there is a vault, whether it is sealed, whether its recovery key was written down."""
        answer = self._ask("status", _QUICK_S)
        return VaultStatus(answer["exists"], answer["sealed"], answer["recovery_confirmed"])

    def create(self, passphrase: str) -> None:
        """Make a new vault and leave it open.

        Raises:
            ConflictError: there is one already.
            WeakPasswordError: shorter than 8 characters.
            DiskFullError: no room; there is no vault.
        """
        self._ask("create", _SLOW_S, passphrase=passphrase)

    def unlock(self, passphrase: str, asker: str = "") -> None:
        """Open the vault. `asker` is the address of who tries; empty for who has the box's account or root.

        Raises:
            WrongPassphraseError: `tries_left` before a wait.
            TooManyTriesError: not before `retry_after_s`.
            NotInitialisedError: there is no vault.
        """
        self._ask("unlock", _SLOW_S, passphrase=passphrase, asker=asker)

    def recover(self, recovery_key: str, asker: str = "") -> None:
        """Open the vault with the recovery key. `asker`: as in `unlock`.

        Raises:
            RecoveryTypoError: `group`, counted from 1, is mistyped; this costs no try.
            WrongPassphraseError, TooManyTriesError, NotInitialisedError: as in `unlock`.
        """
        self._ask("recover", _SLOW_S, recovery_key=recovery_key, asker=asker)

    def check_recovery(self, recovery_key: str, asker: str = "") -> None:
        """See whether somebody holds the recovery key; the vault stays as it is. Raises as `recover`."""
        self._ask("check-recovery", _SLOW_S, recovery_key=recovery_key, asker=asker)

    def new_recovery(self) -> str:
        """Make a recovery key in place of the old one, not confirmed yet; returned as `ABCDE-FGHJK-…`, this once.

        Raises:
            SealedError: not open.
        """
        return str(self._ask("new-recovery", _SLOW_S)["recovery_key"])

    def confirm_recovery(self) -> None:
        """Note that the recovery key was written down.

        Raises:
            SealedError: not open.
            ConflictError: none was made yet.
        """
        self._ask("confirm-recovery", _SLOW_S)

    def change_passphrase(self, old: str, new: str) -> None:
        """Replace the passphrase.

        Raises:
            WeakPasswordError: the new one is shorter than 8 characters; nothing was tried.
            WrongPassphraseError, TooManyTriesError, NotInitialisedError: about the old one, as in `unlock`.
        """
        self._ask("change-passphrase", _SLOW_S, old=old, new=new)

    def reset_passphrase(self, recovery_key: str, new: str) -> None:
        """Replace a lost passphrase with the help of the recovery key, which stays valid.

        Raises:
            WeakPasswordError: the new one is shorter than 8 characters; nothing was tried.
            RecoveryTypoError, WrongPassphraseError, TooManyTriesError, NotInitialisedError: as in `recover`.
        """
        self._ask("reset-passphrase", _SLOW_S, recovery_key=recovery_key, new=new)

    def seal(self) -> None:
        """Make the keys process forget the master key; keys that were handed out live on in their processes."""
        self._ask("seal", _QUICK_S)

    def derive(self, purpose: str) -> bytes:
        """The 32-byte key for "database", "blobs", "tokens", "audit", "audit-signing", "trust", "backup" or "packs".

        Raises:
            SealedError: not open.
            BadInputError: another purpose.
        """
        try:
            return check_key(bytes.fromhex(self._ask("derive", _QUICK_S, purpose=purpose)["key"]))
        except ValueError as error:
            raise VaultDamagedError("not a key", name="key") from error

    def _ask(self, operation: str, within_s: float, **values: str) -> Message:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(within_s)
            try:
                connection.connect(str(self._path))
                send(connection, {"op": operation, **values})
                answer = receive(connection, within_s)
            except OSError as error:
                raise KeysUnreachableError(f"{self._path}: {error}") from error
        if answer is None:
            raise KeysUnreachableError("the keys process closed the connection")
        if "error" in answer:
            raise by_code(answer["error"], **answer["params"])
        return answer
