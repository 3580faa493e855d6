"""How pip is asked to install a release's wheels: each by its path and hash, and nothing else from anywhere.

The first environment of a server is made with the standard library alone, so this needs no more.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Final

_OPTIONS: Final = ("--no-index", "--no-deps", "--require-hashes", "--only-binary", ":all:", "--no-cache-dir")


def requirements(wheels: Iterable[tuple[str, str, str]], folder: Path) -> str:
    """What pip reads, of each wheel's project, file in `folder` and SHA-256."""
    return "".join(
        f"{name} @ {(folder / file).absolute().as_uri()} --hash=sha256:{sha256}\n" for name, file, sha256 in wheels
    )


def words(python: Path, wanted: Path) -> list[str]:
    """The command that installs into the environment of this Python what the file `wanted` names."""
    pip = [str(python), "-I", "-m", "pip", "--isolated", "--disable-pip-version-check", "--quiet"]
    return [*pip, "install", *_OPTIONS, "-r", str(wanted)]
