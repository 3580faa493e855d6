"""Makes a smaller, quicker model out of one that is there; the original stays as it is.

A jailed child (`engines.ggml`) writes the new file; then it goes the way of every import.
"""

import contextlib
import hashlib
import json
import os
import secrets
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, Final, Literal

from appliance import durable, logs, modes
from appliance.closing import Closing
from appliance.config import REPOSITORY, Settings
from appliance.errors import (
    BadInputError,
    ConflictError,
    DiskFullError,
    HakoError,
    ModelDamagedError,
    ModelTooCoarseError,
    WrongModelKindError,
)
from appliance.inference import golden
from appliance.inference.catalog import INCOMING, Catalog
from appliance.inference.importing import Imported, Importer, Wish, demand_room, locked
from appliance.inference.manifest import Manifest
from appliance.inference.quantisations import TARGETS
from appliance.machine import jail

log = logs.get(__name__)

Stage = Literal["checking", "quantising", "storing"]

_ENGINE: Final = "llama"
_ID_CHARS: Final = 80
_LINE_BYTES: Final = 4096
_CHUNK: Final = 4 << 20


def cpu_seconds(size: int) -> int:
    """How long the child may compute for a file of `size` bytes; slow machines included."""
    return 120 + size // 200_000


class Requantiser:
    """Uses the importer's ways into the store."""

    def __init__(self, settings: Settings, importer: Importer) -> None:
        self._models = settings.models
        self._golden = settings.golden
        self._catalog = Catalog(settings.models)
        self._importer = importer

    def begin(self, model: str, to: str, *, plan: bool = False) -> "Requantising":
        """Open the original and start; nothing of the new model is to be seen before `finish`.

        With `plan` it is only asked what would come of it: any number of people may, at the same time.

        Raises:
            BadInputError: a type that the box can't make.
            ModelNotFoundError, ModelDamagedError: no such model, or not whole.
            WrongModelKindError: not a chat model of the standard engine.
            ModelTooCoarseError: it is as small already: what was rounded off doesn't come back.
            ConflictError: the new model is there, or being made.
            DiskFullError: no room.
        """
        wanted = next((name for name in TARGETS if name.lower() == to.lower()), None)
        if wanted is None:
            raise BadInputError(f"not one of {', '.join(TARGETS)}", field="to")
        manifest = self._catalog.get(model)
        if manifest.kind != "chat" or manifest.engine != _ENGINE:
            raise WrongModelKindError(name=manifest.name)
        suffix = f"-{wanted.lower()}"
        name = manifest.id[: _ID_CHARS - len(suffix)] + suffix
        if self._catalog.folder(name).exists():
            raise ConflictError(name=name)
        models = self._models.resolve()
        work = models / f"{name}.work{INCOMING}"
        if plan:
            if work.exists():
                raise ConflictError(name=name)
            work = models / f"{name}.{secrets.token_hex(4)}.work{INCOMING}"
        return Requantising(self._importer, work, manifest, name, wanted, self._golden / manifest.id)


