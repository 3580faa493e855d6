"""Settings that the box itself stores, in the encrypted database: a name and a JSON value each."""

import json
from typing import Any

from appliance.storage.database import Database


def get(database: Database, name: str) -> Any | None:
    """The value; None when there is none."""
    with database.read() as connection:
        stored = connection.execute("select value from settings where name = ?", (name,)).get
    return None if stored is None else json.loads(stored)


def put(database: Database, name: str, value: Any) -> None:
    """Store a value that JSON can hold; an older one is replaced."""
    stored = json.dumps(value, ensure_ascii=False)
    with database.write() as connection:
        connection.execute("insert or replace into settings (name, value) values (?, ?)", (name, stored))


def delete(database: Database, name: str) -> None:
    """Forget a value, if there is one."""
    with database.write() as connection:
        connection.execute("delete from settings where name = ?", (name,))
