"""What every error of the box is, and how a stored code becomes one again."""

from typing import ClassVar, TypeAlias

Param: TypeAlias = str | int | float


class HakoError(Exception):
    """The root. `params` may be shown to the user, `detail` is for the log only."""

    code: ClassVar[str] = "HK-BOX-001"
    status: ClassVar[int] = 500

    def __init__(self, detail: str = "", **params: Param) -> None:
        super().__init__(detail or self.code)
        self.detail = detail
        self.params: dict[str, Param] = params


def by_code(code: str, **params: Param) -> HakoError:
    """The error for a stored code, e.g. of a failed job; HK-BOX-001 for an unknown one."""
    pending = [HakoError]
    while pending:
        kind = pending.pop()
        if kind.code == code:
            return kind("", **params)
        pending.extend(kind.__subclasses__())
    return HakoError(code)
