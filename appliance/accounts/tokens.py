"""Random tokens of sessions and API keys, and the keyed digest that is stored instead of them."""

import base64
import secrets

from appliance.vault.digests import keyed_digest

_RANDOM_BYTES = 32


def new_token() -> str:
    """256 random bits, safe in a cookie and in a header."""
    return secrets.token_urlsafe(_RANDOM_BYTES)


def new_word() -> str:
    """256 random bits in letters and digits only, which a double click selects whole."""
    return base64.b32encode(secrets.token_bytes(_RANDOM_BYTES)).decode("ascii").rstrip("=").lower()


def digest(key: bytes, token: str) -> bytes:
    """What the database knows of a token: 32 bytes that are worth nothing without `key`."""
    return bytes.fromhex(keyed_digest(key, token.encode("utf-8", "surrogatepass")))
