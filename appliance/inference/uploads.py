"""Model files on their way in from a browser: piece after piece, and going on where a broken connection left off."""

import contextlib
import json
import os
import re
import secrets
import shutil
import threading
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from appliance import clock, durable, logs, modes
from appliance.errors import BadInputError, ConflictError, DiskFullError, NotFoundError
from appliance.inference.source import Source, opened

log = logs.get(__name__)

UPLOADS: Final = ".uploads"
"""The folder among the models; no model's name begins like that."""
PIECE_BYTES: Final = 16 << 20
"""What one request may bring."""
LARGEST_BYTES: Final = 1 << 40
_ROOM_BYTES: Final = 256 << 20
"""What stays free on the disk: the database and the log need to go on."""
_MOST: Final = 8
"""Of one person, at once."""
_OLD_SECONDS: Final = 7 * 24 * 3600
_ID: Final = re.compile(r"[0-9a-f]{32}")
_FACTS: Final = "upload.json"
_FILE: Final = "file.gguf"


@dataclass(frozen=True)
class Upload:
    """One file on its way; sizes in bytes, `began` in seconds since the epoch."""

    id: str
    owner: str
    name: str
    """What its sender calls it; shown, and never a path."""
    size: int
    began: float
    modified: int = 0
    """When its sender last changed it, in ms since the epoch: tells a file from another of its name and size."""
    received: int = 0

    @property
    def is_whole(self) -> bool:
        return self.received == self.size


class ModelUploads:
    """A folder beside the models, `.uploads/<id>`; what came is on the disk before the answer says so."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._writing: set[str] = set()
        self._lock = threading.Lock()

    def begin(self, owner: str, name: str, size: int, modified: int = 0) -> Upload:
        """Make room for a file of that size; what nobody went on with for a week is given up for it.

        Raises:
            BadInputError: no possible size.
            DiskFullError: it would not fit beside what the box needs.
            ConflictError: this person has too many unfinished ones.
        """
        if not 0 < size <= LARGEST_BYTES:
            raise BadInputError("size", field="size")
        with self._lock:
            self.sweep()
            waiting = self.all()
            if sum(upload.owner == owner for upload in waiting) >= _MOST:
                raise ConflictError("too many uploads", name=name)
            self._folder.mkdir(mode=modes.folder(), parents=True, exist_ok=True)
            promised = sum(upload.size - upload.received for upload in waiting)
            if shutil.disk_usage(self._folder).free < size + promised + _ROOM_BYTES:
                raise DiskFullError(f"{size} bytes beside {promised} promised")
            upload = Upload(secrets.token_hex(16), owner, name, size, clock.now(), modified)
            place = self._folder / upload.id
            with durable.told_when_full():
                place.mkdir(mode=modes.folder())
                (place / _FILE).touch(mode=modes.file())
                durable.replace(place / _FACTS, json.dumps(asdict(upload)).encode())
        return upload

    def all(self) -> list[Upload]:
        """Every unfinished upload, oldest first."""
        found: list[Upload] = []
        if self._folder.is_dir():
            for place in self._folder.iterdir():
                with contextlib.suppress(NotFoundError):
                    found.append(self._read(place.name))
        return sorted(found, key=lambda upload: upload.began)

    def get(self, owner: str, upload_id: str) -> Upload:
        """Raises NotFoundError, also for another's."""
        upload = self._read(upload_id)
        if upload.owner != owner:
            raise NotFoundError("upload")
        return upload

    def append(self, owner: str, upload_id: str, at: int, pieces: Iterable[bytes]) -> Upload:
        """Add what follows byte `at`; what came before an interruption stays.

        Raises:
            NotFoundError: no such upload of this person.
            ConflictError: `at` is not where it ended, or somebody else is adding to it.
            BadInputError: more than the size that was named.
            DiskFullError: no room; what came is kept.
        """
        upload = self.get(owner, upload_id)
        with self._alone(upload):
            if at != self._received(upload.id):
                raise ConflictError("another place", name=upload.name)
            left = upload.size - at
            with durable.told_when_full(), self.file(upload).open("ab") as file:
                try:
                    for piece in pieces:
                        left -= len(piece)
                        if left < 0:
                            raise BadInputError("more than its size", field="size")
                        file.write(piece)
                finally:
                    file.flush()
                    os.fsync(file.fileno())
        return self.get(owner, upload_id)

    def drop(self, owner: str, upload_id: str) -> None:
        """Forget it and erase what came. Raises NotFoundError."""
        upload = self.get(owner, upload_id)
        with self._alone(upload):
            shutil.rmtree(self._folder / upload.id, ignore_errors=True)

    def opened(self, upload: Upload) -> Source:
        """A whole one, to be imported under the name that its sender gave it.

        Raises:
            ConflictError: some of it has not come yet.
            ModelPathError: it was dropped just now.
        """
        if not upload.is_whole:
            raise ConflictError("not whole yet", name=upload.name)
        return opened(str(self.file(upload)), upload.name)

    def file(self, upload: Upload) -> Path:
        """Where its bytes are."""
        return self._folder / upload.id / _FILE

    def sweep(self) -> None:
        """Erase what nobody went on with for a week, and what a crash left without its facts."""
        if not self._folder.is_dir():
            return
        kept = {upload.id for upload in self.all() if clock.now() - self._touched(upload) < _OLD_SECONDS}
        for place in self._folder.iterdir():
            if place.name not in kept:
                log.info("upload_removed", upload=place.name[:32])
                shutil.rmtree(place, ignore_errors=True)

    def _touched(self, upload: Upload) -> float:
        return max(upload.began, self.file(upload).stat().st_mtime)

    def _received(self, upload_id: str) -> int:
        return (self._folder / upload_id / _FILE).stat().st_size

    def _read(self, upload_id: str) -> Upload:
        if not _ID.fullmatch(upload_id):
            raise NotFoundError("upload")
        try:
            facts = json.loads((self._folder / upload_id / _FACTS).read_bytes())
            return Upload(**{**facts, "received": self._received(upload_id)})
        except (OSError, ValueError, TypeError) as error:
            raise NotFoundError("upload") from error

    @contextlib.contextmanager
    def _alone(self, upload: Upload) -> Iterator[None]:
        with self._lock:
            if upload.id in self._writing:
                raise ConflictError("another connection adds to it", name=upload.name)
            self._writing.add(upload.id)
        try:
            yield
        finally:
            with self._lock:
                self._writing.discard(upload.id)
