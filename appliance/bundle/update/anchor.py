"""The publisher that root trusts: by root's own file, by the first one over the socket, or changed by root's hand."""

import contextlib
import hashlib
import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Final

from appliance import durable, logs
from appliance.bundle.trust.anchors import LONGEST, Described, describe
from appliance.errors import NoPublisherError, PrivateFileError, RootAbsentError
from appliance.machine import folders
from appliance.machine.folders import Visit

log = logs.get(__name__)

ANCHOR: Final = Path("/etc/hako/publisher-root.json")
"""The publisher's root metadata, put there with the machine or by root's own hand; goes before what web has said."""
MEMORY: Final = Path("/var/lib/hako-helper")
_SAID: Final = "publisher-root.json"
"""In the memory: the first publisher that an operator has trusted on the pages, or the one that came after it here."""
_LOCK: Final = "publisher.lock"
_ENDING: Final = "root.json"
"""Of files on sticks that may be a root: TUF's own `1.root.json`, and what people call it."""
_READABLE: Final = 0o644


class RootsAnchor:
    """Safe to share between processes. `anchor` must be root's own file; `memory` a folder that nobody else enters."""

    def __init__(self, anchor: Path, memory: Path) -> None:
        self._anchor, self._said, self._memory = anchor, memory / _SAID, memory

    def trusted(self) -> bytes:
        """The root that counts: the file that root has put there, else the one in the memory.

        Raises:
            NoPublisherError: none yet. PrivateFileError: others could have written it.
        """
        for place in (self._anchor, self._said):
            try:
                opened = os.open(place, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
            except FileNotFoundError:
                continue
            except OSError as error:
                raise PrivateFileError(str(error), name=place.name) from error
            with os.fdopen(opened, "rb") as file:
                found = os.fstat(file.fileno())
                if found.st_uid != os.geteuid() or found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
                    raise PrivateFileError(f"mode {found.st_mode & 0o777:o}", name=place.name)
                return file.read(LONGEST + 1)
        raise NoPublisherError

    def first(self, root: bytes) -> str:
        """Trust this publisher if none is trusted yet; the fingerprint of the one that is. Raises as `describe`."""
        described = describe(root)
        with self._alone():
            try:
                return fingerprint_of(self.trusted())
            except NoPublisherError:
                durable.replace(self._said, root)
        log.info("publisher_trusted", fingerprint=described.fingerprint)
        return described.fingerprint

    def replace(self, root: bytes) -> None:
        """Trust this publisher from now on, whoever was trusted before. For root's hand alone: no socket leads here.

        Raises:
            BundleInvalidError, BundleSignatureError: no root that its own keys have signed; nothing was changed.
            PrivateFileError: the file of before lies where nothing can be written. DiskFullError: no room.
        """
        describe(root)
        with self._alone():
            by_hand = os.path.lexists(self._anchor)
            place = self._anchor if by_hand else self._said
            try:
                durable.replace(place, root, mode=_READABLE if by_hand else None)
            except OSError as error:
                raise PrivateFileError(str(error), name=place.name) from error

    def _alone(self) -> AbstractContextManager[None]:
        """Else the first one over the socket, looked for before root's hand and written after it, would stay."""
        return durable.alone(self._memory / _LOCK, mode=0o400)


def fingerprint_of(root: bytes) -> str:
    """As people compare it: the SHA-256 of the file."""
    return hashlib.sha256(root).hexdigest()


def on_stick(media: Sequence[Path], fingerprint: str) -> tuple[bytes, Described]:
    """The root with this fingerprint, on any stick below these folders. No link is followed, nothing read without end.

    Raises:
        RootAbsentError: no such file. BundleInvalidError, BundleSignatureError: as `describe`.
    """
    with contextlib.closing(folders.walk(media)) as visits:
        for visit in visits:
            for root in _roots(visit):
                if fingerprint_of(root) == fingerprint:
                    return root, describe(root)
    raise RootAbsentError(folders=" ".join(map(str, media)))


def _roots(visit: Visit) -> Iterator[bytes]:
    for entry in visit.entries:
        if not entry.name.endswith(_ENDING):
            continue
        with contextlib.suppress(OSError):
            opened = os.open(
                entry.name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=visit.descriptor
            )
            with os.fdopen(opened, "rb") as file:
                if stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                    yield file.read(LONGEST + 1)
