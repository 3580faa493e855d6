"""A zygote like the real one, whose children do what the name of the document says: attack, hang, crash, lie.

Run as `python -m tests.simulators.hostile_zygote [--nobody] FD`.
"""

import contextlib
import ctypes
import errno
import mmap
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from appliance.config import Limits
from appliance.knowledge.extract.contract import Block, Extracted, ExtractLimits, Page, Progress
from appliance.knowledge.sandbox import wire, zygote

COMMAND = (sys.executable, "-m", "tests.simulators.hostile_zygote")
LIMITS = Limits(parse_seconds=30, parse_memory_mb=512)
NOBODY = 65534
_PREPARED = (time, threading, errno)


def answer(*texts: str) -> Extracted:
    return Extracted("txt", "title", (Page(1, tuple(Block("paragraph", text) for text in texts)),))


def _call(name: str, *arguments: object) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if getattr(libc, name)(*arguments) < 0:
        raise OSError(ctypes.get_errno(), name)


def _thread() -> None:
    threading.Thread(target=time.sleep, args=(0,)).start()


ATTEMPTS: dict[str, Callable[[], object]] = {
    "inet socket": lambda: socket.socket(socket.AF_INET),
    "unix socket": lambda: socket.socket(socket.AF_UNIX),
    "socket pair": socket.socketpair,
    "read a file": lambda: os.open("/etc/passwd", os.O_RDONLY),
    "write a file": lambda: os.open("/tmp/hako-jail", os.O_WRONLY | os.O_CREAT),
    "list a folder": lambda: list(Path("/").iterdir()),
    "make a folder": lambda: Path("/tmp/hako-jail").mkdir(),
    "look at a file": lambda: Path("/etc/passwd").stat(),
    "rename": lambda: Path("/tmp/hako-a").rename("/tmp/hako-b"),
    "execute": lambda: os.execv("/bin/true", ["true"]),
    "fork": os.fork,
    "thread": _thread,
    "signal the parent": lambda: os.kill(os.getppid(), 0),
    "signal everybody": lambda: os.kill(-1, 0),
    "memory to run": lambda: mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC),
    "file in memory": lambda: os.memfd_create("x"),
    "pipe": os.pipe,
    "trace": lambda: _call("ptrace", 16, os.getppid(), None, None),
    "mount": lambda: _call("mount", b"none", b"/mnt", b"tmpfs", 0, None),
    "read another's memory": lambda: _call("process_vm_readv", os.getppid(), None, 0, None, 0, 0),
    "become root": lambda: os.setuid(0),
    "new namespace": lambda: _call("unshare", 0x20000),
    "raise a limit": lambda: _call("setrlimit", 9, (ctypes.c_ulong * 2)(1 << 40, 1 << 40)),
    "keyring": lambda: _call("syscall", 250, 0, -3, 0),
    "ring of requests": lambda: _call("syscall", 425, 8, ctypes.create_string_buffer(256)),
    "kernel program": lambda: _call("syscall", 321, 0, None, 0),
}


def probe() -> Extracted:
    """Try everything; one line each: what happened."""
    lines = []
    for name, attempt in ATTEMPTS.items():
        try:
            attempt()
        except OSError as error:
            lines.append(f"{name}: {errno.errorcode.get(error.errno or 0, '?')}")
        except RuntimeError:
            lines.append(f"{name}: EPERM")
        else:
            lines.append(f"{name}: done")
    return answer(*lines)


def _everywhere(data: bytes) -> None:
    """Write to whatever is open."""
    for handle in range(3, 16):
        with contextlib.suppress(OSError):
            os.write(handle, data)


def behave(stream: BinaryIO, name: str, _limits: ExtractLimits, progress: Progress) -> Extracted:
    """Do what the name says; any other name: give back the document as it is."""
    if name == "probe":
        return probe()
    if name == "identity":
        return answer(f"{os.getuid()} {os.getpid()}")
    if name == "memory":
        hoard = []
        while True:
            hoard.append(bytearray(1 << 24))
    if name == "loop":
        while True:
            pass
    if name == "sleep":
        progress(3, 7)
        time.sleep(600)
    if name == "segv":
        ctypes.string_at(8)
    if name == "abort":
        os.abort()
    if name == "xcpu":
        os.kill(os.getpid(), signal.SIGXCPU)
    if name == "quit":
        os._exit(0)
    if name == "overwrite":
        with contextlib.suppress(OSError):
            os.write(stream.fileno(), b"changed")
            return answer("changed")
        return answer("sealed")
    if name == "lie":
        _everywhere(wire.frame(wire.HEADER, b"exe\n<script>"))
    if name == "flood":
        while True:
            _everywhere(wire.progress_frame(1, 2) * 1000)
    if name == "steps":
        for step in range(4):
            progress(step, 4)
            time.sleep(0.06)
    return answer(stream.read().decode())


if __name__ == "__main__":
    if "--nobody" in sys.argv and os.getuid() == 0:
        zygote.preload()
        os.setgroups([])
        os.setresgid(NOBODY, NOBODY, NOBODY)
        os.setresuid(NOBODY, NOBODY, NOBODY)
    if "--broken" in sys.argv:
        sys.exit(7)
    zygote.run(behave)
