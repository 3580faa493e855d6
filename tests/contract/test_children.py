"""What a child's process is given by the box, seen from outside, and what becomes of it where that is too little."""

import json
import os
import resource
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from appliance.config import Settings
from appliance.errors import CancelledError, ModelFailedError
from appliance.inference import flavour, genai, manifest
from appliance.inference.engine import EngineSpec
from appliance.inference.load_settings import LoadSettings
from appliance.inference.spawn import Child
from appliance.inference.terms import terms_of
from appliance.inference.transport import ChildConnection
from tests.simulators import genai as genai_folders
from tests.simulators import gguf

KEY = "the-key"
LIMIT = 3 << 30


@contextmanager
def child_of(spec: EngineSpec) -> Iterator[Child]:
    child = Child(spec, lambda _child: None)
    try:
        child.wait_ready()
        yield child
    finally:
        child.stop()


def tiny(around: Path, **more: Any) -> EngineSpec:
    """A llama that loads in a tenth of a second."""
    file = gguf.tiny_llama(around / "tiny.gguf")
    values: dict[str, Any] = {
        "model": "tiny", "kind": "chat", "engine": "llama", "folder": str(around), "entry": file.name,
        "socket": str(around / "m.sock"), "api_key": KEY, "threads": 1, "context": 512, "parallel": 1,
        "dimensions": 0, "provider": "cpu", "memory_bytes": LIMIT,
    }  # fmt: skip
    return EngineSpec(**{**values, **more})


@pytest.fixture
def around() -> Iterator[Path]:
    """A folder whose name is short enough for a socket."""
    with tempfile.TemporaryDirectory(prefix="hako-") as folder:
        yield Path(folder)


def environment(child: Child) -> dict[str, str]:
    """With what its process was started."""
    entries = Path(f"/proc/{child.pid}/environ").read_bytes().decode().split("\0")
    return dict(entry.split("=", 1) for entry in entries if entry)


def address_space(child: Child) -> tuple[str, str]:
    """Its soft and its hard limit: bytes, or `unlimited`."""
    lines = Path(f"/proc/{child.pid}/limits").read_text("ascii").splitlines()
    line = next(line for line in lines if line.startswith("Max address space"))
    soft, hard = line.split()[3:5]
    return soft, hard


def answered(spec: EngineSpec, question: str = "hello") -> str:
    body = {"messages": [{"role": "user", "content": question}], "temperature": 0, "max_tokens": 12}
    with ChildConnection(Path(spec.socket), spec.api_key, spec.model) as connection:
        return str(connection.json("/v1/chat/completions", body)["choices"][0]["message"]["content"])


def test_waiting_threads_do_not_spin_and_nothing_of_the_boxs_environment_is_passed_on(
    around: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HAKO_SECRET", "4711")
    monkeypatch.setenv("OMP_WAIT_POLICY", "active")
    with child_of(tiny(around)) as child:
        told = environment(child)
    assert told["OMP_WAIT_POLICY"] == "passive"
    assert told["HF_HUB_OFFLINE"] == "1"
    assert "4711" not in json.dumps(told)


def test_a_childs_address_space_is_limited_for_good(around: Path) -> None:
    with child_of(tiny(around)) as child:
        assert address_space(child) == (str(LIMIT), str(LIMIT))
        core = Path(f"/proc/{child.pid}/limits").read_text("ascii")
        assert next(line for line in core.splitlines() if line.startswith("Max core")).split()[4:6] == ["0", "0"]


@pytest.mark.skipif(not genai.version(), reason="the extra `genai` is not installed")
def test_that_of_a_child_which_may_use_cuda_is_not(around: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = genai_folders.install(around)
    found = manifest.read(folder)

    def limit(provider: str, installed: tuple[str, ...]) -> tuple[str, str]:
        monkeypatch.setattr(flavour, "installed", lambda: installed)
        settings = Settings.model_validate({"data_dir": around, "inference": {"provider": provider, "threads": 1}})
        spec = terms_of(found, folder, settings, LoadSettings()).spec
        socket = str(around / f"{os.urandom(4).hex()}.sock")
        with child_of(EngineSpec(**{**vars(spec), "socket": socket, "api_key": KEY})) as child:
            return address_space(child)

    own = resource.getrlimit(resource.RLIMIT_AS)
    free = "unlimited" if own[0] == resource.RLIM_INFINITY else str(own[0])
    assert limit("auto", ("gpu",))[0] == free
    for provider, installed in (("cpu", ("gpu",)), ("auto", ("cpu",))):
        soft, hard = limit(provider, installed)
        assert soft == hard
        assert 0 < int(soft) < 64 << 30


def test_an_adapter_changes_what_a_model_answers_as_far_as_it_is_set_to(around: Path) -> None:
    adapter = gguf.tiny_lora(around / "style.lora.gguf").name
    said = []
    for more in ({}, {"adapter": adapter}, {"adapter": adapter, "adapter_scale": 0.0}, {"adapter": adapter}):
        spec = tiny(around, **more)
        with child_of(spec):
            said.append(answered(spec))
    plain, styled, without, again = said
    assert plain
    assert plain == without != styled == again


def test_more_requests_than_an_engine_takes_on_one_connection_are_answered(around: Path) -> None:
    spec = tiny(around)
    with child_of(spec), ChildConnection(Path(spec.socket), spec.api_key, spec.model) as connection:
        counts = {len(connection.json("/tokenize", {"content": "hello"})["tokens"]) for _ in range(250)}
        assert len(counts) == 1
        connection.cut()
        with pytest.raises((CancelledError, ModelFailedError)):
            connection.json("/tokenize", {"content": "hello"})
