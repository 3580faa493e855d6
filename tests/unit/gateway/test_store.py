"""What the pages say of a model's memory, beside what loading it will be held to."""

import hashlib
import itertools
from pathlib import Path

import pytest

from appliance.config import Settings
from appliance.errors import ModelOverLimitError
from appliance.gateway.gateway import Gateway
from appliance.gateway.store import ModelStore
from appliance.inference import manifest as manifests
from appliance.inference.load_settings import LoadSettings
from appliance.inference.manifest import Manifest, ModelFile
from appliance.inference.supervisor import Supervisor
from appliance.machine import resources
from tests.simulators import gguf

CONTEXTS, PARALLEL = (256, 1 << 14, 1 << 16, 1 << 17, 1 << 18, 1 << 20), (1, 2, 15, 16, 17, 64)
WEIGHTS = (1 << 20, 700 << 20, 40 << 30)


def install(models: Path, model: str) -> Manifest:
    """A model of a few weights that says it holds a million tokens, 128 bytes each."""
    (models / model).mkdir(parents=True)
    content = gguf.tiny_llama(models / model / "tiny.gguf").read_bytes()
    found = Manifest.model_validate(
        {
            "id": model, "name": "Tiny", "kind": "chat", "engine": "llama", "entry": "tiny.gguf", "licence": "CC0-1.0",
            "files": {"tiny.gguf": {"sha256": hashlib.sha256(content).hexdigest(), "size": len(content)}},
            "source": "test", "languages": ["en"], "context": 1 << 20,
        }
    )  # fmt: skip
    manifests.write(models / model, found)
    return found


@pytest.mark.parametrize("child_memory_mb", [512, 6144])
def test_the_estimate_refuses_exactly_what_loading_refuses(tmp_path: Path, child_memory_mb: int) -> None:
    settings = Settings.model_validate({"data_dir": tmp_path, "inference": {"child_memory_mb": child_memory_mb}})
    known = install(settings.models, "tiny")
    gateway, supervisor = Gateway(settings), Supervisor(settings)
    supervisor._server.stop()  # nobody is served
    store, said = ModelStore(settings, gateway), []
    for context, parallel, weights in itertools.product(CONTEXTS, PARALLEL, WEIGHTS):
        gateway.load_settings.put("tiny", LoadSettings(context=context, parallel=parallel))
        digest = known.files["tiny.gguf"].sha256
        sized = known.model_copy(update={"files": {"tiny.gguf": ModelFile(sha256=digest, size=weights)}})
        estimate = store.estimate(sized, held=0)
        assert estimate is not None
        try:
            needed: int | None = supervisor._needed(sized, supervisor._terms(sized).spec)
        except ModelOverLimitError:
            needed = None
        assert (needed is None) is (estimate.cause == "limit"), (context, parallel, weights)
        assert needed in (None, estimate.needed)
        said.append(needed is None)
    assert any(said)
    assert not all(said)


def test_what_models_have_in_use_of_files_is_not_free_for_another_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gib = 1 << 30
    monkeypatch.setattr(resources, "available", lambda: 14 * gib)
    monkeypatch.setattr(resources, "total", lambda: 16 * gib)
    settings = Settings.model_validate({"data_dir": tmp_path})
    install(settings.models, "tiny")
    install(settings.models, "other")
    store = ModelStore(settings, Gateway(settings))
    assert store.memory() == (16 * gib, 14 * gib)
    states = {"tiny": {"memory_bytes": 7 * gib, "mapped_bytes": 6 * gib}, "other": {"memory_bytes": 0}}
    monkeypatch.setattr(store, "_states", lambda: states)
    assert store.memory() == (16 * gib, 8 * gib)
    alone = store.estimate(store.manifest("tiny"), held=7 * gib)  # reads the header, however long that takes
    found = store.estimates()
    assert (found["other"].available, found["tiny"].available) == (8 * gib, 15 * gib)
    assert alone == found["tiny"]
