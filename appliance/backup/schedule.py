"""When the box backs itself up without being asked: every so many hours, or each day at a time; when it is due."""

from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, Final

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from appliance import config

AGAIN_S: Final = 3600.0
"""A backup by the clock that failed is tried again after this long, or the schedule's hours if those are fewer."""
UNASKED_S: Final = 30 * 24 * 3600.0
"""Without a schedule the newest backup counts as late after this long."""
_DAY_H: Final = 24

Time = Annotated[str, StringConstraints(pattern=r"^([01]\d|2[0-3]):[0-5]\d$")]
"""Hours and minutes of the box's own clock and time zone."""


class Schedule(BaseModel):
    """At most one of `hours` and `at`; without either none are made. `set_at` in seconds since the epoch."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    folder: Path | None = None
    hours: Annotated[int, Field(ge=0, le=24 * 366)] = 0
    at: Time | None = None
    keep: Annotated[int, Field(ge=0, le=10_000)] = 14
    set_by: str | None = None
    """Who set it on the page; None: it is that of the settings file."""
    set_at: float = 0.0

    @model_validator(mode="after")
    def _check(self) -> "Schedule":
        if self.hours and self.at:
            raise ValueError("either hours or at")
        if self.is_on and self.folder is None:
            raise ValueError("folder")
        return self

    @classmethod
    def of(cls, settings: config.Backup) -> "Schedule":
        """What the settings file says."""
        return cls(folder=settings.folder, hours=settings.hours, keep=settings.keep)

    @property
    def is_on(self) -> bool:
        """Whether backups are made by the clock."""
        return bool(self.hours or self.at)

    @property
    def every_s(self) -> float:
        """Seconds from one backup to the next."""
        return (self.hours or _DAY_H) * 3600.0

    def due_at(self, last: dict[str, Any] | None, now: float) -> float:
        """When the next one is due, in seconds since the epoch; at once where that lies in the past.

        `last`: how the last one ended, `at` that time, with a `code` if it failed; None if there was none.
        """
        if last is None:
            return next_time(self.set_at, self.at) if self.at else now
        ended = float(last["at"])
        if ended > now:  # a clock that was put back is no reason to have no backup
            return now
        if last.get("code"):
            return ended + min(self.every_s, AGAIN_S)
        return next_time(max(ended, self.set_at), self.at) if self.at else ended + self.every_s


def next_time(after: float, at: Time) -> float:
    """The first moment later than `after` at which the box's clock shows that time."""
    hour, minute = (int(part) for part in at.split(":"))
    begin = datetime.fromtimestamp(after)  # noqa: DTZ006 - the clock on the wall is what people set it by
    moment = begin.replace(hour=hour, minute=minute, second=0, microsecond=0)
    if moment.timestamp() <= after:
        moment += timedelta(days=1)
    return moment.timestamp()
