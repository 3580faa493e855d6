"""A pytest plugin for other people's suites: a list of the failures that are expected, with a reason each.

It runs in the suites' environment, so it needs nothing but pytest. A failure that is not on the list fails the run, and
so does a test on the list that passes, and a line of the list that fits no test: the list can't become stale.

Environment: `HAKO_EXPECTED` the list (TOML), `HAKO_SUITE` its table, `HAKO_API_KEY` the key that its clients send.
"""

import fnmatch
import os
import sys
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path

import pytest


def load(path: Path, suite: str) -> dict[str, str]:
    """Reasons by pattern; a pattern is a test's id with `*` for anything.

    Raises:
        ValueError: a reason is missing, or a pattern is listed twice.
    """
    listed: dict[str, str] = {}
    for entry in tomllib.loads(path.read_text("utf-8")).get(suite, []):
        if not entry.get("reason", "").strip():
            raise ValueError(f"{suite}: {entry['tests']} have no reason")
        for pattern in entry["tests"]:
            if pattern in listed:
                raise ValueError(f"{suite}: {pattern} is listed twice")
            listed[pattern] = entry["reason"]
    return listed


def reason_for(test: str, listed: Mapping[str, str]) -> str | None:
    """Why this test is expected to fail; None if it has to pass."""
    for pattern, reason in listed.items():
        if _fits(test, pattern):
            return reason
    return None


def unused(tests: Iterable[str], listed: Mapping[str, str]) -> list[str]:
    """The patterns that fit no test."""
    known = list(tests)
    return [pattern for pattern in listed if not any(_fits(test, pattern) for test in known)]


def _fits(test: str, pattern: str) -> bool:
    return fnmatch.fnmatchcase(test, pattern.replace("[", "[[]"))


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what is listed as a strict expected failure."""
    listed = load(Path(os.environ["HAKO_EXPECTED"]), os.environ["HAKO_SUITE"])
    stale = unused((item.nodeid for item in items), listed)
    if stale:
        raise pytest.UsageError(f"expected failures that fit no test: {', '.join(stale)}")
    for item in items:
        reason = reason_for(item.nodeid, listed)
        if reason is not None:
            item.add_marker(pytest.mark.xfail(reason=reason, strict=True))


@pytest.fixture(scope="session", autouse=True)
def _key_of_the_box() -> None:
    """The suites write their key into their conftest; here it is one that the box knows."""
    suite = sys.modules.get("tests.conftest")
    if suite is not None:
        suite.api_key = os.environ["HAKO_API_KEY"]  # type: ignore[attr-defined]
