"""A publisher's signing key (Ed25519): made, sealed under a passphrase, opened again, used."""

import secrets
from typing import Annotated, Literal

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from appliance.errors import EnvelopeError, VaultDamagedError, WrongPassphraseError
from appliance.vault.envelope import new_key, unwrap_key, wrap_key
from appliance.vault.keyring import Cost, check_strength, stretch

_SALT_BYTES = 16


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
        cost, salt = cost or Cost(), secrets.token_bytes(_SALT_BYTES)
        wrapped = wrap_key(stretch(passphrase, salt, cost), self._seed, self.public)
        return _Sealed(
            salt=salt.hex(),
            memory_kib=cost.memory_kib,
            passes=cost.passes,
            wrapped=wrapped.hex(),
            public=self.public.hex(),
        ).model_dump_json()


class _Sealed(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    kdf: Literal["argon2id"] = "argon2id"
    salt: Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]
    memory_kib: int = Field(ge=8, le=512 * 1024)
    passes: int = Field(ge=1, le=10)
    wrapped: Annotated[str, Field(pattern=r"^[0-9a-f]{122}$")]
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
    kek = stretch(passphrase, bytes.fromhex(slot.salt), Cost(slot.memory_kib, slot.passes))
    try:
        return SigningKey(unwrap_key(kek, bytes.fromhex(slot.wrapped), bytes.fromhex(slot.public)))
    except EnvelopeError as error:
        raise WrongPassphraseError from error
