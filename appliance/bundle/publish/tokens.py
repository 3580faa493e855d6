"""Signing keys that live in a hardware token (PKCS#11): made there, never read out, and used by securesystemslib.

The extra `token` brings the bridge to the token's driver. The driver itself is a file of whoever made the token, named
by the variable PYKCS11LIB, as securesystemslib wants it.
"""

import os
from collections.abc import Callable
from typing import Any, Final, TypeVar
from urllib.parse import parse_qsl, urlsplit

from securesystemslib.exceptions import UnsupportedLibraryError
from securesystemslib.signer import HSMSigner, Key, Signature, Signer

from appliance.errors import TokenUnusableError, WrongPassphraseError

Said = TypeVar("Said")

DRIVER: Final = "PYKCS11LIB"
_WRONG_PIN: Final = ("PinIncorrect", "PinInvalid", "PinLenRange")
_LOCKED: Final = ("PinLocked", "PinExpired")


class TokenHolder(Signer):
    """Somebody's key in a token, as python-tuf signs with it."""

    def __init__(self, uri: str, key: Key, pin: str) -> None:
        """`uri`: as `found` gave it."""
        self._signer = _asked(lambda: HSMSigner.from_priv_key_uri(uri, key, lambda _what: pin))
        self._public = key

    @property
    def public_key(self) -> Key:
        """The public half."""
        return self._public

    def sign(self, payload: bytes) -> Signature:
        """What python-tuf asks for.

        Raises:
            WrongPassphraseError: the PIN is wrong.
            TokenUnusableError: the token isn't there, is locked, or has no such key.
        """
        return _asked(lambda: self._signer.sign(payload))

    @classmethod
    def from_priv_key_uri(cls, priv_key_uri: str, public_key: Key, secrets_handler: Any = None) -> Signer:
        """Not a way to open these keys: their files are opened by `keys.opened`."""
        raise NotImplementedError


def found(label: str | None, number: int, pin: str) -> tuple[str, Key]:
    """The key of that number in the token with that label (without one: in the only token), and how to ask for it.

    Raises:
        TokenUnusableError, WrongPassphraseError: as `TokenHolder.sign`.
    """
    return _asked(lambda: HSMSigner.import_(number, label, lambda _what: pin))


def is_uri(text: object) -> bool:
    """Whether this is how a key in a token is named: `hsm:2?label=…`."""
    if not isinstance(text, str) or len(text) > 300:
        return False
    parts = urlsplit(text)
    named = {name for name, _value in parse_qsl(parts.query)}
    return parts.scheme == HSMSigner.SCHEME and parts.path.isdecimal() and named <= {"label"}


def _asked(ask: Callable[[], Said]) -> Said:
    """What the token says. Its driver's errors have many names, few of which help a person."""
    if not os.environ.get(DRIVER):
        raise TokenUnusableError("no driver named", why="driver")
    try:
        return ask()
    except UnsupportedLibraryError as error:
        raise TokenUnusableError("no bridge", why="extra") from error
    except ValueError as error:  # securesystemslib's own: no such token, or no such key in it
        raise TokenUnusableError(str(error), why="key" if "key" in str(error).lower() else "token") from error
    except Exception as error:
        kind = type(error).__name__
        if not type(error).__module__.startswith("pkcs11"):
            raise
        if kind in _WRONG_PIN:
            raise WrongPassphraseError("token pin") from error
        raise TokenUnusableError(kind, why="locked" if kind in _LOCKED else "token") from error
