"""Unmodified clients of the field, each in a process and an environment of its own, against a served box."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.simulators.served import ServedBox

PYTHON = Path(__file__).resolve().parents[2] / ".build" / "clients" / "bin" / "python"
SCRIPTS = Path(__file__).parent / "clients"
pytestmark = [pytest.mark.models, pytest.mark.timeout(400)]


def run(script: str, box: ServedBox, key: str, home: Path) -> Any:
    """What a script prints. It gets no way out, and nothing of this environment but the search path."""
    if not PYTHON.exists():
        pytest.skip("the clients are not installed: make clients")
    dead_end = dict.fromkeys(("http_proxy", "https_proxy", "all_proxy"), "http://127.0.0.1:9")
    environment = {
        **dead_end,
        "no_proxy": "127.0.0.1,localhost",
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",
        "LANGSMITH_TRACING": "false",
    }
    ended = subprocess.run(
        [PYTHON, SCRIPTS / f"{script}_script.py", box.url, key, "smollm2-135m-instruct", "multilingual-e5-small"],
        env=environment,
        cwd=home,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr[-3000:]
    return json.loads(ended.stdout.strip().splitlines()[-1])


def assert_alike(vectors: list[list[float]]) -> None:
    """A word and its translation, as the embedding model sees them."""
    one, other = np.array(vectors)
    assert len(one) == 384
    assert one @ other > 0.85


@pytest.mark.parametrize("script", ["langchain_openai", "langchain_ollama"])
def test_langchain_chats_streams_and_embeds(script: str, served: ServedBox, api_key: str, tmp_path: Path) -> None:
    said = run(script, served, api_key, tmp_path)
    assert "Tokyo" in said["text"]
    assert said["tokens"] > 0
    assert len([piece for piece in said["streamed"] if piece]) > 1
    assert "".join(said["streamed"]) == said["text"]
    if script == "langchain_openai":
        assert isinstance(said["city"], str)
        assert said["called"] in ("Tokyo", "Osaka")
        (call,) = said["calls"]
        assert (call["name"], call["type"]) == ("weather", "tool_call")
        assert call["args"]["place"] in ("Tokyo", "Osaka")
    assert_alike(said["vectors"])


def test_litellm_speaks_three_dialects(served: ServedBox, api_key: str, tmp_path: Path) -> None:
    said = run("litellm", served, api_key, tmp_path)
    assert set(said["texts"]) == {"openai", "ollama_chat", "anthropic"}
    assert len(set(said["texts"].values())) == 1
    assert "Tokyo" in said["texts"]["openai"]
    assert "".join(said["streamed"]) == said["texts"]["openai"]
    assert_alike(said["vectors"])
