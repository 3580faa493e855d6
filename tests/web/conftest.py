"""One box for all web tests of a test process, and the cast: Alice runs it, Bob works with it, Mallory owns nothing."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.simulators.box import Person, TestBox, add

HANDBOOK = """# 職員ハンドブック

## 夜勤手当

夜勤手当は1回につき6,000円です。夜勤は月に8回までです。深夜の休憩は60分です。

## 連絡

Night shift allowance questions go to the payroll office. The payroll office opens at nine in the morning.
"""


@pytest.fixture(scope="session")
def box(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestBox]:
    opened = TestBox(Path(tmp_path_factory.mktemp("b")))
    yield opened
    opened.close()


@pytest.fixture(scope="session")
def alice(box: TestBox) -> Person:
    return box.person("alice", "operator")


@pytest.fixture(scope="session")
def bob(box: TestBox) -> Person:
    return box.person("bob")


@pytest.fixture(scope="session")
def mallory(box: TestBox) -> Person:
    return box.person("mallory")


@pytest.fixture(scope="session")
def handbook(bob: Person) -> dict[str, Any]:
    """Bob's private base with one document that is ready; answers hold `base` and `document`."""
    base = bob.post("/bases", json={"name": "Bob's handbook"}).get_json()
    document = add(bob, base["id"], "handbook.md", HANDBOOK.encode())
    return {"base": base["id"], "document": document["id"]}
