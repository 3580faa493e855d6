"""`python -m tests.architecture.wheel dist/*.whl`: what must be in the wheel, what must not, and that it imports."""

import json
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

DIST = "webui/static/dist/"
NEEDED = (
    DIST + ".vite/manifest.json",
    "webui/locales/ja.json",
    "webui/locales/en.json",
    "webui/templates/shell.html",
    "webui/templates/unlock.html",
    "webui/help/ja/start.md",
    "webui/help/en/start.md",
    "appliance/units/hako.target",
    "appliance/units/hako-certificate.service",
    "appliance/units/hako",
)
FOREIGN = ("frontend", "node_modules", "tests", "__pycache__", "offline-bundle", "requirements")
WEIGHTS = {".gguf", ".ggml", ".onnx", ".safetensors", ".model", ".bin", ".pt", ".pth", ".ckpt", ".npz"}
LARGEST_BYTES = 4 << 20

IMPORT_ALL = """
import importlib, pkgutil, sys
sys.path.insert(0, sys.argv[1])
import appliance, webui
for package in (appliance, webui):
    assert package.__file__.startswith(sys.argv[1]), package.__file__
    for found in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
        if not found.name.endswith("__main__"):
            importlib.import_module(found.name)
from webui import locales
assert locales.catalogue("ja") and locales.catalogue("en")
"""


def complaints(wheel: Path) -> Iterator[str]:
    """What is wrong with a wheel, one sentence each."""
    try:
        with zipfile.ZipFile(wheel) as archive:
            sizes = {entry.filename: entry.file_size for entry in archive.infolist() if not entry.is_dir()}
            manifest = archive.read(NEEDED[0]) if NEEDED[0] in sizes else b"{}"
    except (OSError, zipfile.BadZipFile) as error:
        yield f"can't be opened: {error}."
        return
    yield from missing(set(sizes), json.loads(manifest))
    for name, size in sizes.items():
        path = PurePosixPath(name)
        if set(path.parts) & set(FOREIGN):
            yield f"{name} must not be in it."
        if path.suffix in WEIGHTS:
            yield f"{name} looks like model weights."
        if size > LARGEST_BYTES:
            yield f"{name} has {size} bytes, far more than any file of ours."


def missing(names: set[str], manifest: dict[str, dict[str, object]]) -> Iterator[str]:
    """What ought to be there: fixed names, the files that the front end's manifest speaks of, the licence."""
    for name in NEEDED:
        if name not in names:
            yield f"{name} is missing."
    for chunk in manifest.values():
        parts = [chunk.get("file"), *as_list(chunk.get("css")), *as_list(chunk.get("assets"))]
        for part in parts:
            if part and f"{DIST}{part}" not in names:
                yield f"{DIST}{part} is missing, although the manifest names it."
    if not any(name.endswith(".dist-info/licenses/LICENSE") for name in names):
        yield "the licence is missing."


def as_list(value: object) -> list[object]:
    return value if isinstance(value, list) else []


def import_trouble(wheel: Path) -> str | None:
    """Unpack the wheel and import every module of it, not of this checkout; the last line of the trouble, if any."""
    with tempfile.TemporaryDirectory() as folder:
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(folder)
        command = [sys.executable, "-c", IMPORT_ALL, folder]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    return None if done.returncode == 0 else (done.stderr.strip().splitlines() or ["no reason given"])[-1]


def main(arguments: list[str]) -> int:
    """Check each wheel; 0 when all are right."""
    wheels = [Path(argument) for argument in arguments]
    if not wheels:
        print("Name the wheel: python -m tests.architecture.wheel dist/*.whl")
        return 2
    bad = False
    for wheel in wheels:
        found = list(complaints(wheel))
        if not found and (trouble := import_trouble(wheel)):
            found = [f"it doesn't import: {trouble}"]
        for complaint in found:
            print(f"✗ {wheel.name}: {complaint}")
        if not found:
            print(f"✓ {wheel.name}: complete, without foreign files, imports.")
        bad = bad or bool(found)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
