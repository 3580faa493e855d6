"""Cuts files into parts, and writes what is published onto a stick, each byte pushed to it before it is told done."""

import hashlib
import json
import os
import shutil
from collections.abc import Collection, Iterator
from pathlib import Path

from appliance import durable
from appliance.bundle.index import PART_BYTES, File, Part, path_on_medium
from appliance.bundle.publish.repository import Repository
from appliance.bundle.reading import CONTENTS
from appliance.bundle.staging import part_path
from appliance.errors import BundleInvalidError

_CHUNK = 4 << 20


def cut(folder: Path, parts: Path, *, programs: bool = True) -> tuple[File, ...]:
    """Every file below `folder` as an index lists it; its parts are written below `parts`, once each.

    `programs`: whether a file that may be run here is marked so; on a stick's file system every file may.

    Raises:
        BundleInvalidError: a link, a device, or nothing at all.
        DiskFullError: no room for the parts.
    """
    files = tuple(_cut_one(path, path.relative_to(folder).as_posix(), parts) for path in _walk(folder))
    if not programs:
        files = tuple(file.model_copy(update={"mode": "file"}) for file in files)
    if not files:
        raise BundleInvalidError("no files")
    return files


def _walk(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.iterdir()):
        if path.is_symlink() or not (path.is_dir() or path.is_file()):
            raise BundleInvalidError(f"not an ordinary file: {path.name[:100]}")
        if path.is_dir():
            yield from _walk(path)
        else:
            yield path


def _cut_one(path: Path, name: str, parts: Path) -> File:
    whole, cut_off, size = hashlib.sha256(), [], 0
    with path.open("rb") as source, durable.told_when_full():
        while piece := source.read(PART_BYTES):
            whole.update(piece)
            size += len(piece)
            part = Part(sha256=hashlib.sha256(piece).hexdigest(), size=len(piece))
            _keep(parts.parent / part_path(part), piece)
            cut_off.append(part)
        mode = os.fstat(source.fileno()).st_mode
    return File(
        path=name,
        mode="program" if mode & 0o100 else "file",
        size=size,
        sha256=whole.hexdigest(),
        parts=tuple(cut_off),
    )


def _keep(place: Path, content: bytes) -> None:
    if not place.exists() or place.stat().st_size != len(content):
        place.parent.mkdir(parents=True, exist_ok=True)
        durable.replace(place, content)


def write(repository: Repository, stick: Path, only: Collection[str] = (), without: Collection[str] = ()) -> int:
    """Write what is published to a stick, whole and signed; returns how many bytes of parts it took.

    `only`: digests of the indexes that it should carry, all if empty. `without`: digests of parts that the box has.

    Raises:
        BundleSignatureError: signatures are missing.
        BundleInvalidError: a part is missing here.
        DiskFullError: the stick is too small.
    """
    repository.demand_signed()
    chosen = [(digest, index) for digest, index in repository.indexes() if not only or digest in only]
    if len(chosen) < len(only) or not chosen:
        raise BundleInvalidError("no such bundle")
    written, left_out = 0, set(without)
    with durable.told_when_full():
        stick.mkdir(parents=True, exist_ok=True)
        for index in (index for _, index in chosen):
            for part in index.parts:
                if part.sha256 not in left_out:
                    _copy(repository.folder / part_path(part), stick / part_path(part))
                    left_out.add(part.sha256)
                    written += part.size
        for digest, index in chosen:
            where = path_on_medium(index.target, digest)
            _copy(repository.folder / where, stick / where)
        # What says that the rest is there comes last.
        for path in sorted(repository.metadata.iterdir()):
            _copy(path, stick / "metadata" / path.name)
        targets = [index.target for _, index in chosen]
        durable.replace(stick / CONTENTS, json.dumps({"format": 1, "targets": targets}, indent=1).encode())
    return written


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        with source.open("rb") as read, target.open("wb") as put:
            shutil.copyfileobj(read, put, _CHUNK)
            put.flush()
            os.fsync(put.fileno())
    except FileNotFoundError as error:
        raise BundleInvalidError(f"missing: {source.name[:100]}") from error
