"""Installs a release from its checked wheels into a folder of its own: offline, by pip, in an environment of its own.

No code of ours unpacks anything; the folder counts only once its manifest is in it, which comes last.
"""

import ctypes
import dataclasses
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from appliance import durable, logs, modes
from appliance.bundle.update import offline_pip
from appliance.bundle.update.release import WHEELS, Manifest
from appliance.bundle.update.state import MANIFEST, NO_RELEASE, Places, Release
from appliance.errors import ReleaseFailedError

log = logs.get(__name__)

_WITHIN_S: Final = 1800.0
_LOOK_S: Final = 0.3
_ORPHANS_S: Final = 60.0
"""How long what an installer started goes on writing, at most, if somebody has killed the installer."""
_NO_NETWORK: Final = (("unshare", "--net"), ("unshare", "--map-root-user", "--net"))
_SELF_CHECK: Final = """
import importlib, json, pkgutil
import appliance, appliance.cli
commands = ["cli." + module.name for module in pkgutil.iter_modules(appliance.cli.__path__)]
for name in (*commands, "processes.keys", "processes.inference", "processes.worker", "processes.web"):
    importlib.import_module("appliance." + name)
from appliance.storage import migrations
print(json.dumps([appliance.__version__, appliance.COUNTER, len(migrations.STEPS)]))
"""


def install(
    places: Places,
    release: Release,
    manifest: Manifest,
    files: Path,
    tell: Callable[[], None] = lambda: None,
) -> None:
    """Install it, or leave it if it is there already. `files` holds the bundle's; `tell` may raise to stop it.

    Raises:
        ReleaseFailedError: it can't be installed, or is not what it says; nothing is left of it.
        DiskFullError: no room.
    """
    if places.is_whole(release.name):
        return
    folder = places.folder(release.name)
    with durable.told_when_full():
        _remove(folder)
        folder.mkdir(mode=modes.folder(), parents=True)
        try:
            _fill(folder, manifest, files, tell)
            _check(places.python(release.name), release, tell)
            _push(folder)
        except BaseException:
            _remove(folder)
            raise
        said = json.dumps(dataclasses.asdict(release), indent=1)
        durable.replace(folder / MANIFEST, said.encode())
        durable.sync(places.root)


def remove_others(places: Places, keep: Sequence[str]) -> None:
    """Remove what no link and no state names any more."""
    kept = {*keep, places.pointed("current"), places.pointed("previous")}
    for folder in places.root.iterdir():
        is_one = not folder.is_symlink() and folder.name not in NO_RELEASE and (folder / "venv").is_dir()
        if is_one and folder.name not in kept:
            _remove(folder)


def _fill(folder: Path, manifest: Manifest, files: Path, tell: Callable[[], None]) -> None:
    venv = folder / "venv"
    _run("venv", [sys.executable, "-I", "-m", "venv", str(venv)], folder, tell)
    wheels = ((wheel.name, wheel.file, wheel.sha256) for wheel in manifest.wheels)
    wanted = folder / "wheels.txt"
    wanted.write_text(offline_pip.requirements(wheels, files / WHEELS), "ascii")
    _run("install", [*_without_network(), *offline_pip.words(venv / "bin" / "python", wanted)], folder, tell)


def _check(python: Path, release: Release, tell: Callable[[], None]) -> None:
    """Everything can be imported, and it is what the index says."""
    said = _run("import", [str(python), "-I", "-c", _SELF_CHECK], python.parent, tell)
    try:
        found = json.loads(said)
    except ValueError:
        found = None
    if found != [release.version, release.counter, release.schema]:
        raise ReleaseFailedError(f"says of itself {found}", step="self-check")


def _run(step: str, command: Sequence[str], folder: Path, tell: Callable[[], None]) -> bytes:
    """What it printed. Raises ReleaseFailedError."""
    environment = {
        "PATH": os.environ.get("PATH", os.defpath),
        "HOME": str(folder),
        "LC_ALL": "C.UTF-8",
        "PIP_CONFIG_FILE": os.devnull,
        "PIP_NO_INPUT": "1",
    }
    with tempfile.TemporaryDirectory(prefix="hako-install-") as scratch, tempfile.TemporaryFile() as out:
        environment["TMPDIR"] = scratch
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, env=environment, cwd=scratch
        )
        until = time.monotonic() + _WITHIN_S
        try:
            while process.poll() is None and time.monotonic() < until:
                tell()
                time.sleep(_LOOK_S)
        finally:
            if process.poll() is None:
                process.kill()
            process.wait()
        out.seek(0)
        said = out.read(1 << 16)
    if process.returncode:
        log.warning("release_not_installed", step=step, status=process.returncode)
        raise ReleaseFailedError(said[-500:].decode("utf-8", "replace"), step=step)
    return said


def _without_network() -> Sequence[str]:
    """What to put before a command, where this machine allows it. The options of pip forbid the same."""
    for prefix in _NO_NETWORK:
        try:
            tried = subprocess.run([*prefix, "true"], capture_output=True, check=False, timeout=10)
        except (OSError, subprocess.TimeoutExpired):
            continue
        if tried.returncode == 0:
            return prefix
    return ()


def _push(folder: Path) -> None:
    """All of it to the disk: thousands of files, so the whole file system at once."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        if ctypes.CDLL(None, use_errno=True).syncfs(descriptor):
            raise OSError(ctypes.get_errno(), "syncfs")
    finally:
        os.close(descriptor)


def _remove(folder: Path) -> None:
    # Its manifest first: what is half removed must not look whole.
    (folder / MANIFEST).unlink(missing_ok=True)
    until = time.monotonic() + _ORPHANS_S
    while folder.exists():
        shutil.rmtree(folder, ignore_errors=True)
        if time.monotonic() >= until:
            return
        time.sleep(_LOOK_S)
