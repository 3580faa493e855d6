"""The two chains over the audit log's entries: one under the box's key, one that anybody can follow from an export."""

import json
from typing import Any, Final

from appliance.vault.digests import check_key, derive, keyed_digest

COLUMNS: Final = "number, at, actor, action, target, detail"
START: Final = bytes(32)
"""What stands in a chain before its first entry."""

_NAMES: Final = COLUMNS.split(", ")

Row = tuple[Any, ...]
"""The values of COLUMNS, in their order."""


def fields(row: Row) -> dict[str, Any]:
    """The entry by names, as exports write it; `detail` is the text that is stored."""
    return dict(zip(_NAMES, row, strict=True))


def public(salt: bytes, previous: bytes, row: Row) -> bytes:
    """The open chain at an entry: HMAC-SHA256 under a salt that exports tell, over the digest before and the entry.

    Without the salt, the digests that lie outside of the database tell nobody what was done.
    """
    return bytes.fromhex(keyed_digest(salt, previous + _canonical(row)))


class Chains:
    """Both chains of one box."""

    def __init__(self, key: bytes) -> None:
        """Raises VaultDamagedError for a key of the wrong length."""
        self._key = check_key(key)
        self.salt = derive(key, "hako/v1/audit-digest")
        """32 bytes that go out with exports; they open nothing."""

    def keyed(self, previous: bytes, row: Row) -> bytes:
        """The box's own chain at an entry. Only who has the key can make it, so it can't be told to anybody."""
        return bytes.fromhex(keyed_digest(self._key, previous + _canonical(row)))

    def public(self, previous: bytes, row: Row) -> bytes:
        """The open chain at an entry."""
        return public(self.salt, previous, row)


def _canonical(row: Row) -> bytes:
    return json.dumps(fields(row), ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode("utf-8")
