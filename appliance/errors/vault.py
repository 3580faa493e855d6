"""The vault and what it seals."""

from appliance.errors.root import HakoError


class SealedError(HakoError):
    """The vault is sealed: nothing can be read until it is unlocked."""

    code, status = "HK-VLT-001", 423


class WrongPassphraseError(HakoError):
    """Passphrase or recovery key opens no slot. Params: `tries_left`."""

    code, status = "HK-VLT-002", 401


class VaultDamagedError(HakoError):
    """The key file can't be read or does not fit the data. Params: `name`."""

    code, status = "HK-VLT-003", 500


class EnvelopeError(HakoError):
    """A stored file is truncated, altered or under another key."""

    code, status = "HK-VLT-004", 500


class KeysUnreachableError(HakoError):
    """The keys process doesn't answer."""

    code, status = "HK-VLT-005", 503


class RecoveryTypoError(HakoError):
    """A recovery key with a typing error. Params: `group`, counted from 1."""

    code, status = "HK-VLT-006", 422
