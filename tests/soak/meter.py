"""What a box under load takes: memory, descriptors and threads of each kind of process, files, and lines of its log."""

import json
import os
from collections import Counter, defaultdict
from pathlib import Path

import psutil

from appliance.machine import resources
from tests.simulators.served import ServedBox
from tests.soak.judge import Sample
from tests.soak.record import Record

MIB = 1 << 20
_FLEETING = "reader"
"""Has children that end with their document; every other process stays as long as the box does."""
_TOLD_AS_WARNINGS = frozenset({"process_died", "process_killed", "zygote ended", "child_died", "child_exited"})


class Meter:
    """Reads a box from outside. Whatever must not be seen becomes a trouble of the record."""

    def __init__(self, box: ServedBox, temporary: Path, record: Record) -> None:
        self._box, self._temporary, self._record = box, temporary, record
        self._known: dict[tuple[int, float], str] = {}
        self._read_to = 0
        self.warnings: Counter[str] = Counter()

    def sample(self) -> Sample:
        """Everything that is counted, now; memory in MiB."""
        gauges: defaultdict[str, float] = defaultdict(float)
        alive: dict[tuple[int, float], str] = {}
        for pid in resources.tree(self._box.pid):
            try:
                process = psutil.Process(pid)
                kind = self._kind(process, alive)
                alive[pid, process.create_time()] = kind
                figures = {
                    "memory": resources.pss(pid) / MIB,
                    "private": _anonymous(pid),
                    "descriptors": process.num_fds(),
                    "threads": process.num_threads(),
                    "processes": 1,
                }
            except (psutil.Error, OSError):
                continue  # it has ended meanwhile
            for name, value in figures.items():
                gauges[f"{name} {kind}"] += value
                gauges[f"{name} all"] += value
        self._compare(alive)
        self._read_log()
        folder = self._box.folder
        gauges["run folder"] = _files(folder / "run")
        gauges["temporary files"] = _files(self._temporary)
        gauges["files of the box"] = _files(folder)
        gauges["write-ahead log"] = _size(folder / "hako.db-wal")
        gauges["database"] = _size(folder / "hako.db")
        gauges["log"] = _size(folder / "log" / "hako.log")
        return Sample(round(self._record.at_s, 1), dict(gauges))

    def _kind(self, process: psutil.Process, alive: dict[tuple[int, float], str]) -> str:
        words = process.cmdline()
        if "appliance.processes" in words:
            return str(words[words.index("appliance.processes") + 1])
        if "appliance.knowledge.sandbox.zygote" in words:
            return _FLEETING
        if "appliance.inference.child" in words:  # the embedding model is loaded first
            return self._known.get((process.pid, process.create_time())) or f"model {self._models(alive) + 1}"
        return "serve" if process.pid == self._box.pid else "other"

    @staticmethod
    def _models(alive: dict[tuple[int, float], str]) -> int:
        return sum(kind.startswith("model") for kind in alive.values())

    def _compare(self, alive: dict[tuple[int, float], str]) -> None:
        for process, kind in self._known.items():
            if process not in alive and kind not in (_FLEETING, "other"):
                self._record.trouble(f"the process {kind} ({process[0]}) has ended")
        self._known = alive

    def _read_log(self) -> None:
        path = self._box.folder / "log" / "hako.log"
        if _size(path) * MIB < self._read_to:  # it was put aside
            self._read_to = 0
        with path.open("rb") as file:
            file.seek(self._read_to)
            lines = file.read().splitlines(keepends=True)
        if lines and not lines[-1].endswith(b"\n"):
            lines.pop()
        self._read_to += sum(map(len, lines))
        for line in lines:
            self._judge(line.decode("utf-8", "replace").strip())

    def _judge(self, line: str) -> None:
        try:
            told = json.loads(line)
            level, event = told["level"], str(told["event"])
        except (ValueError, KeyError, TypeError):
            if "Traceback" in line or "Error" in line:
                self._record.trouble(f"log: {line[:300]}")
            return
        if level in ("error", "critical") or "exception" in told or event in _TOLD_AS_WARNINGS:
            self._record.trouble(f"log: {line[:600]}")
        elif level == "warning":
            self.warnings[f"{told.get('process')}: {event}"] += 1


def _anonymous(pid: int) -> float:
    """Memory that no file stands behind, in MiB: other boxes on this machine have no part in it, unlike in the PSS."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text("ascii").splitlines():
        if line.startswith("Pss_Anon:"):
            return int(line.split()[1]) / 1024
    return 0.0


def _files(folder: Path) -> int:
    return sum(len(files) for _root, _folders, files in os.walk(folder))


def _size(path: Path) -> float:
    try:
        return path.stat().st_size / MIB
    except FileNotFoundError:
        return 0.0
