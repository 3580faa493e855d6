"""Which other boxes this one takes packs of."""

from dataclasses import dataclass
from typing import Any, Final

from appliance import clock
from appliance.bundle.boxes.identity import fingerprint_of
from appliance.errors import NotFoundError
from appliance.storage.database import Database

_COLUMNS: Final = "fingerprint, name, set_by, set_at"


@dataclass(frozen=True)
class TrustedBox:
    """A box that an operator has set; `set_at` in seconds since the epoch."""

    fingerprint: str
    name: str
    set_by: str
    set_at: float


class Boxes:
    """The table of them."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def all(self) -> list[TrustedBox]:
        """By name."""
        rows: list[tuple[Any, ...]]
        with self._database.read() as connection:
            rows = connection.execute(f"select {_COLUMNS} from boxes order by name, fingerprint").fetchall()
        return [TrustedBox(*row) for row in rows]

    def get(self, fingerprint: str) -> TrustedBox | None:
        """None for one that nobody has set."""
        return next((box for box in self.all() if box.fingerprint == fingerprint), None)

    def put(self, public: bytes, name: str, by: str) -> TrustedBox:
        """Trust it from now on."""
        box = TrustedBox(fingerprint_of(public), name, by, clock.now())
        with self._database.write() as connection:
            connection.execute(
                f"insert or replace into boxes ({_COLUMNS}, public) values (?, ?, ?, ?, ?)",
                (box.fingerprint, box.name, box.set_by, box.set_at, public),
            )
        return box

    def drop(self, fingerprint: str) -> None:
        """Take no more packs of it; bases that came stay. Raises NotFoundError."""
        with self._database.write() as connection:
            connection.execute("delete from boxes where fingerprint = ?", (fingerprint,))
            if not connection.changes():
                raise NotFoundError(fingerprint)
