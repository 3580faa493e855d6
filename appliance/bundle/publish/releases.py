"""Gathers what a release of the box consists of: its own wheel and every locked one, a manifest, a list of parts."""

import email.parser
import hashlib
import json
import platform
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError

from appliance import durable
from appliance.bundle.update.release import PRODUCT, SBOM, WHEELS, Manifest, Wheel, running_python
from appliance.bundle.update.state import MANIFEST
from appliance.errors import BundleInvalidError

_ASK: Final = """
import json, sys
sys.path.insert(0, sys.argv[1])
import appliance
from appliance.storage import migrations
assert appliance.__file__.startswith(sys.argv[1]), appliance.__file__
print(json.dumps([appliance.__version__, appliance.COUNTER, len(migrations.STEPS), migrations.READS_FROM]))
"""
"""Run with the wheel first on the path: what a release says of itself, not what is installed here."""


def collect(folder: Path, wheel: Path, lock: Path, source: Path | None = None) -> Manifest:
    """Fill an empty `folder` for `hako bundle build`; wheels are made for this Python and this kind of machine.

    `lock` names every other wheel with its hash; they come from the folder `source`, or from the package registry.

    Raises:
        BundleInvalidError: the folder isn't empty, a wheel can't be had or is not what the lock says.
    """
    if folder.exists() and any(folder.iterdir()):
        raise BundleInvalidError("the folder isn't empty")
    wheels = folder / WHEELS
    wheels.mkdir(parents=True)
    with durable.told_when_full():
        _download(lock, wheels, source)
        shutil.copyfile(wheel, wheels / wheel.name)
        version, counter, schema_steps, reads_from = _asked(wheels / wheel.name)
        found = [_wheel(path) for path in sorted(wheels.iterdir())]
        try:
            manifest = Manifest(
                format=1,
                version=version,
                counter=counter,
                python=running_python(),
                machine=platform.machine(),
                schema_steps=schema_steps,
                reads_from=reads_from,
                wheels=tuple(found),
            )
        except ValidationError as error:
            raise BundleInvalidError("a wheel with an impossible name") from error
        (folder / MANIFEST).write_text(manifest.model_dump_json(indent=1) + "\n")
        (folder / SBOM).write_text(json.dumps(_parts(manifest, wheels), indent=1) + "\n")
    return manifest


def _download(lock: Path, into: Path, source: Path | None) -> None:
    where = ["--no-index", "--find-links", str(source)] if source else []
    options = ["--no-deps", "--require-hashes", "--only-binary", ":all:", *where, "-r", str(lock), "-d", str(into)]
    _python(["-m", "pip", "--disable-pip-version-check", "--quiet", "download", *options])


def _asked(wheel: Path) -> tuple[str, int, int, int]:
    try:
        version, counter, steps, reads_from = json.loads(_python(["-I", "-c", _ASK, str(wheel)]))
        return str(version), int(counter), int(steps), int(reads_from)
    except ValueError as error:
        raise BundleInvalidError("the box's own wheel") from error


def _python(arguments: Sequence[str]) -> bytes:
    ran = subprocess.run([sys.executable, *arguments], capture_output=True, check=False)
    if ran.returncode:
        raise BundleInvalidError(ran.stderr.decode("utf-8", "replace")[-500:])
    return ran.stdout


def _wheel(path: Path) -> Wheel:
    pieces = path.stem.split("-")
    try:
        return Wheel(name=_project(pieces[0]), version=pieces[1], file=path.name, sha256=_digest(path))
    except (IndexError, ValidationError) as error:
        raise BundleInvalidError(f"no wheel: {path.name[:100]}") from error


def _parts(manifest: Manifest, wheels: Path) -> dict[str, Any]:
    """CycloneDX: what the release consists of."""
    own = next(wheel for wheel in manifest.wheels if wheel.name == PRODUCT)
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {"component": _component(own, wheels, "application")},
        "components": [_component(wheel, wheels, "library") for wheel in manifest.wheels if wheel != own],
    }


def _component(wheel: Wheel, wheels: Path, kind: str) -> dict[str, Any]:
    said: dict[str, Any] = {
        "type": kind,
        "name": wheel.name,
        "version": wheel.version,
        "purl": f"pkg:pypi/{wheel.name}@{wheel.version}",
        "hashes": [{"alg": "SHA-256", "content": wheel.sha256}],
    }
    licence = _licence(wheels / wheel.file)
    return {**said, "licenses": [licence]} if licence else said


def _licence(path: Path) -> dict[str, Any] | None:
    """As the package says it: an SPDX expression, or a name of its own."""
    try:
        with zipfile.ZipFile(path) as archive:
            name = next(entry for entry in archive.namelist() if re.fullmatch(r"[^/]+\.dist-info/METADATA", entry))
            headers = email.parser.HeaderParser().parsestr(archive.read(name).decode("utf-8", "replace"))
    except (OSError, zipfile.BadZipFile, StopIteration) as error:
        raise BundleInvalidError(f"no wheel: {path.name[:100]}") from error
    if expression := headers.get("License-Expression"):
        return {"expression": str(expression)}
    free = str(headers.get("License") or "").strip().splitlines()
    return {"license": {"name": free[0][:100]}} if free else None


def _project(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
