"""The vault file: one random master key, wrapped once for the passphrase and once for the recovery key.

The file is JSON: `vault` holds id, slots and flags; `mac` authenticates it under a key derived from the master key
(so a slot of another or an older file is noticed once the vault opens); `sha256` over both tells a damaged file
from a wrong passphrase before that. Each wrapped key is bound to its slot's kind and to the vault's id.
"""

import hashlib
import json
import os
import secrets
from pathlib import Path
from typing import Annotated, Literal

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from appliance import durable
from appliance.errors import (
    ConflictError,
    EnvelopeError,
    NewerStoreError,
    NotInitialisedError,
    VaultDamagedError,
    WrongPassphraseError,
)
from appliance.vault import recovery
from appliance.vault.digests import KEY_BYTES, derive, keyed_digest, same
from appliance.vault.envelope import new_key, unwrap_key, wrap_key
from appliance.vault.passphrase import Cost, PassphraseSlot, Salt, Wrapped, check_strength

_LARGEST_FILE = 1 << 16
_SALT_BYTES = 16
_MAC_LABEL = "hako/v1/vault-file"
_RECOVERY_LABEL = b"hako/v1/recovery"

_Kind = Literal["passphrase", "recovery"]
_Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class _RecoverySlot(_Record):
    kdf: Literal["hkdf-sha256"] = "hkdf-sha256"
    salt: Salt
    wrapped: Wrapped


class _Slots(_Record):
    passphrase: PassphraseSlot
    recovery: _RecoverySlot | None


class _Vault(_Record):
    format: Literal["hako-vault"] = "hako-vault"
    version: Literal[1] = 1
    id: Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]
    recovery_confirmed: bool
    slots: _Slots


class _File(_Record):
    vault: _Vault
    mac: _Digest
    sha256: _Digest


