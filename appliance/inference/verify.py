"""Check a model's files against its manifest before they meet an engine; remembers what it has checked."""

import hashlib
import json
import os
import threading
from collections.abc import Callable
from pathlib import Path

from appliance import logs
from appliance.errors import ModelDamagedError
from appliance.inference.manifest import Manifest

log = logs.get(__name__)

Digest = Callable[[Path, os.stat_result], str]
Checked = Callable[[int], None]
"""Told how many more bytes were read; may raise to end it."""

_PIECE = 1 << 23


def verify_files(folder: Path, manifest: Manifest) -> None:
    """Compare size and sha256 of every file now, whatever was found before.

    Raises:
        ModelDamagedError: a file is missing, truncated, too long or altered.
    """
    _compare(folder, manifest, _digest)


class Verifier:
    """Digests are computed once per state of a file (size, time, inode), also across restarts."""

    def __init__(self, memory: Path) -> None:
        """`memory` is a small JSON file that may vanish at any time; it only saves work."""
        self._memory = memory
        self._lock = threading.Lock()
        self._known: dict[str, str] = self._load()

    def check(self, manifest: Manifest, folder: Path, checked: Checked = lambda _size: None) -> None:
        """Compare size and sha256 of every file. `checked` is told of what has to be read for it.

        Raises:
            ModelDamagedError: a file is missing, truncated, too long or altered.
        """
        _compare(folder, manifest, lambda path, state: self._digest(path, state, checked))

    def _digest(self, path: Path, state: os.stat_result, checked: Checked) -> str:
        key = f"{path}|{state.st_size}|{state.st_mtime_ns}|{state.st_ctime_ns}|{state.st_ino}"
        with self._lock:
            known = self._known.get(key)
        if known:
            return known
        digest = _digest(path, state, checked)
        with self._lock:
            earlier = [other for other in self._known if other.startswith(f"{path}|")]
            for other in earlier:
                del self._known[other]
            self._known[key] = digest
            self._save()
        return digest

    def _load(self) -> dict[str, str]:
        try:
            loaded = json.loads(self._memory.read_text("utf-8"))
        except (OSError, ValueError):
            return {}
        return {str(key): str(value) for key, value in loaded.items()} if isinstance(loaded, dict) else {}

    def _save(self) -> None:
        fresh = self._memory.with_suffix(".new")
        try:
            fresh.write_text(json.dumps(self._known), "utf-8")
            fresh.chmod(0o600)
            fresh.replace(self._memory)
        except OSError as error:
            log.warning("verified_models_not_remembered", reason=error.strerror)


def _compare(folder: Path, manifest: Manifest, digest: Digest) -> None:
    for name, expected in manifest.files.items():
        path = folder / name
        try:
            state = path.stat()
            if state.st_size != expected.size:
                raise ModelDamagedError(f"{path}: {state.st_size} bytes, not {expected.size}", name=manifest.name)
            found = digest(path, state)
        except OSError as error:
            raise ModelDamagedError(f"{path}: {error.strerror}", name=manifest.name) from error
        if found != expected.sha256:
            raise ModelDamagedError(f"{path}: digest differs", name=manifest.name)


def _digest(path: Path, _state: os.stat_result, checked: Checked = lambda _size: None) -> str:
    digest = hashlib.sha256()
    with path.open("rb", buffering=0) as file:
        while piece := file.read(_PIECE):
            digest.update(piece)
            checked(len(piece))
    return digest.hexdigest()
