"""Signed checkpoints of the audit log: what it was at a moment, kept in the database and in a file beside it."""

import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final

import apsw
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from appliance import clock, durable, modes
from appliance.storage.audit_chains import COLUMNS, START, Chains
from appliance.storage.database import Database
from appliance.vault.signing import SigningKey, is_signed

_CONTEXT: Final = b"hako audit checkpoint 1\n"
_FIRST: Final = "0" * 64
_TAIL_BYTES: Final = 1 << 16

_Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class Statement(BaseModel):
    """What is signed. All digests in hex."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    box: _Digest
    """SHA-256 of the public key."""
    serial: Annotated[int, Field(ge=1)]
    """Counts the checkpoints."""
    number: int
    """Of the newest entry that it confirms."""
    hash: _Digest
    """The keyed chain at that entry."""
    digest: _Digest
    """The open chain at that entry."""
    at: int
    """Seconds since the epoch."""
    previous: _Digest
    """Of the checkpoint before, see `name`; zeros for the first."""
    accepts: tuple[str, ...] = ()
    """Keys of findings that an operator has taken note of."""

    def signed(self) -> bytes:
        """The very bytes."""
        text = json.dumps(self.model_dump(mode="json"), sort_keys=True, separators=(",", ":"))
        return _CONTEXT + text.encode("ascii")

    @property
    def name(self) -> str:
        """SHA-256 of the signed bytes."""
        return hashlib.sha256(self.signed()).hexdigest()


@dataclass(frozen=True)
class Checkpoint:
    """A statement with its signature, which nobody has looked at yet."""

    statement: Statement
    signature: bytes

    @classmethod
    def parse(cls, line: str) -> "Checkpoint | None":
        """From its line; None if it is none."""
        try:
            said = json.loads(line)
            statement = Statement.model_validate_json(json.dumps(said["checkpoint"]))
            return cls(statement, bytes.fromhex(said["signature"]))
        except (ValueError, TypeError, KeyError, RecursionError, ValidationError):
            return None

    def line(self) -> str:
        """As the file, the database and exports have it."""
        return json.dumps({"checkpoint": self.statement.model_dump(mode="json"), "signature": self.signature.hex()})

    def is_of(self, public: bytes) -> bool:
        """Whether the box with that public key has made it."""
        said = self.statement
        return said.box == box_of(public) and is_signed(public, said.signed(), self.signature)


def box_of(public: bytes) -> str:
    """Which box it is, from its public key of 32 bytes."""
    return hashlib.sha256(public).hexdigest()


class Witness:
    """The box's signature, and the file that doesn't go back when the database does."""

    def __init__(self, path: Path, seed: bytes) -> None:
        """`seed`: 32 secret bytes. The folder of `path` is made when it is needed."""
        self._path = path
        self._key = SigningKey(seed)
        self.public = self._key.public

    def sign(self, statement: Statement) -> Checkpoint:
        """The checkpoint of a statement."""
        return Checkpoint(statement, self._key.sign(statement.signed()))

    def attest(self, context: bytes, data: bytes) -> bytes:
        """The box's signature, 64 bytes, under what is no checkpoint. `context`: a line that says what it is."""
        if not context.endswith(b"\n") or context == _CONTEXT:
            raise ValueError("a context of its own")
        return self._key.sign(context + data)

    def lines(self) -> list[str]:
        """Every whole line of the file, the oldest first. What was cut off in the middle of writing doesn't count."""
        return self._read(None)

    def tail(self) -> list[str]:
        """The newest lines."""
        return self._read(_TAIL_BYTES)

    def append(self, checkpoint: Checkpoint) -> None:
        """On the disk when this returns. The caller sees to it that one at a time appends.

        Raises:
            DiskFullError: no room.
        """
        folder = self._path.parent
        with durable.told_when_full():
            if not folder.exists():
                folder.mkdir(mode=modes.folder(), parents=True)
                durable.sync(folder.parent)
            is_new = not self._path.exists()
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, modes.file())
            with os.fdopen(descriptor, "r+b") as file:
                begin = max(0, file.seek(0, os.SEEK_END) - _TAIL_BYTES)
                file.seek(begin)
                file.seek(file.truncate(begin + _whole(file.read())))  # half a line, from a power cut
                file.write(checkpoint.line().encode("ascii") + b"\n")
                file.flush()
                os.fsync(file.fileno())
            if is_new:
                durable.sync(folder)

    def _read(self, newest_bytes: int | None) -> list[str]:
        try:
            with self._path.open("rb") as file:
                size = file.seek(0, os.SEEK_END)
                begin = max(0, size - newest_bytes) if newest_bytes else 0
                file.seek(begin)
                content = file.read()
        except FileNotFoundError:
            return []
        lines = content[: _whole(content)].decode("utf-8", "replace").splitlines()
        return lines[1:] if begin else lines


