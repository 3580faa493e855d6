"""The list of the 40 cases is whole: each has a test that exists, or the reason why it takes a booted image."""

import ast
import re
import tomllib
from functools import cache
from pathlib import Path
from typing import Any

from appliance.config import REPOSITORY

HERE = Path(__file__).parent
CASES: list[dict[str, Any]] = tomllib.loads((HERE / "cases.toml").read_text("utf-8"))["case"]


@cache
def functions_of(file: str) -> frozenset[str]:
    path = REPOSITORY / file
    tree = ast.parse(path.read_text("utf-8")) if path.is_file() else ast.Module([], [])
    return frozenset(node.name for node in tree.body if isinstance(node, ast.FunctionDef))


def test_every_case_is_listed_once_with_what_has_to_come_of_it() -> None:
    assert [case["number"] for case in CASES] == list(range(1, 41))
    assert all(case["attack"] and case["outcome"] for case in CASES)


def test_every_case_has_a_test_or_the_reason_why_it_takes_a_booted_image() -> None:
    named = {case["number"]: (case.get("tests", []), case.get("image", "")) for case in CASES}
    assert [number for number, (tests, image) in named.items() if not tests and len(image) < 40] == []
    lost = [test for tests, _image in named.values() for test in tests if not exists(test)]
    assert lost == []


def test_every_test_of_a_case_is_listed_with_it() -> None:
    listed = {(case["number"], test) for case in CASES for test in case.get("tests", [])}
    for path in sorted(HERE.glob("test_*.py")):
        file = str(path.relative_to(REPOSITORY))
        for name in functions_of(file):
            for number in numbers(name):
                assert (number, f"{file}::{name}") in listed, name


def exists(test: str) -> bool:
    file, _, name = test.partition("::")
    return name in functions_of(file)


def numbers(name: str) -> list[int]:
    found = re.match(r"test_case_((?:\d\d_)+)", name)
    return [int(number) for number in found[1].split("_") if number] if found else []
