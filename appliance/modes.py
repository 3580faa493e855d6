"""Who may read what the box writes: its own account alone, or also the group that its processes' accounts share.

Kept for the whole process and set once at its start, for nobody in between knows how the box was set up.
"""

from typing import Final

_OWN: Final = (0o600, 0o700, 0o077)
_SHARED: Final = (0o660, 0o770, 0o007)
_OPEN: Final = (0o644, 0o755, 0o022)

_now = _OWN


def share(shared: bool = True) -> None:
    """From here on files and folders are for the group, too. Others never read them."""
    global _now  # noqa: PLW0603 - one for each process, as its umask is
    _now = _SHARED if shared else _OWN


def open_to_all() -> None:
    """From here on everybody may read what is written: by root, which makes programs and the machine's files."""
    global _now  # noqa: PLW0603 - as above
    _now = _OPEN


def file() -> int:
    """For a new file, or a socket."""
    return _now[0]


def folder() -> int:
    """For a new folder, or a file that is run."""
    return _now[1]


def umask() -> int:
    """For what is made without a mode of its own."""
    return _now[2]