def _whole(content: bytes) -> int:
    """How many bytes of it are whole lines."""
    return content.rfind(b"\n") + 1


class Checkpoints:
    """Makes them. The database's lock for writing is the lock of the file, too."""

    def __init__(self, database: Database, chains: Chains, witness: Witness) -> None:
        self._database = database
        self._chains = chains
        self._witness = witness

    def make(self, accepts: Sequence[str] = ()) -> Checkpoint | None:
        """One for all entries that there are; the newest one, if it is for these already; None without entries.

        The file comes first: after a power cut it may know more than the database, but never less.

        Raises:
            DiskFullError: no room; nothing was made.
        """
        with self._database.write() as connection:
            highest = connection.execute("select coalesce(max(serial), 0) from audit_checkpoints").get
            newest = self._newest(connection, highest)
            last = connection.execute("select number, hash from audit order by number desc limit 1").fetchone()
            if last is None:
                return None
            number, hashed = last
            if newest and not accepts and (newest.statement.number, newest.statement.hash) == (number, hashed.hex()):
                return newest
            made = self._witness.sign(
                Statement(
                    box=box_of(self._witness.public),
                    serial=max(newest.statement.serial if newest else 0, int(highest)) + 1,
                    number=number,
                    hash=hashed.hex(),
                    digest=self._digest(connection, anew=bool(accepts)).hex(),
                    at=int(clock.now()),
                    previous=newest.statement.name if newest else _FIRST,
                    accepts=tuple(accepts),
                )
            )
            self._witness.append(made)
            _insert(connection, made)
            return made

    def _newest(self, connection: apsw.Connection, highest: int) -> Checkpoint | None:
        """The one with the highest serial, of the database or of the file.

        What only the file has was written just before a power cut, and is taken over if its entries are there.
        """
        row = connection.execute("select line from audit_checkpoints order by serial desc limit 1").fetchone()
        newest = Checkpoint.parse(row[0]) if row else None
        if newest and not newest.is_of(self._witness.public):
            newest = None
        for line in self._witness.tail():
            found = Checkpoint.parse(line)
            if found is None or not found.is_of(self._witness.public):
                continue
            if newest is None or found.statement.serial > newest.statement.serial:
                newest = found
                if found.statement.serial > highest and is_met(connection, found.statement):
                    _insert(connection, found)
        return newest

    def _digest(self, connection: apsw.Connection, *, anew: bool) -> bytes:
        """The open chain at the newest entry, continued from the last checkpoint that is met; or from the start."""
        number, digest = 0, START
        if not anew:
            rows = connection.execute(
                "select c.line from audit_checkpoints c join audit a on a.number = c.number and a.hash = c.hash"
                " order by c.serial desc limit 1"
            ).fetchall()
            known = Checkpoint.parse(str(rows[0][0])) if rows else None
            if known and known.is_of(self._witness.public):
                number, digest = known.statement.number, bytes.fromhex(known.statement.digest)
        for row in connection.execute(f"select {COLUMNS} from audit where number > ? order by number", (number,)):
            digest = self._chains.public(digest, row)
        return digest


def is_met(connection: apsw.Connection, said: Statement) -> bool:
    """Whether its last entry is there, with the keyed chain as it was."""
    row = connection.execute("select hash from audit where number = ?", (said.number,)).fetchone()
    return row is not None and bytes(row[0]).hex() == said.hash


def _insert(connection: apsw.Connection, made: Checkpoint) -> None:
    said = made.statement
    connection.execute(
        "insert into audit_checkpoints (serial, number, hash, at, line) values (?, ?, ?, ?, ?)",
        (said.serial, said.number, bytes.fromhex(said.hash), said.at, made.line()),
    )
