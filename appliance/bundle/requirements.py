"""What a bundle asks of a box, compared with what the box is; nothing here looks at the machine itself."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from appliance.bundle.index import Requires

_RELEASE: Final = re.compile(r"\d+(?:\.\d+)*")


@dataclass(frozen=True)
class Facts:
    """This box. Sizes in bytes."""

    name: str
    version: str
    memory: int
    cpu_flags: frozenset[str]
    gpu: bool


def unmet(requires: Requires, facts: Facts) -> Iterator[str]:
    """What is missing, in names and figures that need no translation."""
    if requires.device and requires.device != facts.name:
        yield requires.device
    if requires.at_least and _order(facts.version) < _order(requires.at_least):
        yield f"Hako ≥ {requires.at_least}"
    if requires.at_most and _order(facts.version) > _order(requires.at_most):
        yield f"Hako ≤ {requires.at_most}"
    if requires.memory_bytes > facts.memory:
        yield f"{requires.memory_bytes / 2**30:.1f} GiB RAM"
    if lacking := sorted(set(requires.cpu_flags) - facts.cpu_flags):
        yield f"CPU {' '.join(lacking)}"[:200]
    if requires.gpu and not facts.gpu:
        yield "NVIDIA GPU"


def _order(version: str) -> tuple[tuple[int, ...], bool]:
    """Sorts versions: figures first, and 1.2rc1 before 1.2. What is no version comes before all."""
    found = _RELEASE.match(version)
    if found is None:
        return (), False
    figures = [int(figure) for figure in found[0].split(".")]
    while figures and not figures[-1]:
        figures.pop()
    rest = version[found.end() :].lstrip(".-")
    return tuple(figures), not rest or rest.startswith("+")
