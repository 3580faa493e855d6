"""The system calls that a child may still make, as a hand-assembled filter program for the kernel."""

import ctypes
import os
import platform
import struct

# Classic BPF, as <linux/bpf_common.h> and <linux/seccomp.h> number it.
_LOAD, _EQUAL, _SET, _RETURN = 0x20, 0x15, 0x45, 0x06
_ALLOW, _ERRNO, _KILL = 0x7FFF0000, 0x00050000, 0x80000000
_EPERM = 1
_NUMBER, _ARCHITECTURE, _ARGUMENTS = 0, 4, 16
_X32 = 0x40000000
_PR_SET_SECCOMP, _MODE_FILTER = 22, 2
_PROT_EXEC = 4
_AT_EMPTY_PATH = 0x1000

_ARCHITECTURES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
# Memory, clocks, signals to itself, and reading and writing what is open already: name -> (x86-64, arm64).
_ALLOWED = {
    "read": (0, 63), "write": (1, 64), "close": (3, 57), "lseek": (8, 62), "munmap": (11, 215), "brk": (12, 214),
    "rt_sigaction": (13, 134), "rt_sigprocmask": (14, 135), "rt_sigreturn": (15, 139), "pread64": (17, 67),
    "readv": (19, 65), "writev": (20, 66), "sched_yield": (24, 124), "mremap": (25, 216), "madvise": (28, 233),
    "getpid": (39, 172), "exit": (60, 93), "uname": (63, 160), "getrlimit": (97, 163), "getrusage": (98, 165),
    "sysinfo": (99, 179), "times": (100, 153), "getuid": (102, 174), "getgid": (104, 176), "geteuid": (107, 175),
    "getegid": (108, 177), "sigaltstack": (131, 132), "gettid": (186, 178), "futex": (202, 98),
    "sched_getaffinity": (204, 123), "clock_gettime": (228, 113), "clock_getres": (229, 114),
    "clock_nanosleep": (230, 115), "exit_group": (231, 94), "set_robust_list": (273, 99), "getrandom": (318, 278),
    "membarrier": (324, 283), "rseq": (334, 293), "fstat": (5, 80), "nanosleep": (35, 101),
    "restart_syscall": (219, 128), "sched_getparam": (143, 121), "get_robust_list": (274, 100),
    "gettimeofday": (96, 169),
}  # fmt: skip
_X86_ONLY = {"time": 201}
# Allowed for one value of one argument: name -> (x86-64, arm64).
_KILL_OWN = {"kill": (62, 129), "tgkill": (234, 131)}
_MAP = {"mmap": (9, 222), "mprotect": (10, 226)}
_NEWFSTATAT = (262, 79)


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.c_char_p))


def program(machine: str, pid: int) -> bytes:
    """The filter for a processor: everything not named gets EPERM, another architecture's calls end the process.

    Raises:
        KeyError: a processor whose numbers aren't known here.
    """
    architecture = _ARCHITECTURES[machine]
    column = 0 if machine == "x86_64" else 1
    code = [
        _step(_LOAD, _ARCHITECTURE),
        _step(_EQUAL, architecture, yes=1),
        _step(_RETURN, _KILL),
        _step(_LOAD, _NUMBER),
    ]
    if machine == "x86_64":  # the 32-bit pointer calls share the architecture but not the numbers
        code += [_step(_SET, _X32, no=1), _step(_RETURN, _KILL)]
    numbers = [entry[column] for entry in _ALLOWED.values()]
    numbers += list(_X86_ONLY.values()) if machine == "x86_64" else []
    for number in numbers:
        code += [_step(_EQUAL, number, no=1), _step(_RETURN, _ALLOW)]
    for entry in _KILL_OWN.values():  # abort() sends itself a signal; nobody else gets one
        code += _guarded(entry[column], 0, [_step(_EQUAL, pid, no=1), _step(_RETURN, _ALLOW)])
    for entry in _MAP.values():  # memory, but none that could be run
        code += _guarded(entry[column], 2, [_step(_SET, _PROT_EXEC, yes=1), _step(_RETURN, _ALLOW)])
    # How a C library asks about an open file.
    code += _guarded(_NEWFSTATAT[column], 3, [_step(_SET, _AT_EMPTY_PATH, no=1), _step(_RETURN, _ALLOW)])
    code.append(_step(_RETURN, _ERRNO | _EPERM))
    return b"".join(code)


def close() -> bool:
    """Put the filter on this process, for good; false where the kernel or the processor doesn't know how."""
    try:
        code = program(platform.machine(), os.getpid())
    except KeyError:
        return False
    libc = ctypes.CDLL(None, use_errno=True)
    instructions = ctypes.c_char_p(code)
    loaded = _Program(len(code) // 8, instructions)
    return bool(libc.prctl(_PR_SET_SECCOMP, _MODE_FILTER, ctypes.byref(loaded), 0, 0) == 0)


def _step(operation: int, value: int, yes: int = 0, no: int = 0) -> bytes:
    """One instruction; `yes` and `no` say how many to skip after a comparison."""
    return struct.pack("=HBBI", operation, yes, no, value & 0xFFFFFFFF)


def _guarded(number: int, argument: int, test: list[bytes]) -> list[bytes]:
    """For one call, a test of the lower half of an argument; refused if it fails."""
    body = [_step(_LOAD, _ARGUMENTS + 8 * argument), *test, _step(_RETURN, _ERRNO | _EPERM)]
    return [_step(_EQUAL, number, no=len(body)), *body]
