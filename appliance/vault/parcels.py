"""Keys that travel: one file key, sealed for a box that is known by the public half of its receiving key (X25519)."""

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from appliance.errors import EnvelopeError
from appliance.vault.digests import KEY_BYTES, check_key
from appliance.vault.envelope import unwrap_key, wrap_key

PUBLIC_BYTES = 32
_LABEL = b"hako/v1/parcel"


class ReceivingKey:
    """Opens what was sealed for it; the secret never leaves it."""

    def __init__(self, seed: bytes) -> None:
        """`seed`: 32 secret bytes. Raises VaultDamagedError for another length."""
        self._key = X25519PrivateKey.from_private_bytes(check_key(seed))

    @property
    def public(self) -> bytes:
        """32 bytes that everybody may know."""
        return self._key.public_key().public_bytes_raw()

    def open(self, sealed: bytes, context: bytes) -> bytes:
        """The key inside. Raises EnvelopeError: sealed for another box, in another context, or altered."""
        sender, wrapped = sealed[:PUBLIC_BYTES], sealed[PUBLIC_BYTES:]
        try:
            shared = self._key.exchange(X25519PublicKey.from_public_bytes(sender))
        except ValueError as error:  # too short, or a point that makes every secret the same
            raise EnvelopeError("not a sealed key") from error
        return unwrap_key(_kek(shared, sender, self.public, context), wrapped, context)


def seal_for(public: bytes, key: bytes, context: bytes) -> bytes:
    """`key` for whoever holds the secret half of `public`, bound to `context`. Nobody else can open it, not even we.

    Raises:
        EnvelopeError: `public` is no key.
    """
    once = X25519PrivateKey.generate()
    own = once.public_key().public_bytes_raw()
    try:
        shared = once.exchange(X25519PublicKey.from_public_bytes(public))
    except ValueError as error:
        raise EnvelopeError("not a receiving key") from error
    return own + wrap_key(_kek(shared, own, public, context), key, context)


def _kek(shared: bytes, sender: bytes, receiver: bytes, context: bytes) -> bytes:
    """Both public halves are in it, so that a key for one pair is none for another."""
    info = _LABEL + sender + receiver + context
    return HKDF(SHA256(), KEY_BYTES, salt=None, info=info).derive(shared)
