"""Signing keys (Ed25519): a publisher's, sealed under a passphrase and opened again; and whether a signature holds."""

from typing import Annotated

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from pydantic import Field, ValidationError

from appliance.errors import EnvelopeError, VaultDamagedError, WrongPassphraseError
from appliance.vault.envelope import new_key, unwrap_key
from appliance.vault.passphrase import Cost, PassphraseSlot, check_strength


class SigningKey:
    """Signs; the secret leaves it only sealed."""

    def __init__(self, seed: bytes) -> None:
        """`seed`: 32 random bytes."""
        self._seed = seed
        self._key = Ed25519PrivateKey.from_private_bytes(seed)

    @classmethod
    def new(cls) -> "SigningKey":
        """A fresh one."""
        return cls(new_key())

    @property
    def public(self) -> bytes:
        """32 bytes that everybody may know."""
        return self._key.public_key().public_bytes_raw()

    def sign(self, data: bytes) -> bytes:
        """The signature, 64 bytes."""
        return self._key.sign(data)

    def sealed(self, passphrase: str, cost: Cost | None = None) -> str:
        """JSON to keep in a file.

        Raises:
            WeakPasswordError, BadInputError: as `check_strength`.
        """
        check_strength(passphrase)
        slot = PassphraseSlot.sealing(self._seed, passphrase, self.public, cost or Cost())
        return _Sealed(**slot.model_dump(), public=self.public.hex()).model_dump_json()


def is_signed(public: bytes, data: bytes, signature: bytes) -> bool:
    """Whether the holder of the key behind `public`, 32 bytes, has signed just this."""
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, data)
    except (InvalidSignature, ValueError):
        return False
    return True


class _Sealed(PassphraseSlot):
    public: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


def open_sealed(sealed: str, passphrase: str) -> SigningKey:
    """The key of `SigningKey.sealed`.

    Raises:
        WrongPassphraseError: another passphrase.
        VaultDamagedError: not a sealed key.
    """
    try:
        slot = _Sealed.model_validate_json(sealed)
    except ValidationError as error:
        raise VaultDamagedError("not a sealed signing key") from error
    kek = slot.kek(passphrase)
    try:
        return SigningKey(unwrap_key(kek, bytes.fromhex(slot.wrapped), bytes.fromhex(slot.public)))
    except EnvelopeError as error:
        raise WrongPassphraseError from error
