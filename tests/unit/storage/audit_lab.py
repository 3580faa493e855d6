"""An audit log with its files, and what somebody does to it who has the database's key but not the log's."""

import shutil
from collections.abc import Sequence
from pathlib import Path

from appliance.storage.audit import Audit
from appliance.storage.checkpoints import Witness
from appliance.storage.database import Database

DATABASE_KEY = bytes(range(32))
KEY = b"\x09" * 32
SEED = b"\x07" * 32
TRIGGERS = ("no_update", "no_delete", "in_order")


class Lab:
    """`folder` is the data folder of a box without the rest of the box."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.file = folder / "audit" / "checkpoints"
        self.open()

    def open(self) -> None:
        self.database = Database(self.folder / "hako.db", DATABASE_KEY)
        self.database.migrate()
        self.audit = Audit(self.database, KEY, Witness(self.file, SEED))

    def close(self) -> None:
        self.database.close()

    def fill(self, count: int, actor: str = "usr_alice") -> None:
        for number in range(count):
            self.audit.record(actor, "document-added", f"doc_{number}", size=12.5)

    def tamper(self, sql: str, *values: object) -> None:
        """Past the triggers: whoever has the database's key can take them away."""
        with self.database.write() as connection:
            for table in ("audit", "audit_checkpoints"):
                for name in TRIGGERS:
                    connection.execute(f"drop trigger if exists {table}_{name}")
            connection.execute(sql, values or None)

    def keep(self, name: str) -> Path:
        """A copy of the data folder as it is now."""
        self.close()
        copy = self.folder.parent / name
        shutil.copytree(self.folder, copy)
        self.open()
        return copy

    def put_back(self, copy: Path, *, database: bool = False, file: bool = False) -> None:
        """Older files in the place of the present ones, as whoever copies files about would do it."""
        self.close()
        if database:
            for path in self.folder.glob("hako.db*"):
                path.unlink()
            for path in copy.glob("hako.db*"):
                shutil.copy(path, self.folder)
        if file:
            self.file.unlink(missing_ok=True)
            if (copy / "audit" / "checkpoints").exists():
                shutil.copy(copy / "audit" / "checkpoints", self.file)
        self.open()

    def lines(self) -> list[str]:
        return self.file.read_text("utf-8").splitlines()

    def write(self, lines: Sequence[str]) -> None:
        self.file.write_text("".join(line + "\n" for line in lines), "utf-8")

    def found(self, *, whole: bool = True) -> list[str]:
        """Keys of what is open."""
        return [each.key for each in self.audit.verify(whole=whole).open]

    def kinds(self, *, whole: bool = True) -> set[str]:
        return {each.kind for each in self.audit.verify(whole=whole).open}

    def trail(self) -> list[str]:
        return [entry.action for entry in reversed(self.audit.entries())]
