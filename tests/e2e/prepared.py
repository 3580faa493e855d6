"""A box's folder in which the manual has been read: made once for each state of the code, since that takes a minute."""

import fcntl
import hashlib
import os
import shutil
import tempfile
from pathlib import Path

from tests.simulators.served import ServedBox

ROOT = Path(__file__).resolve().parents[2]
MODELS = ROOT / ".build" / "models"
_KEPT = ROOT / ".build" / "prepared"
_WITHIN_S = 360


def own_models(folder: Path) -> Path:
    """The starter models in a folder of one box's own: what it imports is no other's."""
    return Path(shutil.copytree(MODELS, folder, copy_function=_linked))


def lay(folder: Path) -> None:
    """Make `folder` the data of a box that has read its manual; two test processes never prepare one at a time."""
    _KEPT.mkdir(parents=True, exist_ok=True)
    kept = _KEPT / _state()
    with (_KEPT / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not kept.exists():
            for old in _KEPT.glob("box-*"):
                shutil.rmtree(old)
            _make(kept)
    shutil.copytree(kept, folder)


def _make(kept: Path) -> None:
    with tempfile.TemporaryDirectory(dir=_KEPT) as work:
        data = Path(work) / "v"
        with ServedBox(data, models=own_models(Path(work) / "models"), samples=True) as box:
            with box.client() as client:
                sample = next(base for base in client.get("/bases")["items"] if base["system"])
            box.wait_for_documents(sample["id"], within_s=_WITHIN_S)
            assert box.stop() == 0
        data.rename(kept)


def _state() -> str:
    """Changes with the code, the manual and the models."""
    digest = hashlib.sha256()
    sources = [
        *(ROOT / "appliance").rglob("*.py"),
        *(ROOT / "webui" / "help").rglob("*.md"),
        *MODELS.glob("*/model.json"),
    ]
    for path in sorted(sources):
        digest.update(f"{path.relative_to(ROOT)}\0".encode() + hashlib.sha256(path.read_bytes()).digest())
    return f"box-{digest.hexdigest()[:16]}"


def _linked(source: str, target: str) -> None:
    """The same bytes without copying, where both folders are on one disk."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)
