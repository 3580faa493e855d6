"""The way into first set-up: a one-time link and a short code, for whoever reads the box's own screen; kept as hashes.

Before there is a vault they are kept in memory (a `dict`), since nothing else could keep a secret; afterwards in the
database.
"""

import hashlib
import hmac
import secrets
from dataclasses import dataclass
from typing import Final

from appliance.errors import SetupCodeError
from appliance.services import Services
from appliance.storage import settings_store
from appliance.vault import recovery
from appliance.vault.tries import Doors

SETTING: Final = "setup_token"
CODE: Final = "setup_code"
_RANDOM_BYTES: Final = 32
_CODE_CHARS: Final = 8
_LOOKALIKES: Final = str.maketrans("OIL", "011")

Where = Services | dict[str, str]


@dataclass(frozen=True)
class Invitation:
    """`path` with the token; `code` as it is read from a screen, `K7QX-2M9D`."""

    path: str
    code: str


def make(where: Where) -> Invitation | None:
    """A new link and code, which make older ones worthless; None once the box has an account."""
    if not _waits(where):
        return None
    code = "".join(secrets.choice(recovery.ALPHABET) for _ in range(_CODE_CHARS))
    _put(where, CODE, hash_token(code))
    half = _CODE_CHARS // 2
    return Invitation(f"/setup?token={_new_token(where)}", f"{code[:half]}-{code[half:]}")


def enter(where: Where, typed: str, doors: Doors, asker: str) -> str:
    """The token of a new link, for who has typed the code. `doors`: tries so far; `asker`: whose this one is.

    Raises:
        SetupCodeError: not the newest code, or there is somebody already; `tries_left` before a wait.
        TooManyTriesError: not before `retry_after_s`.
    """
    doors.check(asker)
    expected = _get(where, CODE) if _waits(where) else ""
    if not expected or not hmac.compare_digest(expected, hash_token(plain(typed))):
        raise SetupCodeError(tries_left=doors.wrong(asker))
    doors.right()
    return _new_token(where)


def is_valid(where: Where, token: str) -> bool:
    """Whether set-up may go on with this token: the newest one, and nobody has an account yet."""
    expected = _get(where, SETTING)
    if not token or not expected or not _waits(where):
        return False
    return hmac.compare_digest(expected, hash_token(token))


def close(where: Where) -> None:
    """Link and code have done their work."""
    for name in (SETTING, CODE):
        if isinstance(where, dict):
            where.pop(name, None)
        else:
            settings_store.delete(where.database, name)


def carry_over(before: dict[str, str], services: Services) -> None:
    """Into the database of the vault that was just made."""
    for name, digest in before.items():
        _put(services, name, digest)
    before.clear()


def hash_token(token: str) -> str:
    """What is stored of a token; a plain SHA-256 is enough for 256 random bits. A code is short, but tries are few."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()


def plain(typed: str) -> str:
    """Typed letters without what people add or mistake: spaces, hyphens, case, O for 0, I and L for 1."""
    return "".join(typed.split()).replace("-", "").upper().translate(_LOOKALIKES)


def _new_token(where: Where) -> str:
    token = secrets.token_urlsafe(_RANDOM_BYTES)
    _put(where, SETTING, hash_token(token))
    return token


def _waits(where: Where) -> bool:
    return isinstance(where, dict) or where.users.count() == 0


def _get(where: Where, name: str) -> str:
    found = where.get(name) if isinstance(where, dict) else settings_store.get(where.database, name)
    return found if isinstance(found, str) else ""


def _put(where: Where, name: str, digest: str) -> None:
    if isinstance(where, dict):
        where[name] = digest
    else:
        settings_store.put(where.database, name, digest)
