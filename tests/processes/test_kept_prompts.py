"""A long system prompt on a real model: kept the second time, found again by the child after the next."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest

from appliance.config import REPOSITORY, Inference, Settings
from appliance.gateway.gateway import Gateway
from appliance.gateway.stream import events
from appliance.inference import kv_slots
from appliance.inference.client import InferenceClient
from appliance.inference.supervisor import Supervisor
from appliance.vault.client import KeysClient
from tests.simulators.units import PASSPHRASE, Units
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


@pytest.mark.models
def test_inference_keeps_it_where_web_has_another_account_and_over_a_restart_of_its_unit(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if not BUILT.is_dir():
        pytest.skip("the starter models are not built: make models")
    shared = Path("/dev/shm")
    if not shared.is_dir():
        pytest.skip("no /dev/shm")
    monkeypatch.setattr(tempfile, "tempdir", str(shared))  # as /run, the box's folder is in memory
    with Units() as units:
        if not units.are_separate:
            pytest.skip("needs root")
        _bring(units)
        units.start("keys", "inference", "web")
        KeysClient(units.settings.keys_socket).create(PASSPHRASE)
        headers = {"Authorization": f"Bearer {units.api_key('alice')}"}
        with httpx2.Client(base_url=units.url, headers=headers, timeout=100) as box:
            for question in ("Where is pump 3?", "And pump 4?"):
                _ask(box, question)
            own = units.settings.inference_socket.parent
            assert eventually(lambda: any(own.glob(f"hako-kv-*/*/*{kv_slots.ENDING}")))
            (state,) = own.glob(f"hako-kv-*/*/*{kv_slots.ENDING}")
            assert {path.stat().st_uid for path in (state, *state.parents[:2])} == {units.uid("inference")}
            assert (state.stat().st_mode & 0o777, state.parent.stat().st_mode & 0o777) == (0o600, 0o700)
            assert eventually(lambda: "kv_slot_kept" in units.log("inference"))
            os.utime(state, (1, 1))
            _ask(box, "And pump 5?")
            assert eventually(lambda: state.stat().st_mtime > 1)
            units.stop("inference")
            units.start("inference")
            _ask(box, "And pump 6?")
        assert "kv_slots_restored" in units.log("inference")
        assert "kv_slot_not_kept" not in units.log("web")


def _bring(units: Units) -> None:
    folder = units.data / "models" / NAME
    folder.mkdir()
    for file in BUILT.iterdir():
        if file.name != "golden.json":
            shutil.copy(file, folder)
    for path in (folder, *folder.iterdir()):
        os.chown(path, 0, (units.data / "models").stat().st_gid)
        path.chmod(0o2770 if path.is_dir() else 0o640)


def _ask(box: httpx2.Client, question: str) -> None:
    messages = [{"role": "system", "content": SYSTEM}, {"role": "user", "content": question}]
    answer = box.post("/v1/chat/completions", json={"model": NAME, "messages": messages, "max_tokens": 2})
    assert answer.status_code == 200, answer.text
