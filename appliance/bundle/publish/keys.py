"""Key files of a publisher: one for its holder, with the sealed secret or the name of a token; one for everybody."""

import hashlib
import json
from pathlib import Path
from typing import Any

from securesystemslib.signer import Key, Signature, Signer

from appliance import durable, modes
from appliance.bundle.publish import tokens
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
    _demand_new(folder, name)
    key = SigningKey.new()
    return _written(folder, name, key.sealed(passphrase), _tuf_key(key.public))


def from_token(folder: Path, name: str, label: str | None, number: int, pin: str) -> Key:
    """The same two files for a key that is in a hardware token and stays there; see `tokens.found`.

    Raises:
        BundleInvalidError: a key of that name is there.
        TokenUnusableError, WrongPassphraseError: the token doesn't tell its key.
    """
    _demand_new(folder, name)
    uri, key = tokens.found(label, number, pin)
    return _written(folder, name, json.dumps({"token": uri, "keyid": key.keyid, **key.to_dict()}), key)


def opened(path: Path, passphrase: str) -> Signer:
    """The holder's key; `passphrase` is the PIN where it is in a token.

    Raises:
        WrongPassphraseError, VaultDamagedError, BundleInvalidError.
    """
    content = _text(path)
    token = _in_token(content)
    if token is None:
        return Holder(open_sealed(content, passphrase))
    uri, key = token
    return tokens.TokenHolder(uri, key, passphrase)


def is_in_token(path: Path) -> bool:
    """Whether the holder is to be asked for a PIN. Raises BundleInvalidError."""
    return _in_token(_text(path)) is not None


def _in_token(content: str) -> tuple[str, Key] | None:
    try:
        said = json.loads(content)
    except (ValueError, RecursionError):
        return None  # what is no key file at all is told by those who open it
    if not isinstance(said, dict) or not tokens.is_uri(said.get("token")):
        return None
    return str(said.pop("token")), _key(said)


def _demand_new(folder: Path, name: str) -> None:
    if (folder / (name + SECRET)).exists() or (folder / (name + PUBLIC)).exists():
        raise BundleInvalidError("a key of that name is there")


def _written(folder: Path, name: str, secret: str, key: Key) -> Key:
    folder.mkdir(mode=modes.folder(), parents=True, exist_ok=True)
    durable.replace(folder / (name + SECRET), secret.encode() + b"\n")
    public = folder / (name + PUBLIC)
    durable.replace(public, json.dumps({"keyid": key.keyid, **key.to_dict()}, indent=1).encode() + b"\n")
    public.chmod(0o644)
    return key


def public(path: Path) -> Key:
    """A public key file, of any kind of key that TUF knows. Raises BundleInvalidError."""
    try:
        return _key(json.loads(_text(path)))
    except (ValueError, RecursionError) as error:
        raise BundleInvalidError("no public key") from error


def _key(said: Any) -> Key:
    try:
        return Key.from_dict(said.pop("keyid"), said)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
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
