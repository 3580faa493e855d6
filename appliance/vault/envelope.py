"""Sealed files: AES-256-GCM in chunks, so that a cut, swapped, changed or appended chunk is noticed."""

import secrets
from collections.abc import Iterator
from typing import BinaryIO, Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from appliance.errors import EnvelopeError
from appliance.vault.digests import KEY_BYTES, check_key

CHUNK = 1 << 20
_MAGIC = b"HAKOENV1"
_SALT_BYTES = 32
_TAG_BYTES = 16
_HEADER_BYTES = len(_MAGIC) + _SALT_BYTES
_WRAP_VERSION = b"\x01"
_NONCE_BYTES = 12


class Readable(Protocol):
    """Anything that gives bytes."""

    def read(self, size: int, /) -> bytes: ...


def new_key() -> bytes:
    """A random key for one file."""
    return secrets.token_bytes(KEY_BYTES)


def seal_stream(key: bytes, source: Readable, target: BinaryIO) -> int:
    """Write all of `source` to `target`, sealed; returns the number of plaintext bytes.

    The salt gives each stream its own chunk key, so one `key` may seal any number of streams although the
    nonce only counts. The last chunk, possibly empty, carries the final flag.
    """
    size = -_HEADER_BYTES
    for piece in sealed_pieces(key, source):
        target.write(piece)
        size += len(piece) - (_TAG_BYTES if size >= 0 else 0)
    return size


def sealed_pieces(key: bytes, source: Readable) -> Iterator[bytes]:
    """What `seal_stream` writes, for a target that takes one piece after the other: a header, then the chunks."""
    salt = secrets.token_bytes(_SALT_BYTES)
    cipher = _chunk_cipher(key, salt)
    yield _MAGIC + salt
    number = 0
    chunk = _read_full(source, CHUNK)
    final = False
    while not final:
        following = _read_full(source, CHUNK) if len(chunk) == CHUNK else b""
        final = not following
        yield cipher.encrypt(_nonce(number, final=final), chunk, _MAGIC)
        chunk = following
        number += 1


def open_stream(key: bytes, source: Readable) -> Iterator[bytes]:
    """The plaintext in chunks. Each chunk is genuine, but only a normal end says that none is missing.

    Raises:
        EnvelopeError: another key, or a byte changed, cut off, moved or added.
    """
    header = _read_full(source, _HEADER_BYTES)
    if len(header) != _HEADER_BYTES or not header.startswith(_MAGIC):
        raise EnvelopeError("no envelope header")
    cipher = _chunk_cipher(key, header[len(_MAGIC) :])
    number = 0
    sealed = _read_full(source, CHUNK + _TAG_BYTES)
    final = False
    while not final:
        following = _read_full(source, CHUNK + _TAG_BYTES)
        final = not following
        try:
            chunk = cipher.decrypt(_nonce(number, final=final), sealed, _MAGIC)
        except InvalidTag as error:
            raise EnvelopeError(f"chunk {number} does not open") from error
        yield chunk
        sealed = following
        number += 1


def wrap_key(kek: bytes, key: bytes, aad: bytes) -> bytes:
    """`key` sealed under `kek`, bound to `aad`: it opens only where the same `aad` is given."""
    nonce = secrets.token_bytes(_NONCE_BYTES)
    return _WRAP_VERSION + nonce + AESGCM(check_key(kek)).encrypt(nonce, check_key(key), _WRAP_VERSION + aad)


def unwrap_key(kek: bytes, wrapped: bytes, aad: bytes) -> bytes:
    """The key inside `wrapped`.

    Raises:
        EnvelopeError: another key-encryption key, another `aad`, or altered.
    """
    expected = 1 + _NONCE_BYTES + KEY_BYTES + _TAG_BYTES
    if len(wrapped) != expected or not wrapped.startswith(_WRAP_VERSION):
        raise EnvelopeError("not a wrapped key")
    try:
        opened = AESGCM(check_key(kek)).decrypt(
            wrapped[1 : 1 + _NONCE_BYTES], wrapped[1 + _NONCE_BYTES :], wrapped[:1] + aad
        )
    except InvalidTag as error:
        raise EnvelopeError("a wrapped key does not open") from error
    return check_key(opened)


def _chunk_cipher(key: bytes, salt: bytes) -> AESGCM:
    return AESGCM(HKDF(SHA256(), KEY_BYTES, salt=salt, info=b"hako/v1/envelope").derive(check_key(key)))


def _nonce(number: int, *, final: bool) -> bytes:
    return number.to_bytes(_NONCE_BYTES - 1, "big") + bytes([final])


def _read_full(source: Readable, size: int) -> bytes:
    """Read `size` bytes, fewer only at the end: a socket or a pipe may give less at once."""
    parts: list[bytes] = []
    missing = size
    while missing and (part := source.read(missing)):
        parts.append(part)
        missing -= len(part)
    return parts[0] if len(parts) == 1 else b"".join(parts)
