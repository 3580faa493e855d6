"""When people last changed what a backup keeps, so that somebody can be told that the newest backup lacks it."""

from typing import Final

from appliance.storage.database import Database

_CHANGED: Final = " union all ".join(
    f"select max({column}) as at from {table}"
    for table, column in (
        ("users", "created_at"),
        ("bases", "updated_at"),
        ("documents", "updated_at"),
        ("chats", "updated_at"),
        ("presets", "updated_at"),
    )
)
"""Signing in and looking at things writes as well, and is nothing that anybody would miss."""


def changed_at(database: Database) -> float | None:
    """The newest change in seconds since the epoch; None while there is nothing at all."""
    with database.read() as connection:
        found: float | None = connection.execute(f"select max(at) from ({_CHANGED})").get
    return found
