"""The base of a server: an environment of the wheels that a release consists of, below /opt/hako, offline and by hash.

`python3 -m appliance.image.base FOLDER` with the box's own wheel as PYTHONPATH makes the first one, on a machine that
has nothing but Python; so this needs the standard library alone. FOLDER is what `hako bundle collect` has made.
"""

import hashlib
import json
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from appliance import durable, modes
from appliance.bundle.update import offline_pip
from appliance.errors import HakoError, ServerStepError, ServerUnfitError, WheelhouseError

BASE: Final = Path("opt/hako/base")
MADE_OF: Final = "made-of.json"
"""In the environment, written last: the manifest that it was made of."""
_MANIFEST: Final = "release.json"


def make(source: Path, root: Path = Path("/")) -> bool:
    """Make it of the release in `source`, or leave it if it is made of that already; whether anything was done.

    The one before goes on until the new one is whole.

    Raises:
        WheelhouseError: no release lies there, or a file of it is damaged.
        ServerUnfitError: it is for another Python or another kind of machine.
        ServerStepError: Python could not make it.
        DiskFullError: no room.
    """
    manifest = _read(source)
    said, base = json.dumps(manifest, sort_keys=True).encode(), root / BASE
    if (base / MADE_OF).is_file() and (base / MADE_OF).read_bytes() == said:
        return False
    for need in _unmet(manifest):
        raise ServerUnfitError(need=need)
    fresh, old = base.with_name("base.new"), base.with_name("base.old")
    with durable.told_when_full():
        for left in (fresh, old):
            shutil.rmtree(left, ignore_errors=True)
        base.parent.mkdir(parents=True, exist_ok=True)
        _fill(fresh, source, manifest)
        durable.replace(fresh / MADE_OF, said)
        if base.exists():
            base.rename(old)
        fresh.rename(base)
        durable.sync(base.parent)
        shutil.rmtree(old, ignore_errors=True)
    return True


def _fill(fresh: Path, source: Path, manifest: dict[str, Any]) -> None:
    # The system's own Python: an environment of an environment would end with the one it came from.
    _run("python", [_python(), "-I", "-m", "venv", str(fresh)])
    wanted = fresh / "wheels.txt"
    wheels = ((wheel["name"], wheel["file"], wheel["sha256"]) for wheel in manifest["wheels"])
    wanted.write_text(offline_pip.requirements(wheels, source / "wheels"), "ascii")
    python = fresh / "bin" / "python"
    _run("pip", offline_pip.words(python, wanted))
    _run("import", [str(python), "-I", "-c", "import appliance.cli.serve, appliance.processes.web"])


def _read(source: Path) -> dict[str, Any]:
    try:
        manifest = json.loads((source / _MANIFEST).read_bytes())
        for wheel in manifest["wheels"]:
            name = str(wheel["file"])
            if Path(name).name != name:
                raise WheelhouseError(name=name[:80])
            with (source / "wheels" / name).open("rb") as file:
                if hashlib.file_digest(file, "sha256").hexdigest() != wheel["sha256"]:
                    raise WheelhouseError(name=name)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise WheelhouseError(str(error), name=_MANIFEST) from error
    return dict(manifest)


def _unmet(manifest: dict[str, Any]) -> list[str]:
    running = f"{sys.version_info.major}.{sys.version_info.minor}"
    needs = [f"Python {manifest['python']}"] if manifest["python"] != running else []
    return needs + ([str(manifest["machine"])] if manifest["machine"] != platform.machine() else [])


def _python() -> str:
    """That of the system, also when we run in an environment."""
    return str(getattr(sys, "_base_executable", sys.executable))


def _run(step: str, words: Sequence[str]) -> None:
    environment = {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C.UTF-8", "PIP_CONFIG_FILE": os.devnull}
    done = subprocess.run(words, capture_output=True, text=True, errors="replace", env=environment, check=False)
    if done.returncode:
        raise ServerStepError((done.stderr + done.stdout)[-1000:], step=step)


def main(arguments: Sequence[str]) -> int:
    """`FOLDER`: make the base of this machine, for `hako install` to go on."""
    modes.open_to_all()
    os.umask(modes.umask())
    try:
        make(Path(arguments[0]).absolute())
    except HakoError as error:
        sys.stderr.write(f"{error.code} {error.params} {error.detail}\n")
        return 1
    sys.stdout.write(f"/{BASE}/bin/python -I -m appliance install\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
