"""Keyed digests and derived keys: names and hashes that tell nothing to somebody without the key."""

import hashlib
import hmac
from typing import BinaryIO

from appliance.errors import VaultDamagedError

KEY_BYTES = 32
_BLOCK = 1 << 20


def check_key(key: bytes) -> bytes:
    """The key itself, if it is one.

    Raises:
        VaultDamagedError: wrong length. Libraries below take such a key as a passphrase, or take part of it.
    """
    if len(key) != KEY_BYTES:
        raise VaultDamagedError(f"a key has {len(key)} bytes instead of {KEY_BYTES}", name="key")
    return key


def keyed_digest(key: bytes, content: bytes | BinaryIO) -> str:
    """HMAC-SHA256 in hex. A plain hash would tell a thief which known file lies there; this doesn't."""
    running = hmac.new(check_key(key), digestmod=hashlib.sha256)
    if isinstance(content, bytes):
        running.update(content)
    else:
        while block := content.read(_BLOCK):
            running.update(block)
    return running.hexdigest()


def same(left: str | bytes, right: str | bytes) -> bool:
    """Compare two digests in a time that doesn't depend on where they differ."""
    first = left.encode() if isinstance(left, str) else left
    second = right.encode() if isinstance(right, str) else right
    return hmac.compare_digest(first, second)


def derive(key: bytes, label: str) -> bytes:
    """A key for one purpose, HKDF-SHA256: knowing it tells nothing about `key` or about other labels."""
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.kdf.hkdf import HKDF

    return HKDF(SHA256(), KEY_BYTES, salt=None, info=label.encode()).derive(check_key(key))


class KeyedReader:
    """Passes a stream through and digests it on the way, as `keyed_digest` would."""

    def __init__(self, key: bytes, source: BinaryIO) -> None:
        self._source = source
        self._running = hmac.new(check_key(key), digestmod=hashlib.sha256)

    def read(self, size: int = -1) -> bytes:
        part = self._source.read(size)
        self._running.update(part)
        return part

    def digest(self) -> str:
        """Of everything read so far."""
        return self._running.hexdigest()
