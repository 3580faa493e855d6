"""Real releases of this repository: its wheel, with another version, and broken where a test says so."""

import base64
import hashlib
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from appliance.config import REPOSITORY

Changes = Mapping[str, tuple[str, str]]
NOBODY_SIGNS_IN: Changes = {
    "webui/pages/sign_in.py": ("services.users.verify(name, password)", "services.users.verify(name, name)")
}
"""Such a release starts and answers, and only a look at it as a person finds that it is broken."""
_SOURCES = ("pyproject.toml", "README.md", "LICENSE", "appliance", "webui", "systemd", "firmware-scripts")


def wheel(folder: Path, version: str, counter: int, changes: Changes | None = None) -> Path:
    """The wheel of a release; `changes`: file to a text in it and what stands there instead."""
    source = folder / f"source-{version}"
    for name in _SOURCES:
        if (REPOSITORY / name).is_dir():
            ignored = shutil.ignore_patterns("__pycache__", "node_modules", "frontend")
            shutil.copytree(REPOSITORY / name, source / name, ignore=ignored)
        else:
            source.mkdir(parents=True, exist_ok=True)
            shutil.copy(REPOSITORY / name, source / name)
    own = {
        "appliance/__init__.py": (
            '__version__ = "0.1.0"\n\nCOUNTER = 1',
            f'__version__ = "{version}"\n\nCOUNTER = {counter}',
        )
    }
    for name, (old, new) in [*own.items(), *(changes or {}).items()]:
        path = source / name
        text = path.read_text("utf-8")
        assert old in text, f"{name} has no {old!r}"
        path.write_text(text.replace(old, new), "utf-8")
    out = folder / f"wheel-{version}"
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(out), str(source)]
    ran = subprocess.run(build, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    (made,) = out.glob("*.whl")
    return made


def migrating(steps: int) -> Changes:
    """So many steps more of the database's shape; older releases can work with what they leave."""
    end = ")  # fmt: skip\n\n\nREADS_FROM"
    more = "".join(f'    "create table later_{number} (id text) strict;",\n' for number in range(steps))
    return {"appliance/storage/migrations.py": (end, more + end)}


def everything_else(folder: Path, there: Sequence[str] = ()) -> Path:
    """The lock of all that a release needs beside its own wheel: one wheel that leads to what is installed there.

    `there`: folders of packages; those of this machine when left out.

    So releases are installed as they are anywhere, by pip, offline, with hashes, but without half a gigabyte.
    """
    name = "hako_packages_of_the_test-1.0"
    path = folder / f"{name}-py3-none-any.whl"
    here = [path for path in sys.path if "-packages" in path]
    inside = {
        "hako_packages_of_the_test.pth": "".join(f"{path}\n" for path in there or here),
        f"{name}.dist-info/METADATA": "Metadata-Version: 2.1\nName: hako-packages-of-the-test\nVersion: 1.0\n",
        f"{name}.dist-info/WHEEL": "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(f"{file},{_hash(text)},{len(text)}\n" for file, text in inside.items())
    folder.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as archive:
        for file, text in inside.items():
            archive.writestr(file, text)
        archive.writestr(f"{name}.dist-info/RECORD", record + f"{name}.dist-info/RECORD,,\n")
    lock = folder / "lock.txt"
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    lock.write_text(f"hako-packages-of-the-test==1.0 --hash=sha256:{digest}\n")
    return lock


def _hash(text: str) -> str:
    return "sha256=" + base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
