"""The API keys of destinations, in the encrypted database and nowhere else."""

from typing import Final

from appliance.storage import settings_store
from appliance.storage.database import Database

_PREFIX: Final = "destination-key:"


class Credentials:
    """Safe to share between threads."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def key(self, destination: str) -> str | None:
        """The key to show to a destination; None where it asks for none."""
        stored = settings_store.get(self._database, _PREFIX + destination)
        return stored if isinstance(stored, str) else None

    def put(self, destination: str, key: str) -> None:
        """Keep a key; an older one is replaced."""
        settings_store.put(self._database, _PREFIX + destination, key)

    def delete(self, destination: str) -> None:
        """Forget the key, if there is one."""
        settings_store.delete(self._database, _PREFIX + destination)
