"""What kind of processor this is, as far as it changes the last digits of what a model computes."""

from functools import cache
from pathlib import Path
from typing import Final

_CPUINFO: Final = Path("/proc/cpuinfo")
_TELLING: Final = (
    "avx", "avx2", "fma", "f16c", "avx_vnni", "avx512f", "avx512_vnni", "avx512_bf16", "amx_int8", "amx_bf16",
    "asimddp", "i8mm", "bf16", "sve", "sve2",
)  # fmt: skip
"""Instructions for which engines have code of its own."""


@cache
def kind() -> str:
    """The names of those instructions, e.g. `avx avx2 fma f16c`; `plain` where there are none or none is known."""
    try:
        lines = _CPUINFO.read_text("utf-8", "replace").splitlines()
    except OSError:
        return "plain"
    return kind_of(lines)


def kind_of(lines: list[str]) -> str:
    """The same, from the lines of a `/proc/cpuinfo`."""
    for line in lines:
        name, _, value = line.partition(":")
        if name.strip() in ("flags", "Features"):
            there = frozenset(value.split())
            return " ".join(flag for flag in _TELLING if flag in there) or "plain"
    return "plain"
