"""The jail around a child that reads an untrusted file: limits, no network, no identity, no files, few system calls."""

import ctypes
import os
import platform
import resource
import struct
from collections.abc import Callable
from dataclasses import dataclass

from appliance.machine import seccomp

_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE, _PR_SET_NO_NEW_PRIVS = 1, 4, 38
_CLONE_NEWUSER, _CLONE_NEWNET, _CLONE_NEWIPC = 0x10000000, 0x40000000, 0x08000000
_NOBODY = 65534
_OPEN_FILES = 16
_SIGKILL = 9

# Landlock has no wrapper in the C library; the numbers are the same on x86-64 and arm64.
_LANDLOCK_CREATE, _LANDLOCK_RESTRICT = 444, 446
_LANDLOCK_VERSION = 1
# What can be forbidden: about files (by version of the kernel's interface), about ports, about other processes.
_FILES = {1: 0x1FFF, 2: 0x3FFF, 3: 0x7FFF, 4: 0x7FFF, 5: 0xFFFF}
_NETWORK = 0x3
_SCOPES = 0x3

LAYERS = ("limits", "no-new-privileges", "namespaces", "nobody", "landlock", "seccomp")
"""Outermost first. All but `namespaces`, `nobody` and `landlock` hold on every kernel that Hako runs on."""
REQUIRED = frozenset({"limits", "no-new-privileges", "seccomp"})
NOT_JAILED = 3
"""Exit status of a child that couldn't shut itself in and so read nothing."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What the kernel lets the child use."""

    memory_bytes: int
    cpu_seconds: int
    file_bytes: int = 0
    """How long a file that is open for writing may become."""


_TRIAL = Limits(memory_bytes=1 << 30, cpu_seconds=5)


def close(limits: Limits) -> tuple[str, ...]:
    """Shut this process in, for good. Call it with one thread, nothing open but what is needed, all modules loaded.

    Returns:
        The layers that took hold, out of `LAYERS`.
    """
    steps: tuple[Callable[[], bool], ...] = (
        lambda: _limit(limits),
        _no_new_privileges,
        _leave_namespaces,
        _become_nobody,
        _forbid_files,
        seccomp.close,
    )
    return tuple(name for name, step in zip(LAYERS, steps, strict=True) if _held(step))


def enter(limits: Limits) -> None:
    """Shut this process in as `close` does, or end it with `NOT_JAILED`: no untrusted byte is read outside."""
    if not set(close(limits)) >= REQUIRED:
        os._exit(NOT_JAILED)


def main() -> None:
    """Shut this process in, write which layers took hold, and end: `python -m appliance.machine.jail`."""
    layers = close(_TRIAL)
    os.write(1, " ".join(layers).encode())
    os._exit(0)


def environment() -> dict[str, str]:
    """What a child needs of this process's environment to find Python and its modules, and nothing else."""
    return {name: os.environ[name] for name in ("PATH", "PYTHONPATH") if name in os.environ}


def _held(step: Callable[[], bool]) -> bool:
    try:
        return step()
    except (OSError, ValueError):
        return False


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _limit(limits: Limits) -> bool:
    for kind, soft, hard in (
        (resource.RLIMIT_AS, limits.memory_bytes, limits.memory_bytes),
        (resource.RLIMIT_CPU, limits.cpu_seconds, limits.cpu_seconds + 1),
        (resource.RLIMIT_FSIZE, limits.file_bytes, limits.file_bytes),
        (resource.RLIMIT_NOFILE, _OPEN_FILES, _OPEN_FILES),
        (resource.RLIMIT_CORE, 0, 0),
        (resource.RLIMIT_NPROC, 0, 0),
    ):
        resource.setrlimit(kind, (soft, hard))
    return True


def _no_new_privileges() -> bool:
    return bool(_libc().prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0)


def _leave_namespaces() -> bool:
    """An empty network and nobody else's shared memory; not every service manager allows it."""
    flags = _CLONE_NEWNET | _CLONE_NEWIPC
    if os.geteuid() != 0:
        flags |= _CLONE_NEWUSER
    return bool(_libc().unshare(flags) == 0)


def _become_nobody() -> bool:
    if os.geteuid() == 0:
        os.setgroups([])
        os.setresgid(_NOBODY, _NOBODY, _NOBODY)
        os.setresuid(_NOBODY, _NOBODY, _NOBODY)
    libc = _libc()
    libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
    libc.prctl(_PR_SET_PDEATHSIG, _SIGKILL, 0, 0, 0)  # a change of user has just cleared it
    return os.geteuid() != 0


def _forbid_files() -> bool:
    """Landlock: no file can be opened, listed, made or removed, no port bound or connected to."""
    if platform.machine() not in ("x86_64", "aarch64"):
        return False
    libc = _libc()
    version = libc.syscall(_LANDLOCK_CREATE, None, ctypes.c_size_t(0), _LANDLOCK_VERSION)
    if version < 1:
        return False
    rules = struct.pack("=Q", _FILES[min(version, 5)])
    if version >= 4:
        rules += struct.pack("=Q", _NETWORK)
    if version >= 6:
        rules += struct.pack("=Q", _SCOPES)
    handle = libc.syscall(_LANDLOCK_CREATE, rules, ctypes.c_size_t(len(rules)), 0)
    if handle < 0:
        return False
    try:
        return bool(libc.syscall(_LANDLOCK_RESTRICT, handle, 0) == 0)
    finally:
        os.close(handle)


if __name__ == "__main__":
    main()
