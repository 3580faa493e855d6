"""Who a box is for other boxes: what it signs with, and the code under which it receives."""

import hashlib
from typing import Final

from appliance.bundle.trust.anchors import plain
from appliance.errors import BadInputError, EnvelopeError, PackForAnotherError
from appliance.vault.digests import derive
from appliance.vault.parcels import PUBLIC_BYTES, ReceivingKey
from appliance.vault.signing import SigningKey

_CHECK_CHARS: Final = 8
"""Hex digits that tell a mistyped code: documents for a key that nobody holds would be of no use to anybody."""


class Identity:
    """Made from the vault, so it stays the same as long as the vault does."""

    def __init__(self, key: bytes) -> None:
        """`key`: the vault's, for this purpose. Raises VaultDamagedError for a wrong length."""
        self._signing = SigningKey(derive(key, "hako/v1/pack-signing"))
        self._receiving = ReceivingKey(derive(key, "hako/v1/pack-receiving"))

    @property
    def public(self) -> bytes:
        """With this others see that a pack is ours: 32 bytes."""
        return self._signing.public

    @property
    def fingerprint(self) -> str:
        """What an operator tells the one of the receiving box by telephone or on paper."""
        return fingerprint_of(self.public)

    @property
    def receiving(self) -> bytes:
        """For this others seal what is for us: 32 bytes."""
        return self._receiving.public

    @property
    def code(self) -> str:
        """The same for people: 64 hex digits and 8 that tell a mistyped one."""
        return self.receiving.hex() + _check(self.receiving)

    def sign(self, data: bytes) -> bytes:
        """64 bytes."""
        return self._signing.sign(data)

    def open(self, sealed: bytes, sender: bytes) -> bytes:
        """The key of a pack that this sender has sealed for us. Raises PackForAnotherError."""
        try:
            return self._receiving.open(sealed, sender)
        except EnvelopeError as error:
            raise PackForAnotherError(error.detail) from error


def fingerprint_of(public: bytes) -> str:
    """SHA-256, in hex."""
    return hashlib.sha256(public).hexdigest()


def receiver_of(code: str) -> bytes:
    """The receiving key of a code as people write it. Raises BadInputError: mistyped."""
    try:
        said = bytes.fromhex(plain(code))
    except ValueError:
        raise BadInputError(field="receiver") from None
    public = said[:PUBLIC_BYTES]
    if len(said) != PUBLIC_BYTES + _CHECK_CHARS // 2 or said[PUBLIC_BYTES:].hex() != _check(public):
        raise BadInputError(field="receiver")
    return public


def _check(public: bytes) -> str:
    return hashlib.sha256(b"hako receiving code" + public).hexdigest()[:_CHECK_CHARS]
