"""What is installed: packages and the digests of their files, the release and who signed it, models."""

import base64
import csv
import hashlib
import io
from collections.abc import Iterator, Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Final, Literal

from appliance import __version__
from appliance.bundle.update.state import Release
from appliance.errors import ModelDamagedError
from appliance.health.airgap.facts import Model, Models, Package, Software, State, Why
from appliance.inference.catalog import Catalog
from appliance.inference.manifest import Manifest
from appliance.inference.verify import verify_files
from appliance.storage.audit import Entry

_MOST_CHANGED: Final = 50
_LONGEST_RECORD: Final = 16 << 20
_REWRITTEN: Final = frozenset({"INSTALLER", "REQUESTED", "RECORD", "direct_url.json"})
"""What an installer writes itself, after the list."""


def software(running: Release, where: Sequence[str] | None = None, *, check: bool = True) -> Software:
    """Every package, and each file whose content isn't what its package's list says. `where`: instead of sys.path.

    `check`: read every file anew and compare.
    """
    found = metadata.distributions() if where is None else metadata.distributions(path=list(where))
    packages: dict[str, Package] = {}
    changed: list[str] = []
    unread = False
    for distribution in found:
        record, headers = distribution.read_text("RECORD"), distribution.metadata  # which is parsed each time
        name = (headers["Name"] or "").lower()
        if not name or name in packages:
            continue
        digest = hashlib.sha256((record or "").encode()).hexdigest() if record else ""
        packages[name] = Package(name=name[:100], version=str(headers["Version"])[:100], listed=digest)
        if not record or len(record) > _LONGEST_RECORD:
            unread = True
            continue
        changed += [] if not check else _changed(Path(str(distribution.locate_file(""))), record)
    listed = tuple(packages[name] for name in sorted(packages))
    text = "\n".join(f"{each.name} {each.version} {each.listed}" for each in listed)
    about = (*(("files-changed",) if changed else ()), *(("no-packages",) if not listed else ()))
    state: State = "error" if changed else "unknown" if unread or not listed or not check else "ok"
    why: Why = "" if state != "unknown" else "no-file" if check else "not-asked"
    return Software(
        state=state,
        why=why,
        about=about,
        version=__version__,
        release=running.version or __version__,
        release_digest=running.digest,
        publisher=running.publisher,
        packages=listed,
        changed=tuple(sorted(changed)[:_MOST_CHANGED]),
        digest=hashlib.sha256(text.encode()).hexdigest(),
    )


def _changed(folder: Path, record: str) -> Iterator[str]:
    """Names of files that are missing or differ; what has no digest in the list can't be compared."""
    for row in csv.reader(io.StringIO(record)):
        if len(row) < 2 or not row[1].startswith("sha256=") or Path(row[0]).name in _REWRITTEN:
            continue
        try:
            with (folder / row[0]).open("rb") as file:
                found = hashlib.file_digest(file, "sha256").digest()
        except OSError:
            yield row[0][:200]
            continue
        if base64.urlsafe_b64encode(found).rstrip(b"=").decode("ascii") != row[1].removeprefix("sha256="):
            yield row[0][:200]


def models(folder: Path, imports: Sequence[Entry], *, check: bool) -> Models:
    """Every model with the digests of its files. `imports`: entries of the record about models that came, newest
    first; they say which signed bundle a file came in. `check`: read every file anew and compare.
    """
    catalog = Catalog(folder)
    came: dict[str, Entry] = {}
    for entry in imports:
        came.setdefault(entry.target, entry)
    found = [_model(catalog, manifest, came, check=check) for manifest in catalog.all().values()]
    damaged = any(model.damaged for model in found)
    state: State = "error" if damaged else "ok" if check else "unknown"
    return Models(
        state=state,
        why="not-asked" if state == "unknown" else "",
        about=("model-damaged",) if damaged else (),
        models=tuple(found),
    )


def _model(catalog: Catalog, manifest: Manifest, came: Mapping[str, Entry], *, check: bool) -> Model:
    damaged = False
    if check:
        try:
            verify_files(catalog.folder(manifest.id), manifest)
        except ModelDamagedError:
            damaged = True
    entry = came.get(manifest.id)
    bundle = str(entry.detail.get("bundle", "")) if entry else ""
    is_signed = (
        bool(bundle) and entry is not None and entry.detail.get("sha256") == manifest.files[manifest.entry].sha256
    )
    origin: Literal["signed", "starter", "brought"] = "signed" if is_signed else "brought" if entry else "starter"
    return Model(
        id=manifest.id,
        source=manifest.source[:200],
        files={name: file.sha256 for name, file in sorted(manifest.files.items())},
        origin=origin,
        bundle=bundle if is_signed else "",
        checked=check,
        damaged=damaged,
    )
