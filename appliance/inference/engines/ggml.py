"""Makes a model file smaller, in a throw-away jailed child: `python -m appliance.inference.engines.ggml` is that child.

The child gets the open file as its standard input and the number of another open file to write to, loads ggml
out of the engine's own library, shuts itself in, and says on standard output how far it is. One thread: the others
of the box are for answers.
"""

import ctypes
import errno
import json
import mmap
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import xllamacpp.xllamacpp
from numpy.typing import NDArray

from appliance.inference import requantise
from appliance.inference.gguf import HEADER_BYTES, GgufError, parse
from appliance.inference.gguf_layout import Layout, Placed, layout, padded, row_bytes
from appliance.inference.gguf_types import TENSORS
from appliance.inference.quantisations import NATIVE, READABLE, Mixture, NothingGainedError, mixture
from appliance.machine import jail

Floats = NDArray[np.float32]

_MEMORY_BYTES: Final = 3 << 30
_CHUNK_NUMBERS: Final = 1 << 21
"""Numbers worked on at once: 8 MB of floats."""


class Ggml:
    """The two functions that are needed out of llama.cpp's library."""

    def __init__(self) -> None:
        library = ctypes.CDLL(xllamacpp.xllamacpp.__file__)
        self._quantise = library.ggml_quantize_chunk
        self._quantise.restype = ctypes.c_size_t
        self._quantise.argtypes = [
            ctypes.c_int,
            ctypes.c_void_p,
            ctypes.c_void_p,
            *[ctypes.c_int64] * 3,
            ctypes.c_void_p,
        ]
        self._readers = {name: _reader(library, name) for name in NATIVE}

    def floats(self, raw: bytes, kind: int, count: int) -> Floats:
        """`count` numbers of a type in `READABLE`."""
        name = TENSORS[kind].name
        if name == "F32":
            return np.frombuffer(raw, "<f4")
        if name == "F16":
            return np.frombuffer(raw, "<f2").astype(np.float32)
        if name == "BF16":
            return (np.frombuffer(raw, "<u2").astype(np.uint32) << 16).view(np.float32)
        numbers = np.empty(count, np.float32)
        self._readers[name](raw, numbers.ctypes.data, count)
        return numbers

    def packed(self, numbers: Floats, kind: int, row: int) -> bytes:
        """Whole rows as that type.

        Raises:
            NothingGainedError: ggml makes something else of them than the format says.
        """
        if TENSORS[kind].name == "F16":
            with np.errstate(over="ignore"):
                return numbers.astype("<f2").tobytes()
        rows = numbers.size // row
        target = ctypes.create_string_buffer(rows * row_bytes(row, kind))
        made = self._quantise(kind, numbers.ctypes.data, target, 0, rows, row, None)
        if made != len(target):
            raise NothingGainedError(f"ggml made {made} bytes instead of {len(target)}")
        return target.raw


def _reader(library: ctypes.CDLL, name: str) -> Callable[[bytes, int, int], None]:
    prefix, _, size = name.rpartition("_")
    found = library[f"dequantize_row_{prefix.lower()}_{size if size == 'K' else size.lower()}"]
    found.restype = None
    found.argtypes = [ctypes.c_char_p, ctypes.c_void_p, ctypes.c_int64]
    return found


@dataclass
class _Writer:
    """From one open file into the other; `total` counts the bytes of the new file."""

    ggml: Ggml
    target: int
    total: int
    done: int = 0

    def write(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            view = view[os.write(self.target, view) :]
        self.done += len(data)
        _say({"done": self.done, "total": self.total})

    def tensor(self, tensor: Placed, kind: int, alignment: int) -> None:
        rows_at_once = max(1, _CHUNK_NUMBERS // tensor.row)
        place, left = tensor.start, tensor.rows
        while left:
            rows = min(rows_at_once, left)
            raw = _read(place, rows * row_bytes(tensor.row, tensor.kind))
            same = kind == tensor.kind
            self.write(raw if same else self._smaller(raw, tensor, kind, rows))
            place, left = place + len(raw), left - rows
        size = tensor.size(kind)
        if filling := padded(size, alignment) - size:
            self.write(bytes(filling))

    def _smaller(self, raw: bytes, tensor: Placed, kind: int, rows: int) -> bytes:
        return self.ggml.packed(self.ggml.floats(raw, tensor.kind, rows * tensor.row), kind, tensor.row)


def _read(place: int, size: int) -> bytes:
    parts = []
    while size:
        part = os.pread(0, size, place)
        if not part:
            raise GgufError("ends in the middle of a tensor")
        parts.append(part)
        place, size = place + len(part), size - len(part)
    return parts[0] if len(parts) == 1 else b"".join(parts)


def _say(message: dict[str, Any]) -> None:
    os.write(1, json.dumps(message).encode() + b"\n")


def _run(ggml: Ggml, data: mmap.mmap, size: int, target: int, to: str) -> None:
    parse(data, size)
    found: Layout = layout(data)
    wanted: Mixture = mixture(found, to, READABLE)
    header = found.header(wanted.kinds, wanted.file_type)
    total = len(header) + sum(
        padded(tensor.size(kind), found.alignment) for tensor, kind in zip(found.tensors, wanted.kinds, strict=True)
    )
    _say({"size": total})
    writer = _Writer(ggml, target, total)
    writer.write(header)
    for tensor, kind in zip(found.tensors, wanted.kinds, strict=True):
        writer.tensor(tensor, kind, found.alignment)
    _say({"made": writer.done})


def main() -> None:
    """The child: number of the file to write to, type to make. Ends at once, like `examine`."""
    target, to = int(sys.argv[1]), sys.argv[2]
    size = os.fstat(0).st_size
    ggml = Ggml()
    data = mmap.mmap(0, min(size, HEADER_BYTES), prot=mmap.PROT_READ)
    limits = jail.Limits(_MEMORY_BYTES, cpu_seconds=requantise.cpu_seconds(size), file_bytes=size)
    jail.enter(limits)
    try:
        _run(ggml, data, size, target, to)
    except NothingGainedError as refused:
        _say({"refused": str(refused)})
    except (GgufError, MemoryError) as refused:
        _say({"damaged": str(refused)})
    except OSError as error:
        _say({"full": True} if error.errno in (errno.ENOSPC, errno.EDQUOT) else {"damaged": f"errno {error.errno}"})
    os._exit(0)


if __name__ == "__main__":
    main()
