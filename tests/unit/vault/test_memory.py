"""The master key in memory, and the process around it."""

import subprocess
import sys
from pathlib import Path

import pytest

from appliance.errors import VaultDamagedError
from appliance.vault import memory

_HARDENED = """
import ctypes, resource
from appliance.vault import memory
PR_GET_DUMPABLE = 3
libc = ctypes.CDLL(None)
hard = resource.getrlimit(resource.RLIMIT_CORE)[1]
resource.setrlimit(resource.RLIMIT_CORE, (hard, hard))
before = libc.prctl(PR_GET_DUMPABLE, 0, 0, 0, 0)
memory.harden()
print(before, libc.prctl(PR_GET_DUMPABLE, 0, 0, 0, 0), *resource.getrlimit(resource.RLIMIT_CORE))
"""


def test_a_hardened_process_can_not_be_dumped_or_traced() -> None:
    seen = subprocess.run([sys.executable, "-c", _HARDENED], capture_output=True, text=True, check=True, timeout=60)
    assert seen.stdout.split() == ["1", "0", "0", "0"]


def test_a_held_key_is_locked_in_memory_and_gone_when_wiped() -> None:
    held = memory.LockedKey(bytes(range(32)))
    assert held.copy() == bytes(range(32))
    assert held.locked == _locked_somewhere()
    held.wipe()
    with pytest.raises(ValueError):
        held.copy()


def _locked_somewhere() -> bool:
    """Whether the kernel counts locked pages of this process."""
    status = Path("/proc/self/status").read_text("ascii")
    return int(status.split("VmLck:")[1].split()[0]) > 0


def test_only_a_whole_key_is_held() -> None:
    with pytest.raises(VaultDamagedError):
        memory.LockedKey(b"short")
