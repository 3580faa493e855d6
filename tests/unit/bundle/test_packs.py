"""Models of a bundle on their way into the store: what lies beside them is looked at as well."""

import hashlib
from pathlib import Path

import pytest

from appliance.bundle.index import File
from appliance.bundle.packs import PackedModel, Store
from appliance.config import Settings
from appliance.errors import ModelUnsupportedError, ProjectorError, ProjectorWidthError
from appliance.inference.importing import Importer
from appliance.inference.manifest import Manifest, ModelFile
from tests.simulators import encoder_gguf, gguf, vision


def packed(folder: Path) -> PackedModel:
    """The model in `folder` with what lies there as its projector."""
    (folder / "sees").mkdir(parents=True, exist_ok=True)
    names = ("sees.gguf", "mmproj-sees.gguf")
    stored = {}
    for name in names:
        data = (folder / "sees" / name).read_bytes()
        stored[name] = ModelFile(sha256=hashlib.sha256(data).hexdigest(), size=len(data))
    manifest = Manifest(
        id="sees", name="Sees", kind="chat", engine="llama", files=stored, entry="sees.gguf", licence="MIT",
        source="x", languages=("en",), context=64, quantization="F32", parameters=1, dimensions=None,
        projector="mmproj-sees.gguf",
    )  # fmt: skip
    files = tuple(
        File.model_construct(path=f"sees/{name}", sha256=file.sha256, size=file.size, mode="file")
        for name, file in stored.items()
    )
    return PackedModel("sees", "sees", files, manifest)


def test_an_embedding_model_in_a_bundle_is_looked_at_too(tmp_path: Path) -> None:
    folder = tmp_path / "files" / "vectors"
    folder.mkdir(parents=True)
    settings = Settings(data_dir=tmp_path / "data")
    store = Store(settings.models, Importer(settings, lambda _name: False), lambda _name: False)

    def offered() -> PackedModel:
        data = (folder / "vectors.gguf").read_bytes()
        stored = ModelFile(sha256=hashlib.sha256(data).hexdigest(), size=len(data))
        manifest = Manifest(
            id="vectors", name="Vectors", kind="embedding", engine="llama", files={"vectors.gguf": stored},
            entry="vectors.gguf", licence="MIT", source="x", languages=("en",), context=64, dimensions=32,
        )  # fmt: skip
        file = File.model_construct(path="vectors/vectors.gguf", sha256=stored.sha256, size=stored.size, mode="file")
        return PackedModel("vectors", "vectors", (file,), manifest)

    encoder_gguf.small(folder / "vectors.gguf")
    store.check(offered(), tmp_path / "files", "MIT")
    encoder_gguf.small(folder / "vectors.gguf", pooling=4)  # a reranker
    with pytest.raises(ModelUnsupportedError):
        store.check(offered(), tmp_path / "files", "MIT")


def test_a_projector_in_a_bundle_has_to_fit_its_model(tmp_path: Path) -> None:
    files = tmp_path / "files"
    (files / "sees").mkdir(parents=True)
    gguf.tiny_llama(files / "sees" / "sees.gguf")
    settings = Settings(data_dir=tmp_path / "data")
    store = Store(settings.models, Importer(settings, lambda _name: False), lambda _name: False)
    beside = files / "sees" / "mmproj-sees.gguf"
    vision.tiny_projector(beside)
    store.check(packed(files), files, "MIT")
    beside.unlink()
    vision.tiny_projector(beside, width=48)
    with pytest.raises(ProjectorWidthError):
        store.check(packed(files), files, "MIT")
    beside.unlink()
    gguf.tiny_llama(beside)
    with pytest.raises(ProjectorError):
        store.check(packed(files), files, "MIT")
