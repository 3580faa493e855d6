"""What models have computed of long system prompts, kept in memory that outlives their processes.

One file for each prefix, in a folder for each model as it is loaded (files, engine build, CPU, adapter, kind of cache,
context), in a file system that is memory itself: nothing of it ever gets to a disk, and a restart of the machine clears
it. The engine compares the tokens in a file with those of a request, so a restored state never answers another prompt.
"""

import hashlib
import json
import os
import re
import shutil
import stat
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from appliance import logs
from appliance.config import Settings
from appliance.errors import BadInputError, HakoError
from appliance.inference import golden
from appliance.inference.engine import EngineSpec, Loaded
from appliance.inference.manifest import Manifest
from appliance.inference.transport import ChildConnection

log = logs.get(__name__)

ENDING: Final = ".kv"
_NAME: Final = re.compile(rf"[0-9a-f]{{40}}{re.escape(ENDING)}")
_FREE_SHARE: Final = 2
"""One state takes at most this part of what the file system has left: others write there, too."""
_OWNER: Final = "box"
"""Names the data folder of the box that the states belong to."""
_MOUNTS: Final = Path("/proc/self/mounts")
_IN_MEMORY: Final = frozenset({"tmpfs", "ramfs"})
_MIB: Final = 1 << 20


class KvSlots:
    """The supervisor's side: where children may keep states, which are restored, and how many bytes they may take."""

    def __init__(self, settings: Settings, places: tuple[Path, ...] | None = None) -> None:
        """`places`: folders to try, the first one in memory is used; those of this machine when left out."""
        self._limit = settings.inference.kv_slots_mb * _MIB
        self._root = root(settings, places) if self._limit else None
        if self._root is not None:
            with suppress(OSError):
                (self._root / _OWNER).write_bytes(os.fsencode(settings.data_dir))
            _sweep(self._root)

    def folder(self, manifest: Manifest, spec: EngineSpec) -> str:
        """Where the child of `spec` may keep states, made if need be; empty where it may not."""
        if self._root is None or manifest.kind != "chat" or manifest.engine != "llama":
            return ""
        under = golden.surroundings(manifest, spec, Loaded(spec.provider, spec.context))
        key = hashlib.sha256(f"{under.model_dump_json()} {spec.context}".encode()).hexdigest()[:32]
        try:
            (self._root / key).mkdir(mode=0o700, exist_ok=True)
        except OSError as error:
            log.warning("kv_slots_off", reason=error.strerror)
            return ""
        return str(self._root / key)

    def restore(self, manifest: Manifest, spec: EngineSpec) -> int:
        """Give a child that has just loaded the states that were used last, one for each of its places; how many."""
        restored = 0
        if not spec.slots:
            return restored
        for path in _by_use(Path(spec.slots))[: spec.parallel]:
            try:
                with ChildConnection(Path(spec.socket), spec.api_key, manifest.name) as connection:
                    connection.json(f"/slots/{restored}?action=restore", {"filename": path.name})
                restored += 1
            except HakoError as error:  # e.g. cut off by a crash: computing it again costs no more than without it
                log.warning("kv_slot_unusable", model=manifest.id, code=error.code)
                path.unlink(missing_ok=True)
                if not isinstance(error, BadInputError):
                    break  # the child is gone
        if restored:
            log.info("kv_slots_restored", model=manifest.id, count=restored)
        return restored

    def is_kept(self, spec: EngineSpec, name: str) -> bool:
        """Whether the child's folder has the state `name`; then it counts as used now, and stays."""
        if not spec.slots or not _NAME.fullmatch(name):
            return False
        try:
            os.utime(Path(spec.slots, name))
        except FileNotFoundError:
            return False
        return True

    def keep(self, spec: EngineSpec, prompt: Sequence[int], size: int) -> str:
        """Have the child write what it has computed of these tokens; its file's name, or empty where it may not.

        Call it while the place that has just answered them is held: then nothing but the last token is computed.
        `size`: bytes that the state will take, 0 where nobody knows.

        Raises:
            HakoError: the child refused, or it died.
        """
        if not spec.slots or not self._has_room(Path(spec.slots), size):
            return ""
        name = hashlib.sha256(json.dumps(list(prompt)).encode()).hexdigest()[:40] + ENDING
        if self.is_kept(spec, name):
            return name
        path = Path(spec.slots, name)
        computed = {"prompt": list(prompt), "n_predict": 0, "cache_prompt": True, "stream": False}
        with ChildConnection(Path(spec.socket), spec.api_key, spec.model) as connection:
            place = connection.json("/completion", computed).get("id_slot")
            try:
                saved = connection.json(f"/slots/{place}?action=save", {"filename": name})
            except HakoError:
                path.unlink(missing_ok=True)
                raise
        if saved.get("n_saved") != len(prompt):
            path.unlink(missing_ok=True)  # somebody else's chat came in between: it is not for others
            return ""
        log.info("kv_slot_kept", model=spec.model, tokens=len(prompt), bytes=saved.get("n_written"))
        return name

    def _has_room(self, folder: Path, size: int) -> bool:
        try:
            state = os.statvfs(folder)
        except OSError:
            return False
        return size <= min(self._limit, state.f_bavail * state.f_frsize // _FREE_SHARE)

    def trim(self) -> None:
        """Erase what was used longest ago, down to the limit; called once a second."""
        if self._root is None:
            return
        left = self._limit
        for path in _by_use(*self._root.glob("*/")):
            with suppress(FileNotFoundError):
                left -= path.stat().st_size
                if left < 0:
                    path.unlink()

    def close(self) -> None:
        """The supervisor ends: the states stay for the next one, empty folders go."""
        if self._root is None or any(self._root.glob(f"*/*{ENDING}")):
            return
        shutil.rmtree(self._root, ignore_errors=True)


def _by_use(*folders: Path) -> list[Path]:
    """The states in these folders, the one used last first."""
    found: list[tuple[int, Path]] = []
    for folder in folders:
        for path in folder.glob(f"*{ENDING}"):
            with suppress(FileNotFoundError):
                found.append((path.stat().st_mtime_ns, path))
    return [path for _used, path in sorted(found, reverse=True)]


def _places(settings: Settings) -> tuple[Path, ...]:
    """Under systemd beside the socket: that folder outlives a restart of the unit, while what an account has in
    /dev/shm is erased with the unit (`RemoveIPC`).
    """
    user = os.environ.get("XDG_RUNTIME_DIR", "")
    own = (settings.inference_socket.parent, *((Path(user),) if user.startswith("/") else ()))
    return (*own, Path("/dev/shm"))  # noqa: S108 - checked for its owner


def root(settings: Settings, places: tuple[Path, ...] | None = None) -> Path | None:
    """A private folder of this box in memory, made if need be; None where there is none. `places` as for KvSlots."""
    name = hashlib.sha256(os.fsencode(settings.data_dir)).hexdigest()[:16]
    for place in _places(settings) if places is None else places:
        if not place.is_dir() or _file_system(place.resolve()) not in _IN_MEMORY:
            continue
        folder = place / f"hako-kv-{os.geteuid()}-{name}"
        with suppress(OSError):
            folder.mkdir(mode=0o700, exist_ok=True)
            state = folder.lstat()
            # Everybody may write to some of these places: what somebody else has made there is not ours.
            if stat.S_ISDIR(state.st_mode) and state.st_uid == os.geteuid() and not state.st_mode & 0o077:
                return folder
    log.info("kv_slots_off", reason="no file system in memory")
    return None


def _sweep(own: Path) -> None:
    """Free the memory of boxes that are no longer there."""
    for other in own.parent.glob(f"hako-kv-{os.geteuid()}-*"):
        with suppress(OSError):
            if other != own and not Path(os.fsdecode((other / _OWNER).read_bytes())).exists():
                shutil.rmtree(other, ignore_errors=True)


def _file_system(path: Path) -> str:
    """The type of the one that `path` is on; empty where that isn't known."""
    try:
        lines = _MOUNTS.read_text("utf-8", "replace").splitlines()
    except OSError:
        return ""
    found, longest = "", -1
    for line in lines:
        _device, point, kind, *_ = line.split(" ")
        if path.is_relative_to(point) and len(point) >= longest:
            found, longest = kind, len(point)
    return found
