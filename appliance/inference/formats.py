"""What kind of file this is, by its first bytes: names such as `.gguf` can be given to anything."""

from typing import Final

HEAD_BYTES: Final = 64

BEFORE_GGUF: Final = frozenset({"GGML", "GGMF", "GGJT"})
"""They name neither the model's architecture nor a template: nothing can be checked before an engine reads them."""

_BEGINNINGS: Final[tuple[tuple[bytes, str], ...]] = (
    (b"GGUF", "GGUF"),
    (b"PK\x03\x04", "ZIP"),
    (b"PK\x05\x06", "ZIP"),
    (b"\x89HDF\r\n\x1a\n", "HDF5"),
    (b"\x93NUMPY", "NumPy"),
    (b"\x1f\x8b", "gzip"),
    (b"BZh", "bzip2"),
    (b"\xfd7zXZ\x00", "XZ"),
    (b"\x28\xb5\x2f\xfd", "Zstandard"),
    (b"7z\xbc\xaf\x27\x1c", "7-Zip"),
    (b"Rar!\x1a\x07", "RAR"),
    (b"lmgg", "GGML"),
    (b"tjgg", "GGJT"),
    (b"fmgg", "GGMF"),
    (b"%PDF-", "PDF"),
    (b"\x7fELF", "ELF"),
)
_PICKLE_PROTOCOLS: Final = range(2, 6)
_TFLITE: Final = b"TFL3"
_IR_VERSION: Final = b"\x08"
"""The first field of ONNX's only message, which every known writer puts first."""
_IR_VERSIONS: Final = range(3, 33)


def of(head: bytes) -> str:
    """Its name as people know it, e.g. `GGUF`, `ONNX` or `pickle`; empty if it begins like nothing known."""
    for beginning, name in _BEGINNINGS:
        if head.startswith(beginning):
            return name
    if head[:1] == b"\x80" and head[1:2] and head[1] in _PICKLE_PROTOCOLS:
        return "pickle"
    if head[4:8] == _TFLITE:
        return "TensorFlow Lite"
    if head[8:10] == b'{"' and int.from_bytes(head[:8], "little") < 1 << 32:
        return "safetensors"
    if head[:1] == _IR_VERSION and len(head) > 1 and head[1] in _IR_VERSIONS:
        return "ONNX"
    return ""
