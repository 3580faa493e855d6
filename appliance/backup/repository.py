"""The folder that backups lie in: objects named by a keyed digest of their bytes, and sealed snapshots that list them.

`hako-backup/<vault>/` holds `vault.json` (the master key, wrapped by passphrase and recovery key),
`objects/aa/<digest>` and `snapshots/<id>`. An object gets its name only once all of it is on the disk, a snapshot only
once all its objects are: what is cut off leaves nothing that can be seen, and what it has brought is used by the next.
"""

import hashlib
import hmac
import os
import secrets
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from errno import EDQUOT, EFBIG, EINVAL, ENOSPC
from pathlib import Path
from typing import BinaryIO, Final

from appliance import durable, logs, modes
from appliance.backup import manifest
from appliance.backup.manifest import Snapshot
from appliance.errors import (
    BackupDamagedError,
    BackupFolderError,
    BackupRoomError,
    BusyError,
    DiskFullError,
    HakoError,
    NoBackupError,
    SeveralBoxesError,
)
from appliance.inference.importing import locked
from appliance.vault.digests import check_key, derive, keyed_digest

log = logs.get(__name__)

TOP: Final = "hako-backup"
VAULT: Final = "vault.json"
_OBJECTS: Final = "objects"
_SNAPSHOTS: Final = "snapshots"
_INCOMING: Final = "incoming"
_VAULT_BYTES: Final = 1 << 16
_PIECE: Final = 1 << 20
_RETRY_S: Final = 10
_HEX: Final = frozenset("0123456789abcdef")


def boxes(folder: Path) -> list[str]:
    """The ids of the vaults that have backups in this folder.

    Raises:
        BackupFolderError: it can't be read.
    """
    with _told(folder):
        if not folder.is_dir():
            raise BackupFolderError("no such folder", name=folder.name)
        top = folder / TOP
        return sorted(each.name for each in top.iterdir() if _is_box(each)) if top.is_dir() else []


def only_box(folder: Path, named: str | None = None) -> str:
    """The vault that was named, by the beginning of its id, or the only one there is.

    Raises:
        BackupFolderError, NoBackupError: nothing there.
        SeveralBoxesError: none was named, or not clearly.
    """
    found = [each for each in boxes(folder) if each.startswith(named or "")]
    if not found:
        raise NoBackupError(str(folder))
    if len(found) > 1:
        raise SeveralBoxesError(names=", ".join(each[:8] for each in found))
    return found[0]


def vault_file(folder: Path, box: str) -> bytes:
    """The wrapped master key of a box; of no use without its passphrase or recovery key.

    Raises:
        BackupFolderError: it can't be read.
    """
    with _told(folder), _plain(folder / TOP / box / VAULT) as source:
        return source.read(_VAULT_BYTES)


