"""A key sealed under a passphrase: what counts as one, what a guess costs, and the slot that keeps the sealed key."""

import secrets
import unicodedata
from dataclasses import dataclass
from typing import Annotated, Literal

from argon2 import low_level
from argon2.exceptions import HashingError
from pydantic import BaseModel, ConfigDict, Field

from appliance.errors import BadInputError, BusyError, WeakPasswordError
from appliance.vault.digests import KEY_BYTES
from appliance.vault.envelope import wrap_key

MIN_PASSPHRASE = 8
LONGEST_PASSPHRASE = 1024

_SALT_BYTES = 16

Salt = Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]
Wrapped = Annotated[str, Field(pattern=r"^[0-9a-f]{122}$")]


@dataclass(frozen=True)
class Cost:
    """What one guess of the passphrase costs: Argon2id with one lane, about 0.2–0.4 s."""

    memory_kib: int = 64 * 1024
    passes: int = 3


class PassphraseSlot(BaseModel):
    """As it stands in a file."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    kdf: Literal["argon2id"] = "argon2id"
    salt: Salt
    # Bounded, so that a hostile file can't make the keys process ask for all memory or compute for ever.
    memory_kib: int = Field(ge=8, le=512 * 1024)
    passes: int = Field(ge=1, le=10)
    wrapped: Wrapped

    @staticmethod
    def sealing(key: bytes, passphrase: str, aad: bytes, cost: Cost) -> "PassphraseSlot":
        """A fresh slot with `key`, bound to `aad`. Raises BadInputError, BusyError."""
        salt = secrets.token_bytes(_SALT_BYTES)
        wrapped = wrap_key(_stretch(passphrase, salt, cost), key, aad)
        return PassphraseSlot(salt=salt.hex(), memory_kib=cost.memory_kib, passes=cost.passes, wrapped=wrapped.hex())

    def kek(self, passphrase: str) -> bytes:
        """What `wrapped` opens with, if the passphrase is right. Raises BadInputError, BusyError."""
        return _stretch(passphrase, bytes.fromhex(self.salt), Cost(self.memory_kib, self.passes))


def check_strength(passphrase: str) -> None:
    """Refuse a passphrase that is too short to be one.

    Raises:
        WeakPasswordError: shorter than 8 characters.
        BadInputError: not text, or far too long.
    """
    if len(_normal(passphrase)) < MIN_PASSPHRASE:
        raise WeakPasswordError(min_length=MIN_PASSPHRASE)


def _normal(passphrase: str) -> str:
    """One form for what looks the same: keyboards differ in composed kana and in full-width letters."""
    if len(passphrase) > LONGEST_PASSPHRASE or any(unicodedata.category(char) in ("Cc", "Cs") for char in passphrase):
        raise BadInputError("too long, or with characters that nobody can type", field="passphrase")
    return unicodedata.normalize("NFKC", passphrase)


def _stretch(passphrase: str, salt: bytes, cost: Cost) -> bytes:
    """A key of 32 bytes out of a passphrase, at a price. Raises BusyError if the memory for it can't be had."""
    secret = _normal(passphrase).encode()
    try:
        return low_level.hash_secret_raw(
            secret, salt, cost.passes, cost.memory_kib, 1, KEY_BYTES, low_level.Type.ID, low_level.ARGON2_VERSION
        )
    except HashingError as error:  # the memory could not be had
        raise BusyError(str(error), retry_after_s=30) from error
