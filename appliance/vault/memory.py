"""The master key in memory: a locked page of its own, and a process that leaves no core dump.

What this gives: the page is never written to swap (where the system lets us lock it) and is zeroed when the vault
is sealed; nobody of the same user can attach a debugger or read the memory, and a crash writes nothing to the disk.
What Python can't promise: passphrases and derived keys are ordinary objects. Copies of them, and of the master key
while a key is derived from it, lie on the unlocked heap until that memory is used again, and are not zeroed.
Encrypted swap, or none, remains the machine's duty.
"""

import contextlib
import ctypes
import mmap
import resource

from appliance import logs
from appliance.vault.digests import KEY_BYTES, check_key

log = logs.get(__name__)

_PR_SET_DUMPABLE = 4
_LIBC = ctypes.CDLL(None, use_errno=True)


class LockedKey:
    """One key of 32 bytes; not safe to share between threads without a lock."""

    def __init__(self, key: bytes) -> None:
        self._page = mmap.mmap(-1, mmap.PAGESIZE)
        self.locked = self._lock()
        """Whether the system keeps the page out of swap."""
        self._page[:KEY_BYTES] = check_key(key)

    def copy(self) -> bytes:
        """The key as bytes, for one computation.

        Raises:
            ValueError: wiped already.
        """
        return self._page[:KEY_BYTES]

    def wipe(self) -> None:
        """Zero the page and give it back."""
        self._page[:KEY_BYTES] = bytes(KEY_BYTES)
        self._page.close()

    def _lock(self) -> bool:
        with contextlib.suppress(OSError):  # an old kernel: no core dump is written anyway
            self._page.madvise(mmap.MADV_DONTDUMP)
            self._page.madvise(mmap.MADV_DONTFORK)
        address = ctypes.addressof(ctypes.c_char.from_buffer(self._page))
        failed = _LIBC.mlock(ctypes.c_void_p(address), ctypes.c_size_t(mmap.PAGESIZE))
        if failed:
            log.warning("memory_not_locked", errno=ctypes.get_errno())
        return not failed


def harden() -> None:
    """No core dumps of this process, and no debugger by other processes of the same user."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if _LIBC.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0):
        log.warning("process_stays_dumpable", errno=ctypes.get_errno())
