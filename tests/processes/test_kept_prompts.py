"""A long system prompt on a real model: kept the second time, found again by the child after the next."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from appliance.config import REPOSITORY, Inference, Settings
from appliance.gateway.gateway import Gateway
from appliance.gateway.stream import events
from appliance.inference import kv_slots
from appliance.inference.client import InferenceClient
from appliance.inference.supervisor import Supervisor
from tests.simulators.waiting import eventually

NAME = "smollm2-135m-instruct"
BUILT = REPOSITORY / ".build" / "models" / NAME
SYSTEM = "You know the pumps. " + " ".join(f"Pump {i} stands in hall {i % 7} and is checked by day." for i in range(24))


@pytest.fixture
def settings() -> Iterator[Settings]:
    if not BUILT.is_dir():
        pytest.skip("the starter models are not built: make models")
    with tempfile.TemporaryDirectory(prefix="hako-") as name:
        folder = Path(name, "models", NAME)
        folder.mkdir(parents=True)
        for file in BUILT.iterdir():
            if file.name != "golden.json":
                (folder / file.name).symlink_to(file)
        Path(name, "run").mkdir(mode=0o700)
        settings = Settings(data_dir=Path(name), inference=Inference(threads=1, context_tokens=1024))
        root = kv_slots.root(settings)
        if root is None:
            pytest.skip("no file system in memory")
        yield settings
        shutil.rmtree(root, ignore_errors=True)


@contextmanager
def running(settings: Settings) -> Iterator[Gateway]:
    supervisor = Supervisor(settings)
    supervisor.start()
    try:
        yield Gateway(settings)
    finally:
        supervisor.stop()


def is_busy(settings: Settings) -> bool:
    return bool(InferenceClient(settings.inference_socket).status()[NAME]["busy"])


def computed(gateway: Gateway, system: str, question: str) -> int:
    """Tokens of the prompt that the engine had to read."""
    messages = [{"role": "system", "content": system}, {"role": "user", "content": question}]
    body: dict[str, Any] = {"messages": messages, "max_tokens": 2, "temperature": 0, "timings_per_token": True}
    with gateway.open(NAME, body) as stream:
        timings = [event["timings"] for event in events(iter(stream)) if "timings" in event]
    return int(timings[-1]["prompt_n"])


@pytest.mark.models
def test_a_prompt_that_came_twice_is_not_read_again_after_a_restart(settings: Settings) -> None:
    root = kv_slots.root(settings)
    assert root
    with running(settings) as gateway:
        whole = computed(gateway, SYSTEM, "Where is pump 3?")
        assert whole > 256
        assert computed(gateway, SYSTEM, "My secret is 41.") < whole / 4
        assert eventually(lambda: any(root.glob(f"*/*{kv_slots.ENDING}")) and not is_busy(settings))
    (state,) = root.glob(f"*/*{kv_slots.ENDING}")
    assert state.stat().st_mode & 0o777 == 0o600
    with running(settings) as gateway:
        assert computed(gateway, SYSTEM, "Where is pump 5?") < whole / 4
        assert computed(gateway, "Another one. " + SYSTEM, "Where is pump 5?") > whole / 2
    # A file that a crash has cut off is erased, and the prompt is read as ever.
    os.truncate(state, state.stat().st_size // 2)
    with running(settings) as gateway:
        assert computed(gateway, SYSTEM, "Where is pump 5?") > whole / 2
    assert not state.exists()
