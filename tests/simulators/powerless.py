"""Root as its units have it: without its powers, it reads and writes only what the files' modes let it."""

import ctypes
import os
from typing import Final

_VERSION_3: Final = 0x20080522


def become() -> None:
    """Give up every capability of this process, as `CapabilityBoundingSet=` does. Raises OSError."""
    header = (ctypes.c_uint32 * 2)(_VERSION_3, 0)
    none = (ctypes.c_uint32 * 6)()
    if ctypes.CDLL(None, use_errno=True).capset(header, none) != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
