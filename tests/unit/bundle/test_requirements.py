"""What a bundle asks for against what a box is: versions in their order, figures; nothing asked, nothing lacks."""

import pytest

from appliance.bundle.index import Requires
from appliance.bundle.requirements import Facts, unmet

FACTS = Facts(name="Hako", version="1.10.0", memory=8 << 30, cpu_flags=frozenset({"avx2", "fma"}), gpu=False)


def lacks(version: str = "1.10.0", **requires: object) -> list[str]:
    facts = Facts(FACTS.name, version, FACTS.memory, FACTS.cpu_flags, FACTS.gpu)
    return list(unmet(Requires.model_validate(requires), facts))


def test_nothing_asked_nothing_lacks() -> None:
    assert lacks() == []


@pytest.mark.parametrize(
    ("version", "lowest", "fits"),
    [
        ("1.10.0", "1.9", True),
        ("1.10.0", "1.10", True),
        ("1.10", "1.10.0", True),
        ("1.10.0", "1.10.1", False),
        ("1.10.0rc1", "1.10.0", False),
        ("1.10.0rc1", "1.9.9", True),
        ("1.10.0+local", "1.10.0", True),
        ("unknown", "0.1", False),
    ],
)
def test_versions_count_by_their_figures(version: str, lowest: str, fits: bool) -> None:
    assert (lacks(version, at_least=lowest) == []) is fits


@pytest.mark.parametrize(("version", "fits"), [("1.2", True), ("1.2.0", True), ("1.2.1", False), ("1.3", False)])
def test_the_upper_end_is_included(version: str, fits: bool) -> None:
    assert (lacks(version, at_most="1.2") == []) is fits


def test_all_that_lacks_is_named() -> None:
    found = lacks(
        device="Other", at_least="2", at_most="1", memory_bytes=16 << 30, cpu_flags=("avx2", "avx512f"), gpu=True
    )
    assert found == ["Other", "Hako ≥ 2", "Hako ≤ 1", "16.0 GiB RAM", "CPU avx512f", "NVIDIA GPU"]


def test_what_is_there_does_not_lack() -> None:
    assert lacks(device="Hako", memory_bytes=8 << 30, cpu_flags=("fma",)) == []
