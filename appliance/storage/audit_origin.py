"""Where an action comes from: noted when a request begins, and put into every entry that it makes."""

from collections.abc import Mapping
from contextvars import ContextVar
from typing import Final, Literal

Way = Literal["browser", "program", "terminal"]

VIA: Final = "via"
FROM: Final = "from"
"""Names of these two among the details of an entry."""

_current: ContextVar[Mapping[str, str]] = ContextVar("audit_origin", default={})  # noqa: B039 (never changed in place)


def note(via: Way, address: str = "") -> None:
    """What is recorded in this thread came this way, until the next note. `address`: of the machine that asked."""
    _current.set({VIA: via, **({FROM: address} if address else {})})


def noted() -> Mapping[str, str]:
    """Empty for what the box does by itself."""
    return _current.get()
