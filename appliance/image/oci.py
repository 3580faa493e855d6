"""An image for runtimes of containers, as one file: OCI's layout, with the list beside it that `docker load` reads.

No daemon and no tool of theirs is needed: it is JSON, digests and tars.
"""

import hashlib
import io
import json
import platform
import tarfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from appliance import RELEASED, __version__
from appliance.errors import ContainerImageError
from appliance.image import customise, layers, rootfs, tools
from appliance.image.build import Figures
from appliance.image.layers import Layer
from appliance.image.profiles import Container
from appliance.image.rootfs import Inputs

NEEDED: Final = {"mmdebstrap": "mmdebstrap"}
PORT: Final = 4256
NAME: Final = "hako"
_DATA: Final = f"/{customise.DATA}"
_PYTHON: Final = f"/{customise.BASE}/bin/python"
_ARCHITECTURES: Final = {"x86_64": "amd64", "aarch64": "arm64"}
_TYPE: Final = "application/vnd.oci.image"
_SECOND_NS: Final = 1_000_000_000


def build(inputs: Inputs[Container], out: Path, work: Path, debs: Path, tell: Callable[[str], None]) -> Figures:
    """Make `out` (a tar) and `out` with .json (its figures).

    Raises:
        ContainerImageError, ImageStepError: what it takes is missing, or a step has failed.
        ProfileError: the profile can't be used.
    """
    if missing := tools.missing(NEEDED):
        raise ContainerImageError("on Debian: apt-get install " + " ".join(missing), step="tools")
    work.mkdir(parents=True, exist_ok=True)
    figures = Figures()
    with figures.step("root file system", tell):
        root = rootfs.build(inputs, work, debs)
    with figures.step("layers", tell):
        found = layers.split(root, work)
    with figures.step("archive", tell):
        figures.digest = write(found, out)
    with figures.step("digests", tell):
        figures.size = figures.taken = out.stat().st_size
        figures.sha256, figures.root_sha256 = tools.sha256(out), tools.sha256(root)
    figures.packages = len((work / "packages.txt").read_text("utf-8").splitlines())
    for each in (root, *(layer.file for layer in found)):
        each.unlink()
    sizes = {layer.name: layer.size for layer in found}
    tell("layers: " + ", ".join(f"{name} {size / 1e6:.1f} MB" for name, size in sizes.items()))
    said = {**vars(figures), "layers": sizes, "contents": {layer.name: layer.content for layer in found}}
    out.with_suffix(".json").write_text(json.dumps(said, indent=1) + "\n", "utf-8")
    return figures


def write(found: Sequence[Layer], out: Path, machine: str = platform.machine()) -> str:
    """The archive of these layers, lowest first; the manifest's digest, by which a runtime knows the image.

    Raises:
        ContainerImageError: no runtime has a name for this kind of machine.
    """
    config = _json(configuration(found, machine))
    manifest = _json({
        "schemaVersion": 2,
        "mediaType": f"{_TYPE}.manifest.v1+json",
        "config": _described("config.v1+json", config),
        "layers": [
            {"mediaType": f"{_TYPE}.layer.v1.tar+gzip", "digest": f"sha256:{layer.digest}", "size": layer.size}
            for layer in found
        ],
    })  # fmt: skip
    named = {"org.opencontainers.image.ref.name": __version__, "io.containerd.image.name": f"{NAME}:{__version__}"}
    index = _json({
        "schemaVersion": 2,
        "mediaType": f"{_TYPE}.index.v1+json",
        "manifests": [{**_described("manifest.v1+json", manifest), "annotations": named}],
    })  # fmt: skip
    older = _json([{
        "Config": _blob(_sha256(config)),
        "RepoTags": [f"{NAME}:{__version__}"],
        "Layers": [_blob(layer.digest) for layer in found],
    }])  # fmt: skip
    with tarfile.open(out, "w", format=tarfile.USTAR_FORMAT) as archive:
        _put(archive, "oci-layout", _json({"imageLayoutVersion": "1.0.0"}))
        _put(archive, "index.json", index)
        _put(archive, "manifest.json", older)
        for folder in ("blobs", "blobs/sha256"):
            _put(archive, folder)
        for content in (manifest, config):
            _put(archive, _blob(_sha256(content)), content)
        for layer in found:
            member = _member(_blob(layer.digest))
            member.size = layer.size
            with layer.file.open("rb") as source:
                archive.addfile(member, source)
    return _sha256(manifest)


def configuration(found: Sequence[Layer], machine: str) -> dict[str, Any]:
    """What a runtime is told: who runs what, where the data lie. Raises ContainerImageError as `write`."""
    if machine not in _ARCHITECTURES:
        raise ContainerImageError(machine, step="machine")
    date = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(RELEASED))
    account = f"{customise.ACCOUNT}:{customise.ACCOUNT}"
    return {
        "created": date,
        "architecture": _ARCHITECTURES[machine],
        "os": "linux",
        "config": {
            "User": account,
            "ExposedPorts": {f"{PORT}/tcp": {}},
            "Env": [
                "PATH=/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin",
                "LANG=C.UTF-8",
                f"HAKO_DATA_DIR={_DATA}",
                "PYTHONSAFEPATH=1",
                "PYTHONDONTWRITEBYTECODE=1",
            ],
            "Entrypoint": ["/usr/bin/hako"],
            "Cmd": ["serve", "--container"],
            "Volumes": {_DATA: {}},
            "WorkingDir": "/",
            "StopSignal": "SIGTERM",
            "Labels": {
                "org.opencontainers.image.title": "Hako",
                "org.opencontainers.image.version": __version__,
                "org.opencontainers.image.created": date,
                "org.opencontainers.image.licenses": "Apache-2.0",
            },
            # Docker's own word; OCI has none, and other runtimes pass it over or take it as it is.
            "Healthcheck": {
                "Test": ["CMD", _PYTHON, "-I", "-m", "appliance.image.box.alive"],
                "Interval": 60 * _SECOND_NS,
                "Timeout": 30 * _SECOND_NS,
                "StartPeriod": 120 * _SECOND_NS,
                "Retries": 3,
            },
        },
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{layer.content}" for layer in found]},
        "history": [{"created": date, "created_by": layer.name} for layer in found],
    }


def _described(kind: str, content: bytes) -> dict[str, Any]:
    return {"mediaType": f"{_TYPE}.{kind}", "digest": f"sha256:{_sha256(content)}", "size": len(content)}


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _json(said: Mapping[str, Any] | list[Any]) -> bytes:
    return json.dumps(said, sort_keys=True, separators=(",", ":")).encode()


def _blob(digest: str) -> str:
    return f"blobs/sha256/{digest}"


def _member(name: str) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.mtime, member.mode = RELEASED, 0o644
    return member


def _put(archive: tarfile.TarFile, name: str, content: bytes | None = None) -> None:
    """A small file; a folder without `content`."""
    member = _member(name)
    if content is None:
        member.type, member.mode = tarfile.DIRTYPE, 0o755
        archive.addfile(member)
    else:
        member.size = len(content)
        archive.addfile(member, io.BytesIO(content))
