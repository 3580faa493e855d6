"""How changes of release went: the last few with their times, in the database, newest first."""

import dataclasses
from dataclasses import dataclass
from typing import Any, Final

from appliance.bundle.update.state import Phase, Places, Update
from appliance.storage import settings_store
from appliance.storage.database import Database

_NAME: Final = "release_changes"
_MOST: Final = 10


@dataclass(frozen=True)
class Change:
    """One that has ended. `version` was wanted, or left where an operator went back from one that was kept.

    `reason` and `code` say why it came to nothing; times in seconds since the epoch, see `Update.times`.
    """

    version: str
    before: str
    """The version that ran when it began, or to which an operator went back."""
    kept: bool
    on_trial: bool
    """Whether it was ended while on trial, or before; else it had been the box's own."""
    reason: str
    code: str
    by: str
    at: float
    times: dict[str, float]

    @property
    def stood_still_s(self) -> float | None:
        """Seconds from the order until people could work again, as far as the box itself decided about it."""
        began = self.times.get(Phase.WANTED) or self.times.get(Phase.ROLLING_BACK)
        return self.at - began if began and self.times.get("sealed") is None else None


def ended(places: Places, update: Update) -> Change:
    """What there is to tell of a change that has ended. The look that failed is still on the disk."""
    before = places.release(update.before)
    on_trial = Phase.WANTED in update.times
    seen = places.seen() if update.reason.startswith("check-") else {}
    return Change(
        version=update.target.version,
        before=before.version if before else "",
        kept=update.phase is Phase.COMMITTED,
        on_trial=on_trial,
        reason=update.reason,
        code=str(seen.get("code") or ""),
        by=update.actor,
        at=update.times.get(update.phase, 0.0),
        times=update.times,
    )


def add(database: Database, change: Change) -> None:
    """Remember it; once, however often it is told."""
    known = [dataclasses.asdict(each) for each in of(database) if each.at != change.at]
    settings_store.put(database, _NAME, [dataclasses.asdict(change), *known][:_MOST])


def of_the_machine(database: Database, present: Database | None) -> None:
    """A restored box tells of the machine that it is on: what was known there before, nothing on a new one."""
    settings_store.put(database, _NAME, [dataclasses.asdict(each) for each in of(present)] if present else [])


def of(database: Database) -> list[Change]:
    """Those that are remembered; what a newer release has added is left out."""
    names = {field.name for field in dataclasses.fields(Change)}
    rows: list[dict[str, Any]] = settings_store.get(database, _NAME) or []
    return [Change(**{name: value for name, value in row.items() if name in names}) for row in rows]
