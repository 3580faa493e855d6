"""Runtimes that call home when they are loaded don't: see `appliance/__init__.py`."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from onnx import TensorProto, helper

from appliance.config import REPOSITORY
from appliance.inference import genai

ONNX = "import appliance, onnxruntime; onnxruntime.InferenceSession(sys.argv[1])"
GENAI = "import appliance, onnxruntime_genai"


def at_home_after(home: Path, lines: str, *arguments: str) -> list[str]:
    """What a process that ran `lines` has left in its empty home folder."""
    home.mkdir()
    environment = {"HOME": str(home), **{key: os.environ[key] for key in ("PATH", "PYTHONPATH") if key in os.environ}}
    code = f"import sys; {lines}"
    subprocess.run([sys.executable, "-c", code, *arguments], cwd=REPOSITORY, env=environment, check=True)
    return [str(path.relative_to(home)) for path in home.rglob("*")]


@pytest.fixture
def graph(tmp_path: Path) -> Path:
    value = helper.make_tensor_value_info("a", TensorProto.FLOAT, [1])
    same = helper.make_tensor_value_info("b", TensorProto.FLOAT, [1])
    made = helper.make_graph([helper.make_node("Identity", ["a"], ["b"])], "g", [value], [same])
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    path = tmp_path / "model.onnx"
    path.write_bytes(model.SerializeToString())
    return path


def test_onnxruntime_opens_a_session_and_keeps_no_record_of_this_machine(tmp_path: Path, graph: Path) -> None:
    assert at_home_after(tmp_path / "home", ONNX, str(graph)) == []


@pytest.mark.skipif(not genai.version(), reason="the extra `genai` is not installed")
def test_neither_does_the_engine_for_chats_on_it(tmp_path: Path) -> None:
    assert at_home_after(tmp_path / "home", GENAI) == []
