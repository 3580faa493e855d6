"""The list of failures that `make conformance` expects can neither hide a new one nor become stale."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conformance import packages
from tests.conformance.expected_failures import load, reason_for, unused
from tests.conformance.suites import EXPECTED, HERE

SUITE = """
import pytest


@pytest.fixture
def key():
    import tests.conftest
    return tests.conftest.api_key

def test_spoken(key):
    assert key == "hako_key"

@pytest.mark.parametrize("way", ["loose", "strict"])
def test_refused(way):
    assert way == "PASSES"
"""


def run(folder: Path, listed: str, passes: str = "neither") -> subprocess.CompletedProcess[str]:
    """A suite of others with our list."""
    tests = folder / "tests"
    tests.mkdir()
    (tests / "__init__.py").touch()
    (tests / "conftest.py").write_text('api_key = "theirs"\n', "utf-8")
    (tests / "test_suite.py").write_text(SUITE.replace("PASSES", passes), "utf-8")
    (folder / "expected.toml").write_text(listed, "utf-8")
    more = {"HAKO_EXPECTED": str(folder / "expected.toml"), "HAKO_SUITE": "theirs", "HAKO_API_KEY": "hako_key"}
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "expected_failures", "-p", "no:cacheprovider", "-q", "tests"],
        cwd=folder,
        env={**os.environ, **more, "PYTHONPATH": str(HERE)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def entry(*tests: str, reason: str = "not spoken here") -> str:
    return f'[[theirs]]\nreason = "{reason}"\ntests = {list(tests)}\n'


def test_a_listed_failure_is_expected_and_the_suite_gets_the_boxs_key(tmp_path: Path) -> None:
    ended = run(tmp_path, entry("*::test_refused[*"))
    assert ended.returncode == 0, ended.stdout
    assert "1 passed, 2 xfailed" in ended.stdout


def test_a_failure_that_is_not_listed_fails_the_run(tmp_path: Path) -> None:
    ended = run(tmp_path, entry("*::test_refused[loose]"))
    assert ended.returncode == 1
    assert "1 failed, 1 passed, 1 xfailed" in ended.stdout


def test_a_listed_test_that_passes_fails_the_run(tmp_path: Path) -> None:
    ended = run(tmp_path, entry("*::test_refused[*"), passes="strict")
    assert ended.returncode == 1
    assert "[XPASS(strict)] not spoken here" in ended.stdout


def test_a_line_that_fits_no_test_fails_the_run(tmp_path: Path) -> None:
    ended = run(tmp_path, entry("*::test_refused[*", "*::test_gone"))
    assert ended.returncode not in (0, 1)
    assert "fit no test: *::test_gone" in ended.stderr + ended.stdout


def test_a_line_needs_a_reason_and_is_there_once(tmp_path: Path) -> None:
    path = tmp_path / "expected.toml"
    path.write_text(entry("a", reason=" "), "utf-8")
    with pytest.raises(ValueError, match="no reason"):
        load(path, "theirs")
    path.write_text(entry("a") + entry("a"), "utf-8")
    with pytest.raises(ValueError, match="twice"):
        load(path, "theirs")
    assert load(path, "another's") == {}


def test_brackets_of_a_test_are_no_pattern() -> None:
    listed = {"t.py::test_a[strict]": "one", "t.py::test_b*": "other"}
    assert reason_for("t.py::test_a[strict]", listed) == "one"
    assert reason_for("t.py::test_as", listed) is None
    assert reason_for("t.py::test_b[x]", listed) == "other"
    assert unused(["t.py::test_b"], listed) == ["t.py::test_a[strict]"]


@pytest.mark.parametrize("suite", ["openai", "anthropic", "langchain", "ollama"])
def test_the_list_of_this_repository_can_be_read(suite: str) -> None:
    assert all(len(reason) > 20 for reason in load(EXPECTED, suite).values())


@pytest.mark.parametrize("name", ["openai", "anthropic", "ollama"])
def test_a_suite_is_of_the_version_that_is_installed_beside_it(name: str) -> None:
    lock = (packages.ROOT / "requirements" / "conformance.txt").read_text("utf-8")
    assert f"\n{name}=={packages.version(name)} " in lock


def test_what_is_not_pinned_is_not_fetched() -> None:
    with pytest.raises(LookupError):
        packages.version("requests")
