"""Memory and cores: of a process, of a process tree, and what the box has left."""

import contextlib
import os
from pathlib import Path

import psutil

_CGROUP = Path("/sys/fs/cgroup")


def cores() -> int:
    """Cores this process may run on."""
    return len(os.sched_getaffinity(0))


def cpu_flags(source: Path = Path("/proc/cpuinfo")) -> frozenset[str]:
    """What the processor can do, as the kernel names it, e.g. `avx2`; nothing where it doesn't say."""
    try:
        lines = source.read_text("ascii", "replace").splitlines()
    except OSError:
        return frozenset()
    named = (line.partition(":")[2] for line in lines if line.startswith(("flags", "Features")))
    return frozenset(next(named, "").split())


def has_gpu(devices: Path = Path("/dev")) -> bool:
    """Whether the driver of an NVIDIA GPU shows one."""
    return any(devices.glob("nvidia[0-9]*"))


def cpu_used() -> float:
    """The share of all cores' time that was used since this process asked last, 0–1; since its start at first."""
    return round(float(psutil.cpu_percent(interval=None)) / 100, 3)


def rss(pid: int) -> int:
    """Resident bytes of one process; 0 when it is gone."""
    try:
        return int(psutil.Process(pid).memory_info().rss)
    except psutil.Error:
        return 0


def mapped(pid: int) -> int:
    """Resident bytes of one process that are parts of files: the kernel calls them free, but they are in use."""
    try:
        return int(psutil.Process(pid).memory_info().shared)
    except psutil.Error:
        return 0


def read_of(pid: int, folder: Path, processes: Path = Path("/proc")) -> int:
    """Bytes of the files below `folder` that a process of this account has read: mapped and in memory, or by reading.

    0 when it is gone or can't be looked at. What it mapped and let go of again does not count.
    """
    root = os.fsencode(folder) + b"/"
    known: dict[bytes, int] = {}
    own = processes / str(pid)
    try:
        name = b""
        for line in (own / "smaps").read_bytes().splitlines():
            first, _, rest = line.partition(b" ")
            if not first.endswith(b":"):  # a mapping's own line: addresses, rights, offset, device, inode, file
                path = rest.split(maxsplit=4)[4:]
                name = path[0] if path and path[0].startswith(root) else b""
            elif name and first == b"Rss:":
                known[name] = known.get(name, 0) + int(rest.split()[0]) * 1024
        for number in (own / "fd").iterdir():
            with contextlib.suppress(FileNotFoundError):  # closed meanwhile
                name = os.fsencode(number.readlink())
                if name.startswith(root):
                    place = (own / "fdinfo" / number.name).read_bytes().split(maxsplit=2)[1]
                    known[name] = max(known.get(name, 0), int(place))
    except (OSError, ValueError, IndexError):
        pass
    return sum(known.values())


def pss(pid: int) -> int:
    """Proportional bytes of one process: shared pages count by share, so that the sum over processes is honest.

    0 when the process is gone or belongs to somebody else.
    """
    try:
        return int(psutil.Process(pid).memory_full_info().pss)
    except (psutil.Error, OSError):
        return 0


def tree(pid: int) -> list[int]:
    """The process and all its descendants that live now."""
    try:
        root = psutil.Process(pid)
        return [root.pid, *(child.pid for child in root.children(recursive=True))]
    except psutil.Error:
        return []


def total() -> int:
    """Bytes of memory this box, or the control group it runs in, may use."""
    limit = _cgroup_value("memory.max")
    physical = int(psutil.virtual_memory().total)
    return min(physical, limit) if limit else physical


def available() -> int:
    """Bytes that can still be taken without swapping; files that are merely remembered don't count as taken."""
    free = int(psutil.virtual_memory().available)
    limit, used = _cgroup_value("memory.max"), _cgroup_value("memory.current")
    if limit and used is not None:
        free = min(free, max(0, limit - used + _cgroup_files()))
    return free


def _cgroup_files() -> int:
    try:
        lines = (_CGROUP / "memory.stat").read_text("ascii").splitlines()
    except (OSError, UnicodeDecodeError):
        return 0
    figures = dict(line.split(" ", 1) for line in lines if " " in line)
    return sum(int(figures.get(name, 0)) for name in ("active_file", "inactive_file"))


def _cgroup_value(name: str) -> int | None:
    try:
        text = (_CGROUP / name).read_text("ascii").strip()
    except (OSError, UnicodeDecodeError):
        return None
    return int(text) if text.isdigit() else None