class Keyring:
    """Reads and rewrites the vault file; holds no key. The caller lets one change happen at a time."""

    def __init__(self, path: Path, cost: Cost | None = None) -> None:
        """`cost`: of slots made from now on; existing ones carry their own."""
        self._path = path
        self._cost = cost or Cost()

    @property
    def name(self) -> str:
        """The file's name, for messages."""
        return self._path.name

    def exists(self) -> bool:
        """Whether there is a file at all, readable or not."""
        return os.path.lexists(self._path)

    def recovery_confirmed(self) -> bool:
        """What the file says, unauthenticated: it only decides whether people are reminded.

        Raises:
            NotInitialisedError: no file.
            VaultDamagedError: not a whole vault file.
            NewerStoreError: a newer release's file; so do all methods below.
        """
        return self._read().vault.recovery_confirmed

    def identity(self) -> str:
        """The vault's own id: 32 hex digits that tell it from every other vault's; raises as `recovery_confirmed`."""
        return self._read().vault.id

    def create(self, passphrase: str) -> bytes:
        """Make the file with a new master key, which is returned.

        Raises:
            WeakPasswordError: shorter than 8 characters.
            ConflictError: there is a vault already.
            DiskFullError: no room; there is still no vault.
        """
        check_strength(passphrase)
        if self.exists():
            raise ConflictError("there is a vault already", name=self.name)
        master = new_key()
        vault_id = secrets.token_hex(16)
        slots = _Slots(passphrase=self._passphrase_slot(vault_id, master, passphrase), recovery=None)
        self._write(_Vault(id=vault_id, recovery_confirmed=False, slots=slots), master)
        return master

    def open_with_passphrase(self, passphrase: str) -> bytes:
        """The master key.

        Raises:
            WrongPassphraseError: another passphrase, or a slot that was swapped or altered.
            NotInitialisedError, VaultDamagedError: no file, or not a genuine one.
            BusyError: not enough memory free just now.
        """
        file = self._read()
        slot = file.vault.slots.passphrase
        return self._open(file, "passphrase", slot.wrapped, slot.kek(passphrase))

    def open_with_recovery(self, recovery_key: str) -> bytes:
        """The master key.

        Raises:
            RecoveryTypoError: `group` is mistyped.
            WrongPassphraseError: another recovery key, a replaced one, or none was made yet.
            NotInitialisedError, VaultDamagedError: no file, or not a genuine one.
        """
        secret = recovery.from_text(recovery_key)
        file = self._read()
        slot = file.vault.slots.recovery
        if slot is None:
            raise WrongPassphraseError("no recovery key was made yet")
        return self._open(file, "recovery", slot.wrapped, _recovery_kek(secret, bytes.fromhex(slot.salt)))

    def set_passphrase(self, master: bytes, passphrase: str) -> None:
        """Replace the passphrase; nothing is encrypted anew.

        Raises:
            WeakPasswordError: shorter than 8 characters.
            NotInitialisedError, VaultDamagedError: no file, or another vault's.
            DiskFullError: no room; the old passphrase holds.
        """
        check_strength(passphrase)
        vault = self._read_genuine(master).vault
        slots = vault.slots.model_copy(update={"passphrase": self._passphrase_slot(vault.id, master, passphrase)})
        self._write(vault.model_copy(update={"slots": slots}), master)

    def set_recovery(self, master: bytes) -> str:
        """Make a new recovery key, not confirmed yet, in place of the old one; returns it as text.

        Raises:
            NotInitialisedError, VaultDamagedError: no file, or another vault's.
            DiskFullError: no room; the old recovery key holds.
        """
        vault = self._read_genuine(master).vault
        secret = recovery.new_secret()
        salt = secrets.token_bytes(_SALT_BYTES)
        wrapped = wrap_key(_recovery_kek(secret, salt), master, _aad("recovery", vault.id))
        slot = _RecoverySlot(salt=salt.hex(), wrapped=wrapped.hex())
        slots = vault.slots.model_copy(update={"recovery": slot})
        self._write(vault.model_copy(update={"slots": slots, "recovery_confirmed": False}), master)
        return recovery.as_text(secret)

    def confirm_recovery(self, master: bytes) -> None:
        """Note that the recovery key was written down.

        Raises:
            ConflictError: there is no recovery key to confirm.
            NotInitialisedError, VaultDamagedError: no file, or another vault's.
        """
        vault = self._read_genuine(master).vault
        if vault.slots.recovery is None:
            raise ConflictError("no recovery key was made yet", name=self.name)
        self._write(vault.model_copy(update={"recovery_confirmed": True}), master)

    # -- slots

    def _passphrase_slot(self, vault_id: str, master: bytes, passphrase: str) -> PassphraseSlot:
        return PassphraseSlot.sealing(master, passphrase, _aad("passphrase", vault_id), self._cost)

    def _open(self, file: _File, kind: _Kind, wrapped: str, kek: bytes) -> bytes:
        try:
            master = unwrap_key(kek, bytes.fromhex(wrapped), _aad(kind, file.vault.id))
        except EnvelopeError as error:
            raise WrongPassphraseError(f"{kind} slot does not open") from error
        self._check_genuine(file, master)
        return master

    # -- the file

    def _read(self) -> _File:
        try:
            with self._path.open("rb") as source:
                content = source.read(_LARGEST_FILE + 1)
        except FileNotFoundError as error:
            raise NotInitialisedError("no vault file") from error
        except OSError as error:
            raise VaultDamagedError(str(error), name=self.name) from error
        if len(content) > _LARGEST_FILE:
            raise VaultDamagedError("far larger than a vault file", name=self.name)
        try:
            file = _File.model_validate_json(content)
        except ValidationError as error:
            if _is_newer(content):
                raise NewerStoreError("vault file") from None
            places = sorted({".".join(map(str, found["loc"])) for found in error.errors(include_input=False)})
            raise VaultDamagedError(f"unreadable: {', '.join(places)[:200]}", name=self.name) from None
        if not same(file.sha256, _checksum(file.vault, file.mac)):
            raise VaultDamagedError("checksum", name=self.name)
        return file

    def _read_genuine(self, master: bytes) -> _File:
        file = self._read()
        self._check_genuine(file, master)
        return file

    def _check_genuine(self, file: _File, master: bytes) -> None:
        if not same(file.mac, _mac(file.vault, master)):
            raise VaultDamagedError("altered, or another vault's file", name=self.name)

    def _write(self, vault: _Vault, master: bytes) -> None:
        mac = _mac(vault, master)
        file = _File(vault=vault, mac=mac, sha256=_checksum(vault, mac))
        durable.replace(self._path, file.model_dump_json(indent=1).encode() + b"\n")


def _recovery_kek(secret: bytes, salt: bytes) -> bytes:
    """160 random bits can't be guessed, so they need no stretching."""
    return HKDF(SHA256(), KEY_BYTES, salt=salt, info=_RECOVERY_LABEL).derive(secret)


def _aad(kind: _Kind, vault_id: str) -> bytes:
    return f"hako-vault/1/{vault_id}/{kind}".encode()


def _canonical(vault: _Vault) -> bytes:
    return json.dumps(vault.model_dump(), sort_keys=True, separators=(",", ":")).encode()


def _mac(vault: _Vault, master: bytes) -> str:
    return keyed_digest(derive(master, _MAC_LABEL), _canonical(vault))


def _checksum(vault: _Vault, mac: str) -> str:
    return hashlib.sha256(_canonical(vault) + mac.encode()).hexdigest()


def _is_newer(content: bytes) -> bool:
    try:
        version = json.loads(content)["vault"]["version"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return False
    return isinstance(version, int) and version > 1
