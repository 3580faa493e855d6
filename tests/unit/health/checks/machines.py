"""Recorded machines: files below a folder, answers of programs, and the room of a disk."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from appliance.health.finding import Look
from appliance.health.host import Disk, Host

GIB = 1 << 30


def host(
    root: Path,
    files: Mapping[str, str | bytes] | None = None,
    answers: Mapping[str, str | None] | None = None,
    disk: Disk | None = None,
) -> Host:
    """`answers` by command line; other programs aren't there. Files may be overwritten by a later call."""
    for path, content in (files or {}).items():
        place = root / path.lstrip("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content.encode() if isinstance(content, str) else content)
    known = dict(answers or {})

    def run(command: Sequence[str]) -> str | None:
        return known.get(" ".join(command))

    return Host(root, run, lambda _folder: disk)


def found(look: Look) -> list[tuple[str, str]]:
    return [(finding.name, finding.state) for finding in look.findings]


def is_unknown(look: Look) -> bool:
    return look.state == "unknown" and bool(look.note) and not look.findings
