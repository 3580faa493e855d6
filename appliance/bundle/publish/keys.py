"""Key files of a publisher: one with the sealed secret for its holder, one with the public half for everybody."""

import hashlib
import json
from pathlib import Path
from typing import Any

from securesystemslib.signer import Key, Signature, Signer

from appliance import durable
from appliance.errors import BundleInvalidError
from appliance.vault.signing import SigningKey, open_sealed

SECRET, PUBLIC = ".key.json", ".pub.json"
_LONGEST = 1 << 16


class Holder(Signer):
    """Somebody's opened key, as python-tuf signs with it."""

    def __init__(self, key: SigningKey) -> None:
        self._key = key
        self._public = _tuf_key(key.public)

    @property
    def public_key(self) -> Key:
        """The public half."""
        return self._public

    def sign(self, payload: bytes) -> Signature:
        """What python-tuf asks for."""
        return Signature(self._public.keyid, self._key.sign(payload).hex())

    @classmethod
    def from_priv_key_uri(cls, priv_key_uri: str, public_key: Key, secrets_handler: Any = None) -> Signer:
        """Not a way to open these keys: their files are opened by `opened`."""
        raise NotImplementedError


def generate(folder: Path, name: str, passphrase: str) -> Key:
    """Write `NAME.key.json` (mode 600) and `NAME.pub.json`.

    Raises:
        BundleInvalidError: a key of that name is there; it is never overwritten.
        WeakPasswordError: the passphrase is too short.
    """
    secret, public = folder / (name + SECRET), folder / (name + PUBLIC)
    if secret.exists() or public.exists():
        raise BundleInvalidError("a key of that name is there")
    key = SigningKey.new()
    sealed = key.sealed(passphrase)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    durable.replace(secret, sealed.encode() + b"\n")
    tuf_key = _tuf_key(key.public)
    durable.replace(public, json.dumps({"keyid": tuf_key.keyid, **tuf_key.to_dict()}, indent=1).encode() + b"\n")
    public.chmod(0o644)
    return tuf_key


def opened(path: Path, passphrase: str) -> Holder:
    """The holder's key. Raises WrongPassphraseError, VaultDamagedError, BundleInvalidError."""
    return Holder(open_sealed(_text(path), passphrase))


def public(path: Path) -> Key:
    """A public key file, of any kind of key that TUF knows. Raises BundleInvalidError."""
    try:
        said = json.loads(_text(path))
        return Key.from_dict(said.pop("keyid"), said)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise BundleInvalidError("no public key") from error


def _tuf_key(public: bytes) -> Key:
    """The id is the digest of the key in canonical JSON, as TUF's tools make it."""
    said = {"keytype": "ed25519", "scheme": "ed25519", "keyval": {"public": public.hex()}}
    canonical = json.dumps(said, sort_keys=True, separators=(",", ":"))
    return Key.from_dict(hashlib.sha256(canonical.encode()).hexdigest(), said)


def _text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return file.read(_LONGEST).decode()
    except (OSError, UnicodeDecodeError) as error:
        raise BundleInvalidError(f"key file: {type(error).__name__}") from error