class Requantising(Closing):
    """One under way: `run` to the end, then `finish`; closing it earlier ends the child and leaves nothing behind."""

    def __init__(self, importer: Importer, work: Path, original: Manifest, name: str, to: str, kept: Path) -> None:
        """`work`: a folder in the store that is not there yet. `kept`: where the original's answers are recorded."""
        self._kept = kept
        self.original = original
        self.name = name
        self._importer = importer
        self._to = to
        self._source = work.parent / original.id / original.entry
        self._imported: Imported | None = None
        self._child: subprocess.Popen[bytes] | None = None
        self._folder = work
        try:
            self._folder.mkdir(mode=modes.folder())
        except FileExistsError:
            raise ConflictError(name=name) from None
        self._lock = locked(self._folder)
        try:
            self._child = self._started()
            self.size = self._sized()
        except BaseException:
            self.close()
            raise

    def run(self) -> Iterator[tuple[Stage, int, int]]:
        """Make the file and bring it in; yields what is going on, how far it is, and how far it goes, in bytes.

        Raises:
            DiskFullError: no room any more.
            ModelDamagedError: the original can't be read to its end.
        """
        yield from self._checked()
        for said in self._lines():
            if "made" in said:
                break
            yield "quantising", _number(said, "done"), self.size
        else:
            raise self._ended()
        self._end_child()
        wish = Wish(
            path=str(self._file),
            licence=self.original.licence,
            source=f"{self.original.id} sha256:{self.original.files[self.original.entry].sha256}",
            languages=self.original.languages,
            name=f"{self.original.name[:180]} ({self._to})",
            link=True,
            projector=str(self._source.with_name(self.original.projector)) if self.original.projector else "",
        )
        with self._file.open("rb") as made:
            os.fsync(made.fileno())
        with self._importer.begin(wish) as incoming:
            for done in incoming.copy():
                yield "storing", done, incoming.plan.size
            self._imported = incoming.finish()
        if self._imported.is_new:
            target = self._folder.parent / self._imported.manifest.id
            golden.inherit(self.original, self._kept, self._source.parent, target)

    def finish(self) -> Imported:
        """The new model, once `run` has come to its end."""
        if self._imported is None:
            raise HakoError("requantising: not done")
        return self._imported

    def close(self) -> None:
        """End the child, and remove what it has written."""
        self._end_child()
        if self._lock is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            os.close(self._lock)
            self._lock = None

    def _checked(self) -> Iterator[tuple[Stage, int, int]]:
        """Compare the original with its digest; the child is at work meanwhile."""
        digest, done, expected = hashlib.sha256(), 0, self.original.files[self.original.entry]
        with self._source.open("rb") as file:
            while chunk := file.read(_CHUNK):
                digest.update(chunk)
                done += len(chunk)
                yield "checking", done, expected.size
        if digest.hexdigest() != expected.sha256:
            raise ModelDamagedError(f"{self._source.name}: digest differs", name=self.original.name)

    @property
    def _file(self) -> Path:
        return self._folder / f"{self.name}.gguf"

    def _started(self) -> subprocess.Popen[bytes]:
        with contextlib.ExitStack() as opened:
            try:
                source = opened.enter_context(self._source.open("rb"))
            except OSError as error:
                raise ModelDamagedError(f"{self._source.name}: {error.strerror}", name=self.original.name) from error
            with durable.told_when_full():
                target = opened.enter_context(self._file.open("xb"))
            self._file.chmod(modes.file())
            return subprocess.Popen(
                [sys.executable, "-m", "appliance.inference.engines.ggml", str(target.fileno()), self._to],
                stdin=source,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                pass_fds=[target.fileno()],
                cwd=REPOSITORY,
                env={**jail.environment(), "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
                start_new_session=True,
            )

    def _sized(self) -> int:
        """What the child says that the new file will take, before it writes any of it. Raises DiskFullError."""
        said = next(self._lines(), None)
        if said is None:
            raise self._ended()
        size = _number(said, "size")
        demand_room(self._folder.parent, size)
        return size

    def _lines(self) -> Iterator[dict[str, Any]]:
        """What the child says, as far as it has the right shape: it has met the file."""
        output = self._output()
        while line := output.readline(_LINE_BYTES):
            try:
                said = json.loads(line)
            except ValueError:
                said = None
            if not isinstance(said, dict) or "damaged" in said:
                reason = said.get("damaged") if isinstance(said, dict) else "nonsense"
                raise ModelDamagedError(f"requantising: {str(reason)[:200]}", name=self.original.name)
            if "full" in said:
                raise DiskFullError("requantising")
            if "refused" in said:
                raise ModelTooCoarseError(
                    str(said["refused"])[:200],
                    name=self.original.name,
                    quantization=self.original.quantization or "?",
                    to=self._to,
                )
            yield said

    def _output(self) -> IO[bytes]:
        if self._child is None or self._child.stdout is None:
            raise HakoError("requantising: no child")
        return self._child.stdout

    def _ended(self) -> HakoError:
        """Why the child has stopped talking."""
        status = self._child.wait() if self._child else None
        if status == jail.NOT_JAILED:
            return HakoError("requantising: no jail")
        return ModelDamagedError(f"requantising ended with {status}", name=self.original.name)

    def _end_child(self) -> None:
        child, self._child = self._child, None
        if child is None:
            return
        with contextlib.suppress(ProcessLookupError):
            child.kill()
        child.wait()
        if child.stdout is not None:
            child.stdout.close()


def _number(said: dict[str, Any], key: str) -> int:
    value = said.get(key)
    return value if isinstance(value, int) and value >= 0 else 0
