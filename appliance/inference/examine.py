"""Reads the header of a model file in a throw-away jailed child: `python -m appliance.inference.examine` is that child.

The child gets the open file as its standard input, shuts itself in, and says on standard output what it found.
"""

import json
import mmap
import os
import re
import subprocess
import sys
from dataclasses import asdict
from typing import Final

from pydantic import TypeAdapter, ValidationError

from appliance.config import REPOSITORY
from appliance.errors import HakoError, ModelFileError
from appliance.inference.gguf import HEADER_BYTES, GgufError, Header, parse
from appliance.machine import jail

_SECONDS: Final = 60.0
_LIMITS: Final = jail.Limits(memory_bytes=1 << 30, cpu_seconds=30)
_ANSWER_BYTES: Final = 1 << 18
_REASON: Final = re.compile(r"[A-Za-z0-9 .,:_'-]{1,120}")
_HEADER: Final = TypeAdapter(Header)


def examine(descriptor: int, name: str) -> Header:
    """The header of the GGUF file that `descriptor` has open; `name` is what the user calls it.

    Raises:
        ModelFileError: damaged, cut off, not GGUF, or it took its reader down.
        HakoError: the child could not be started or shut in; the file is not at fault.
    """
    try:
        ended = subprocess.run(
            [sys.executable, "-m", "appliance.inference.examine"],
            stdin=descriptor,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd=REPOSITORY,
            env=jail.environment(),
            timeout=_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise ModelFileError("reader took too long", name=name) from None
    except OSError as error:
        raise HakoError(f"reader of model files: {error}") from error
    if ended.returncode == jail.NOT_JAILED:
        raise HakoError("reader of model files: no jail")
    return _understood(ended.stdout[:_ANSWER_BYTES], ended.returncode, name)


def _understood(answer: bytes, status: int, name: str) -> Header:
    """The child's answer, believed only as far as it has the right shape: it has met the file."""
    try:
        said = json.loads(answer)
        if isinstance(said, dict) and "header" in said:
            return _HEADER.validate_python(said["header"])
    except (ValueError, ValidationError):
        said = None
    reason = said.get("refused") if isinstance(said, dict) else None
    if isinstance(reason, str) and _REASON.fullmatch(reason):
        raise ModelFileError(reason, name=name)
    raise ModelFileError(f"reader ended with {status}", name=name)


def _answer() -> dict[str, object]:
    size = os.fstat(0).st_size
    if not size:
        return {"refused": "is empty"}
    try:
        data = mmap.mmap(0, min(size, HEADER_BYTES), prot=mmap.PROT_READ)
    except (OSError, ValueError):
        return {"refused": "is no file that can be read in place"}
    jail.enter(_LIMITS)
    try:
        return {"header": asdict(parse(data, size))}
    except GgufError as refused:
        return {"refused": str(refused)}
    except MemoryError:
        return {"refused": "needs too much memory to read"}


def main() -> None:
    """The child. Ends at once: what an ordinary end would do is forbidden in the jail."""
    os.write(1, json.dumps(_answer()).encode())
    os._exit(0)


if __name__ == "__main__":
    main()
