"""The one-time link of first set-up: made for whoever reads the box's own terminal, kept as a hash."""

import hashlib
import hmac
import secrets
from typing import Final

from appliance.services import Services
from appliance.storage import settings_store

SETTING: Final = "setup_token"
_RANDOM_BYTES: Final = 32


def make(services: Services) -> str | None:
    """The path of a new link, which makes an older one worthless; None once the box has an account."""
    if services.users.count() > 0:
        return None
    token = secrets.token_urlsafe(_RANDOM_BYTES)
    settings_store.put(services.database, SETTING, hash_token(token))
    return f"/setup?token={token}"


def is_valid(services: Services, token: str) -> bool:
    """Whether set-up may go on with this token: the newest one, and nobody has an account yet."""
    expected = settings_store.get(services.database, SETTING)
    if not token or not isinstance(expected, str) or services.users.count() > 0:
        return False
    return hmac.compare_digest(expected, hash_token(token))


def close(services: Services) -> None:
    """The link has done its work."""
    settings_store.delete(services.database, SETTING)


def hash_token(token: str) -> str:
    """What is stored of a token; a plain SHA-256 is enough for 256 random bits."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()
