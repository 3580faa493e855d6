"""Models that come and go by themselves: to make room, when nobody asks them, when their settings change."""

import hashlib
import json
import math
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from appliance.config import Settings
from appliance.errors import ModelOverLimitError, ModelTooLargeError
from appliance.inference.catalog import Catalog
from appliance.inference.client import InferenceClient
from appliance.inference.engines import scripted
from appliance.inference.estimate import SCRATCH_BYTES
from appliance.inference.load_settings import LoadSettings, LoadSettingsStore
from appliance.inference.supervisor import Supervisor
from appliance.machine import resources
from appliance.processes import supervise
from tests.simulators import gguf
from tests.simulators.waiting import eventually

MODELS = ("talker", "first", "second", "third")


@pytest.fixture
def folder() -> Iterator[Path]:
    """A data folder whose name is short enough for unix sockets."""
    with tempfile.TemporaryDirectory(prefix="hako-") as name:
        for model in MODELS:
            scripted.install(Path(name, "models"), model, "chat")
        yield Path(name)


def loaded(client: InferenceClient) -> set[str]:
    return {model for model, state in client.status().items() if state["state"] == "loaded"}


def wish(folder: Path, model: str, **settings: Any) -> None:
    """What an operator wants of a model."""
    store = LoadSettingsStore(folder / "model-settings.json", Catalog(folder / "models"))
    store.put(model, LoadSettings(**settings))


# -- making room


@pytest.fixture
def small(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[InferenceClient]:
    """A supervisor with real children on a machine that has memory for two of them."""
    settings = Settings.model_validate(
        {
            "data_dir": folder,
            "inference": {"chat_model": "talker", "embedding_model": "none", "threads": 1, "child_memory_mb": 512},
        }
    )
    settings.run_dir.mkdir(parents=True)
    supervisor = Supervisor(settings)
    supervisor.start()
    client = InferenceClient(settings.inference_socket)

    def available() -> int:
        # What a load asks for, and one and a half of what a child then really takes: the third finds too little.
        pids = [state["pid"] for state in client.status().values() if state["pid"]]
        free = SCRATCH_BYTES + max((resources.rss(pid) * 3 // 2 for pid in pids), default=1 << 20)
        return free - sum(resources.rss(pid) - resources.mapped(pid) for pid in pids)

    monkeypatch.setattr(resources, "available", available)
    yield client
    supervisor.stop()


def use(client: InferenceClient, model: str) -> None:
    client.lease(model, timeout=60).close()
    rests(client, model)


def rests(client: InferenceClient, model: str) -> None:
    """Wait until the supervisor has seen that a lease ended."""
    assert eventually(lambda: client.status()[model]["busy"] == 0)


def test_the_longest_unused_model_makes_room_and_the_box_s_own_only_after_it(small: InferenceClient) -> None:
    use(small, "talker")
    use(small, "first")
    assert loaded(small) == {"talker", "first"}
    use(small, "second")
    assert loaded(small) == {"talker", "second"}
    with small.lease("second"):
        use(small, "third")
        assert loaded(small) == {"second", "third"}
    rests(small, "second")
    use(small, "third")
    use(small, "first")
    assert loaded(small) == {"third", "first"}


def test_with_every_model_in_use_or_pinned_there_is_no_room(small: InferenceClient, folder: Path) -> None:
    wish(folder, "first", pinned=True)
    use(small, "first")
    with small.lease("second"):
        with pytest.raises(ModelTooLargeError) as caught:
            use(small, "third")
        assert caught.value.params == {"missing_gb": 1}
        assert loaded(small) == {"first", "second"}
    use(small, "third")
    assert loaded(small) == {"first", "third"}


def test_a_model_whose_cache_would_not_fit_is_refused_before_it_starts(small: InferenceClient, folder: Path) -> None:
    install_llama(folder / "models", "llama")
    wish(folder, "llama", context=1 << 16, parallel=20)  # 128 bytes for each token
    with pytest.raises(ModelTooLargeError) as caught:
        use(small, "llama")
    assert caught.value.params == {"missing_gb": 1}
    wish(folder, "llama", context=1 << 20, parallel=64)  # more than any model may take here
    with pytest.raises(ModelOverLimitError) as refused:
        use(small, "llama")
    over = SCRATCH_BYTES + (128 << 26) - (512 << 20)
    assert refused.value.params == {"over_gb": math.ceil(over / 1e8) / 10, "limit_gb": 0.5}
    assert small.status()["llama"]["pid"] is None
    wish(folder, "llama", context=512, parallel=1)
    use(small, "llama")
    assert small.status()["llama"]["context"] == 512


def install_llama(models: Path, model: str) -> None:
    (models / model).mkdir()
    content = gguf.tiny_llama(models / model / "tiny.gguf").read_bytes()
    manifest = {
        "id": model, "name": "Tiny", "kind": "chat", "engine": "llama", "entry": "tiny.gguf", "licence": "CC0-1.0",
        "files": {"tiny.gguf": {"sha256": hashlib.sha256(content).hexdigest(), "size": len(content)}},
        "source": "test", "languages": ["en"], "context": 1 << 20,
    }  # fmt: skip
    (models / model / "model.json").write_text(json.dumps(manifest), "utf-8")


# -- by itself


def test_idle_models_go_pinned_ones_stay_and_new_settings_hold_when_nobody_asks(folder: Path) -> None:
    (folder / "run").mkdir(mode=0o700)
    settings = '[inference]\nchat_model = "talker"\nembedding_model = "none"\nthreads = 1\nidle_minutes = 0.01\n'
    (folder / "hako.toml").write_text(settings, "utf-8")
    wish(folder, "second", pinned=True)
    processes = supervise.Supervisor(folder, folder / "inference.log")
    processes.start("inference", 60)
    client = InferenceClient(folder / "run" / "inference.sock")
    try:
        assert eventually(lambda: loaded(client) == {"talker", "second"}, 60)
        with client.lease("first", timeout=60):
            assert loaded(client) == {"talker", "first", "second"}
        assert eventually(lambda: loaded(client) == {"talker", "second"})
        assert client.status()["first"]["state"] == "idle"
        use(client, "first")

        before = client.status()["talker"]
        wish(folder, "talker", parallel=5, context=1000)
        assert eventually(lambda: client.status()["talker"]["context"] == 1000, 60)
        after = client.status()["talker"]
        assert (before["parallel"], after["parallel"]) == (2, 5)
        assert after["pid"] != before["pid"]
    finally:
        processes.stop()
