"""LoRA adapters: what comes to a model, what is refused, and that the model's manifest is never half."""

import hashlib
import shutil
from pathlib import Path

import pytest

from appliance.config import Settings
from appliance.errors import (
    AdapterError,
    BadInputError,
    ConflictError,
    DiskFullError,
    ModelFileError,
    ModelNotFoundError,
    ModelPathError,
    WrongModelKindError,
)
from appliance.inference.adapters import Adapters
from appliance.inference.catalog import Catalog
from appliance.inference.engines import scripted
from appliance.inference.importing import Importer, Wish
from appliance.inference.load_settings import LoadSettings
from appliance.inference.manifest import Manifest
from appliance.inference.source import opened
from appliance.inference.terms import terms_of
from appliance.inference.verify import verify_files
from tests.simulators import gguf


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data_dir=tmp_path / "data")


@pytest.fixture
def adapters(settings: Settings) -> Adapters:
    return Adapters(settings.models)


@pytest.fixture
def tiny(settings: Settings, tmp_path: Path) -> Manifest:
    wish = Wish(path=str(gguf.tiny_llama(tmp_path / "Tiny.gguf")), licence="CC0-1.0")
    with Importer(settings, lambda _name: False).begin(wish) as incoming:
        list(incoming.copy())
        return incoming.finish().manifest


def files(settings: Settings) -> list[str]:
    return sorted(path.name for path in (settings.models / "tiny").iterdir())


def test_an_adapter_stands_beside_its_models_file_with_its_digest(
    adapters: Adapters, settings: Settings, tiny: Manifest, tmp_path: Path
) -> None:
    path = gguf.tiny_lora(tmp_path / "My Style.gguf")
    assert adapters.add("tiny", opened(str(path))).name == "my-style.lora.gguf"
    known = Catalog(settings.models).get("tiny")
    assert known.adapters == ("my-style.lora.gguf",)
    assert known.files["my-style.lora.gguf"].sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert known.model_copy(update={"files": tiny.files}) == tiny
    verify_files(settings.models / "tiny", known)
    assert files(settings) == ["model.json", "my-style.lora.gguf", "tiny.gguf"]
    with pytest.raises(ConflictError):
        adapters.add("tiny", opened(str(path)))
    adapters.remove("tiny", "my-style.lora.gguf")
    assert Catalog(settings.models).get("tiny") == tiny
    assert files(settings) == ["model.json", "tiny.gguf"]


def test_only_an_adapter_of_the_model_can_be_set_and_is_loaded_with_it(
    adapters: Adapters, settings: Settings, tiny: Manifest, tmp_path: Path
) -> None:
    wish = LoadSettings(adapter="style.lora.gguf", adapter_scale=0.5)
    with pytest.raises(BadInputError) as caught:
        wish.demand_fit(tiny)
    assert caught.value.params == {"field": "adapter"}
    folder = settings.models / "tiny"
    assert terms_of(tiny, folder, settings, wish).spec.adapter == ""
    adapters.add("tiny", opened(str(gguf.tiny_lora(tmp_path / "style.lora.gguf"))))
    known = Catalog(settings.models).get("tiny")
    wish.demand_fit(known)
    spec = terms_of(known, folder, settings, wish).spec
    assert (spec.adapter, spec.adapter_scale) == ("style.lora.gguf", 0.5)
    with pytest.raises(BadInputError):
        LoadSettings(adapter=tiny.entry).demand_fit(known)


def test_what_is_no_adapter_for_this_kind_of_model_is_refused_and_leaves_nothing(
    adapters: Adapters, settings: Settings, tiny: Manifest, tmp_path: Path
) -> None:
    other = gguf.tiny_lora(tmp_path / "other.gguf", general__architecture="qwen2")
    projector = gguf.tiny_lora(tmp_path / "projector.gguf", general__type="mmproj")
    cut = tmp_path / "cut.gguf"
    cut.write_bytes(other.read_bytes()[:900])
    for path, error in (
        (other, AdapterError),
        (projector, AdapterError),
        (gguf.tiny_llama(tmp_path / "model.gguf"), AdapterError),
        (cut, ModelFileError),
        (tmp_path / "none.gguf", ModelPathError),
        (tmp_path, ModelPathError),
    ):
        with pytest.raises(error):
            adapters.add("tiny", opened(str(path)))
    assert Catalog(settings.models).get("tiny") == tiny
    assert files(settings) == ["model.json", "tiny.gguf"]


def test_models_that_can_not_have_one_and_names_that_are_not_there(
    adapters: Adapters, settings: Settings, tiny: Manifest, tmp_path: Path
) -> None:
    path = str(gguf.tiny_lora(tmp_path / "a.gguf"))
    scripted.install(settings.models, "talker", "chat")
    scripted.install(settings.models, "embedder", "embedding")
    for model in ("talker", "embedder"):
        with pytest.raises(WrongModelKindError):
            adapters.add(model, opened(path))
    with pytest.raises(ModelNotFoundError):
        adapters.add("none", opened(path))
    for name in ("none.lora.gguf", tiny.entry, "model.json", "../tiny/tiny.gguf"):
        with pytest.raises(ModelNotFoundError):
            adapters.remove("tiny", name)


def test_a_full_disk_leaves_the_model_as_it_was(
    adapters: Adapters, settings: Settings, tiny: Manifest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = str(gguf.tiny_lora(tmp_path / "a.gguf"))
    usage = shutil.disk_usage(settings.models)
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: usage._replace(free=1000))
    with pytest.raises(DiskFullError):
        adapters.add("tiny", opened(path))
    assert Catalog(settings.models).get("tiny") == tiny
    assert files(settings) == ["model.json", "tiny.gguf"]