class Repository:
    """The backups of one box in one folder. Reading needs no lock; who writes or removes holds it."""

    def __init__(self, folder: Path, box: str, key: bytes) -> None:
        """`folder` as the operator names it; `box`: the vault's id; `key`: the vault's key for backups.

        Raises:
            VaultDamagedError: the key has a wrong length.
        """
        self.folder = folder
        self.box = box
        self._root = folder / TOP / box
        self._names_key = derive(check_key(key), "hako/v1/backup-names")
        self._manifest_key = derive(key, "hako/v1/backup-snapshots")
        self.files_key = derive(key, "hako/v1/backup-files")
        self._touched: set[Path] = set()

    @property
    def exists(self) -> bool:
        """Whether this box was ever backed up here."""
        return self._root.is_dir()

    @contextmanager
    def held(self) -> Iterator[None]:
        """Work in it alone; the folder itself must be there, what belongs into it is made.

        Raises:
            BackupFolderError: it isn't there, or can't be written.
            BusyError: somebody else works in it.
        """
        with _told(self.folder):
            if not self.folder.is_dir():
                raise BackupFolderError("no such folder", name=self.folder.name)
            for part in (_OBJECTS, _SNAPSHOTS, _INCOMING):
                (self._root / part).mkdir(mode=modes.folder(), parents=True, exist_ok=True)
            self._demand_no_links()
            for path in (self._root, self._root.parent, self.folder):
                durable.sync(path)
            lock = locked(self._root)
            if lock is None:
                raise BusyError(retry_after_s=_RETRY_S)
            try:
                self.sweep_incoming()
                yield
            finally:
                os.close(lock)

    # -- objects

    def digest(self, content: bytes) -> str:
        """The name of an object of these bytes."""
        return keyed_digest(self._names_key, content)

    def has(self, name: str, size: int) -> bool:
        """Whether an object of this name and length is there; its bytes are looked at by `check` only."""
        try:
            return self._object(name).stat().st_size == size
        except FileNotFoundError:
            return False

    def holds(self, name: str) -> bool:
        """Whether an object of this name is there; it got its name only once it was whole."""
        return self._object(name).exists()

    def put(self, pieces: Iterable[bytes]) -> tuple[str, int, bool]:
        """Keep an object; its name, its size, and whether it is new. On the disk when this returns, but for `settle`.

        Raises:
            BackupRoomError: no room.
            OSError: the medium failed.
        """
        part = self._root / _INCOMING / secrets.token_hex(8)
        running = hmac.new(self._names_key, digestmod=hashlib.sha256)
        size = 0
        with _told_room():
            descriptor = os.open(part, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, modes.file())
            try:
                with os.fdopen(descriptor, "wb") as target:
                    for piece in pieces:
                        running.update(piece)
                        size += target.write(piece)
                    target.flush()
                    os.fsync(target.fileno())
                name = running.hexdigest()
                if self.has(name, size):
                    return name, size, False
                path = self._object(name)
                path.parent.mkdir(mode=modes.folder(), exist_ok=True)
                part.rename(path)
                self._touched.add(path.parent)
            finally:
                with suppress(OSError):
                    part.unlink(missing_ok=True)
        return name, size, True

    def settle(self) -> None:
        """Push the names of what was put to the disk."""
        with _told_room():
            for path in sorted(self._touched):
                durable.sync(path)
            durable.sync(self._root / _OBJECTS)
        self._touched.clear()

    def read(self, name: str, most: int) -> Iterator[bytes]:
        """The bytes of an object, `most` at most; only a normal end says that they are the ones that were put.

        Raises:
            BackupDamagedError: missing, altered or cut off.
        """
        running = hmac.new(self._names_key, digestmod=hashlib.sha256)
        try:
            with _plain(self._object(name)) as source:
                while piece := source.read(_PIECE):
                    most -= len(piece)
                    if most < 0:
                        raise BackupDamagedError(f"object {name[:16]} is too long", count=1)
                    running.update(piece)
                    yield piece
        except FileNotFoundError as error:
            raise BackupDamagedError(f"object {name[:16]} is missing", count=1) from error
        except OSError as error:
            raise BackupDamagedError(f"object {name[:16]}: {error.strerror}", count=1) from error
        if running.hexdigest() != name:
            raise BackupDamagedError(f"object {name[:16]} is altered", count=1)

    def check(self, name: str, most: int) -> int:
        """Read an object from the medium itself, where the system lets us; its size. Raises BackupDamagedError."""
        with suppress(OSError), _plain(self._object(name)) as source:
            os.posix_fadvise(source.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        return sum(len(piece) for piece in self.read(name, most))

    def drop(self, name: str) -> None:
        """Remove an object that is of no use, so that the next backup writes it anew; harmless where that can't be."""
        with suppress(OSError):
            self._object(name).unlink(missing_ok=True)

    # -- snapshots

    def ids(self) -> list[str]:
        """The snapshots by name, the newest first."""
        with _told(self.folder):
            place = self._root / _SNAPSHOTS
            names = [path.name for path in place.iterdir()] if place.is_dir() else []
        return sorted((name for name in names if manifest.ID.fullmatch(name)), key=_number, reverse=True)

    def snapshot(self, name: str) -> Snapshot:
        """One of `ids`.

        Raises:
            NoBackupError: no such snapshot.
            BackupDamagedError, NewerStoreError: it can't be believed, or understood.
        """
        if not manifest.ID.fullmatch(name):
            raise NoBackupError("not a snapshot's name")
        try:
            with _plain(self._root / _SNAPSHOTS / name) as source:
                content = source.read(manifest.LONGEST + 1)
        except FileNotFoundError as error:
            raise NoBackupError(name) from error
        except OSError as error:
            raise BackupDamagedError(f"snapshot {name}: {error.strerror}", count=1) from error
        found = manifest.opened(self._manifest_key, content, name)
        if found.vault != self.box:
            raise BackupDamagedError(f"snapshot {name} is another box's", count=1)
        return found

    def readable(self) -> Iterator[Snapshot]:
        """Every snapshot that can be believed, the newest first."""
        for name in self.ids():
            try:
                yield self.snapshot(name)
            except HakoError as error:
                log.warning("snapshot_unreadable", snapshot=name, code=error.code)

    def newest(self) -> Snapshot:
        """The newest snapshot. Raises NoBackupError; BackupDamagedError if just that one can't be believed."""
        names = self.ids()
        if not names:
            raise NoBackupError(str(self.folder))
        return self.snapshot(names[0])

    def keep_vault(self, content: bytes) -> None:
        """Have the wrapped master key as it is now beside the snapshots."""
        path = self._root / VAULT
        with _told_room():
            if not path.exists() or path.read_bytes() != content:
                durable.replace(path, content)

    def add(self, snapshot: Snapshot) -> None:
        """The last step: from here on the snapshot is there. Read back before this returns.

        Raises:
            BackupRoomError: no room.
            BackupDamagedError: the medium doesn't give back what it was given.
        """
        self.settle()
        with _told_room():
            durable.replace(self._root / _SNAPSHOTS / snapshot.id, manifest.sealed(self._manifest_key, snapshot))
        if self.snapshot(snapshot.id) != snapshot:
            raise BackupDamagedError(f"snapshot {snapshot.id} reads otherwise", count=1)

    # -- removing

    def prune(self, keep: int) -> int:
        """Remove all but the newest `keep` snapshots (0 for none), then what no snapshot needs; how many went."""
        beyond = self.ids()[keep:] if keep else []
        for name in reversed(beyond):
            (self._root / _SNAPSHOTS / name).unlink()
        if beyond:
            durable.sync(self._root / _SNAPSHOTS)
        self.sweep()
        return len(beyond)

    def sweep(self) -> int:
        """Remove the objects that no snapshot needs; none at all while a snapshot can't be read. How many went."""
        needed: set[str] = set()
        for name in self.ids():
            try:
                needed.update(self.snapshot(name).objects())
            except HakoError as error:
                log.warning("backup_not_swept", snapshot=name, code=error.code)
                return 0
        removed = 0
        for path in (self._root / _OBJECTS).glob("??/*"):
            if path.name not in needed:
                path.unlink(missing_ok=True)
                removed += 1
        return removed

    def sweep_incoming(self) -> None:
        """Remove what a crash has left half written."""
        for place in (_INCOMING, _SNAPSHOTS):
            for path in (self._root / place).iterdir():
                if place == _INCOMING or path.suffix == ".new":
                    path.unlink(missing_ok=True)

    def _demand_no_links(self) -> None:
        """A link on a stick could have us write, or remove, somewhere else."""
        objects = self._root / _OBJECTS
        for path in (self._root.parent, self._root, objects, *objects.iterdir(), self._root / _SNAPSHOTS,
                     self._root / _INCOMING):  # fmt: skip
            if path.is_symlink():
                raise BackupFolderError(f"{path} is a link", name=path.name)

    def _object(self, name: str) -> Path:
        if len(name) != 64 or not set(name) <= _HEX:
            raise BackupDamagedError("not an object's name", count=1)
        return self._root / _OBJECTS / name[:2] / name


def write_out(pieces: Iterable[bytes], target: BinaryIO) -> None:
    """Write to a new file, and push it to the disk."""
    target.writelines(pieces)
    target.flush()
    os.fsync(target.fileno())


def _plain(path: Path) -> BinaryIO:
    """Open a file to read, and nothing else: no link, no pipe that would let us wait for ever. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(EINVAL, "not a file")
    return os.fdopen(descriptor, "rb", buffering=0)


def _number(name: str) -> tuple[int, str]:
    return int(name.split("-", maxsplit=1)[0]), name


def _is_box(path: Path) -> bool:
    return len(path.name) == 32 and set(path.name) <= _HEX and (path / VAULT).is_file()


@contextmanager
def _told_room() -> Iterator[None]:
    try:
        yield
    except DiskFullError as error:
        raise BackupRoomError(error.detail) from error
    except OSError as error:
        if error.errno in (ENOSPC, EDQUOT, EFBIG):
            raise BackupRoomError(str(error)) from error
        raise


@contextmanager
def _told(folder: Path) -> Iterator[None]:
    """What the medium says as an error that a user can be told."""
    try:
        with _told_room():
            yield
    except OSError as error:
        raise BackupFolderError(f"{folder}: {error}", name=folder.name) from error
