"""Other people's test suites against a box, with the list of expected failures."""

import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.conformance.box import Target
from tests.conformance.packages import PYTHON, fetch

HERE = Path(__file__).parent
EXPECTED = HERE / "expected.toml"
_ONE_LOOP = [
    word
    for setting in ("mode=auto", "default_fixture_loop_scope=session", "default_test_loop_scope=session")
    for word in ("-o", f"asyncio_{setting}")
]  # an async client keeps connections from one test to the next
_QUIET = ("no:cacheprovider", "no:codspeed", "no:randomly")


def openai(target: Target) -> bool:
    """openai-python's own tests of what the box speaks, loose and strict, sync and async."""
    resources = "tests/api_resources"
    names = ("chat/test_completions", "test_completions", "test_models", "test_embeddings", "test_responses")
    tests = [f"{resources}/{name}.py" for name in names]
    return _run("openai", target, fetch("openai"), tests, {"TEST_API_BASE_URL": f"{target.url}/v1"})


def anthropic(target: Target) -> bool:
    """anthropic-sdk-python's own tests of messages."""
    tests = ["tests/api_resources/test_messages.py"]
    target.alias("chat", _deprecated_models())  # each of them has to answer, with a warning
    return _run("anthropic", target, fetch("anthropic"), tests, {"TEST_API_BASE_URL": target.url})


def _deprecated_models() -> list[str]:
    """The names that the installed client warns of."""
    script = "from anthropic.resources.messages.messages import DEPRECATED_MODELS as known; print(*known)"
    return subprocess.run([PYTHON, "-c", script], capture_output=True, text=True, check=True).stdout.split()


def langchain(target: Target) -> bool:
    """langchain-tests' standard classes for chat models and embeddings, through two of its clients."""
    script = HERE / "langchain_standard.py"
    with tempfile.TemporaryDirectory(prefix="hako-") as folder:
        shutil.copy(script, folder)  # beside our own tests it would meet their conftest and their options
        return _run("langchain", target, Path(folder), [script.name], {})


def _run(suite: str, target: Target, folder: Path, tests: Sequence[str], more: Mapping[str, str]) -> bool:
    ours = {"PYTHONPATH": str(HERE), "HAKO_EXPECTED": str(EXPECTED), "HAKO_SUITE": suite}
    # The suites' own options ask for plugins that only distribute or time them.
    plugins = [word for name in ("expected_failures", *_QUIET) for word in ("-p", name)]
    options = ["-o", "addopts=", *_ONE_LOOP, *plugins, "-q", "--tb=short", "-rfEX", "--timeout=120"]
    command = [PYTHON, "-m", "pytest", *options, *tests]
    return (
        subprocess.run(command, cwd=folder, env=target.environment(folder, {**more, **ours}), check=False).returncode
        == 0
    )
