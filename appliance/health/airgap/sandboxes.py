"""The box's processes as the kernel shows them: whose network they have, and whether they are shut in."""

import contextlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from appliance.health.airgap.facts import Network, Process, Processes, State, Why
from appliance.machine import leaving

_MODULES: Final = {
    b"appliance.processes": "",
    b"appliance.inference.child": "model",
    b"appliance.knowledge.sandbox.zygote": "documents",
}
"""What a process of the box is started with; the first names itself in its next word."""
_FILTER: Final = "2"


def seen(proc: Path, *, is_closed: bool, filtered: frozenset[str] = frozenset()) -> Processes:
    """All that can be found in `proc`. `is_closed`: each should have a network of its own, as under units.

    `filtered`: units that have the machine's, and whose filter of addresses shuts them in.
    """
    found = sorted(_processes(proc, filtered), key=lambda each: (each.name, each.pid))
    if not found:
        return Processes(state="unknown", why="no-right")
    inside = [each for each in found if each.name != "egress"]
    about = []
    if any(each.network == "machine" for each in inside):
        about.append("machine-network")
    if any(each.no_new_privileges is False for each in inside) and is_closed:
        about.append("new-privileges")
    unseen = any(not each.network for each in inside)
    state: State = ("error" if is_closed else "warning") if about else "unknown" if unseen else "ok"
    why: Why = "no-right" if state == "unknown" else ""
    return Processes(state=state, why=why, about=tuple(about), processes=tuple(found))


def _processes(proc: Path, filtered: frozenset[str]) -> Iterator[Process]:
    for folder in proc.iterdir():
        if not folder.name.isdigit():
            continue
        with contextlib.suppress(OSError):  # it ended meanwhile, or isn't ours
            name = _name((folder / "cmdline").read_bytes().split(b"\0"))
            if name:
                yield _process(name, folder, filtered)


def _name(words: list[bytes]) -> str:
    for module, name in _MODULES.items():
        if module in words:
            after = words[words.index(module) + 1 :]
            return name or (after[0].decode("ascii", "replace") if after else "")
    return ""


def _process(name: str, folder: Path, filtered: frozenset[str]) -> Process:
    status = dict(line.partition(":")[::2] for line in (folder / "status").read_text("utf-8", "replace").splitlines())
    try:
        cards: Iterable[str] | None = leaving.interfaces(folder)
    except OSError:
        cards = None
    network: Network = "" if cards is None else "own" if set(cards) <= leaving.NO_WAY_OUT else "machine"
    if network == "machine" and filtered and _unit(folder) in filtered:
        network = "filtered"
    return Process(
        name=name[:40],
        pid=int(folder.name),
        network=network,
        interfaces=tuple(sorted(cards or ())),
        no_new_privileges=_flag(status, "NoNewPrivs", "1"),
        seccomp=_flag(status, "Seccomp", _FILTER),
        capabilities=status.get("CapEff", "").strip(),
    )


def _unit(folder: Path) -> str:
    """Whose process it is by its control group, which it can't choose; empty where that isn't told."""
    try:
        return (folder / "cgroup").read_text("utf-8", "replace").strip().rpartition("/")[2]
    except OSError:
        return ""


def _flag(status: dict[str, str], name: str, yes: str) -> bool | None:
    return status[name].strip() == yes if name in status else None
