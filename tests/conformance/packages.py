"""The source packages of clients, fetched from the registry with their hashes: they bring their own tests."""

import shutil
import subprocess
import tarfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PINS = ROOT / "requirements" / "conformance-suites.txt"
BUILD = ROOT / ".build"
PYTHON = BUILD / "conformance" / "bin" / "python"


def fetch(name: str) -> Path:
    """The unpacked source of a pinned package, anew each time: a suite may write into its folder."""
    folder = BUILD / "conformance-suites"
    packed = folder / "packed"
    archives = sorted(packed.glob(f"{name}-*.tar.gz"))
    if [archive.name for archive in archives] != [f"{name}-{version(name)}.tar.gz"]:
        _download(packed)
        archives = sorted(packed.glob(f"{name}-{version(name)}.tar.gz"))
    unpacked = folder / name
    shutil.rmtree(unpacked, ignore_errors=True)
    with tarfile.open(archives[0]) as archive:
        archive.extractall(unpacked, filter="data")
    (source,) = unpacked.iterdir()
    return source


def version(name: str) -> str:
    """The pinned version."""
    for line in PINS.read_text("utf-8").splitlines():
        package, equal, rest = line.partition("==")
        if package == name and equal:
            return rest.split()[0]
    raise LookupError(f"{name} is not pinned in {PINS.name}")


def _download(packed: Path) -> None:
    """With hashes, and with the locked build tools: pip asks each source package for its metadata."""
    shutil.rmtree(packed, ignore_errors=True)
    options = ["--disable-pip-version-check", "--quiet", "download", "--no-deps", "--no-build-isolation"]
    subprocess.run(
        [PYTHON, "-m", "pip", *options, "--require-hashes", "--requirement", PINS, "--dest", packed],
        check=True,
    )
