"""The steps between two releases. Each may be cut off anywhere and is then done again; no part of the box runs."""

import contextlib
import time
from typing import Final

from appliance.bundle.update import snapshot
from appliance.bundle.update.state import BOOTS, RESTING, Held, Phase, Places, Update
from appliance.errors import DiskFullError

NO_BOOTS: Final = "boots"
"""Reason: it was started as often as it may be, and never found healthy."""
NO_ROOM: Final = "room"
"""Reason: no room for the snapshot. The release before goes on."""
TOO_LONG: Final = "too-long"
"""Reason: it answered, and was not found healthy in time."""
NOT_AGREED: Final = "not-agreed"
"""Reason: releases are root's here, and root's helper knows nothing of this change."""
SEALED: Final = "sealed"
"""In the times of an update: when the release on trial was first found locked."""


def advance(places: Places) -> Update:
    """Bring the box to where a release can be started; `places.current` is the one.

    A release on trial loses a boot here, before it is started: what stops the machine itself is counted, too.
    """
    with places.held() as held:
        if held.now.phase in (Phase.WANTED, Phase.SNAPSHOT) and not places.may_become(held.now.target.name):
            held.change(phase=Phase.ROLLING_BACK, reason=NOT_AGREED)
        if held.now.phase is Phase.WANTED:
            _keep_a_copy(places, held)
        if held.now.phase is Phase.SNAPSHOT:
            _switch(places, held)
        if held.now.is_trial:
            if held.now.boots_left < 1 or not places.is_whole(held.now.target.name):
                held.change(phase=Phase.ROLLING_BACK, reason=held.now.reason or NO_BOOTS)
            else:
                held.change(boots_left=held.now.boots_left - 1)
        if held.now.phase is Phase.ROLLING_BACK:
            _switch_back(places, held)
        if held.now.phase in RESTING:
            _tidy(places)  # what was cut off before it came to this
        return held.now


def commit(places: Places) -> Update:
    """The release on trial is the box's own from here on."""
    with places.held() as held:
        if held.now.is_trial:
            held.change(phase=Phase.COMMITTED, reason="", recorded=False, until=0.0)
            _tidy(places)
        return held.now


def give_up(places: Places, reason: str) -> Update:
    """The release on trial is not to be kept; `advance` takes it back."""
    with places.held() as held:
        if held.now.is_trial:
            held.change(phase=Phase.ROLLING_BACK, reason=reason)
        return held.now


def probing(places: Places) -> None:
    """The release on trial has answered for the first time."""
    with places.held() as held:
        if held.now.phase is Phase.SWITCHED:
            held.change(phase=Phase.PROBING)


def limit(places: Places, until: float, *, sealed: bool = False) -> None:
    """Say when the trial is decided at the latest, in seconds since the epoch; 0 where it waits for a person."""
    with places.held() as held, contextlib.suppress(DiskFullError):  # it only informs
        now = held.now
        times = {**now.times, SEALED: time.time()} if sealed and SEALED not in now.times else now.times
        if now.is_trial and (now.until, now.times) != (until, times):
            held.change(until=until, times=times)


def _keep_a_copy(places: Places, held: Held) -> None:
    try:
        snapshot.take(places.data, places.snapshot)
        held.change(phase=Phase.SNAPSHOT)
    except DiskFullError:
        snapshot.drop(places.snapshot)
        held.change(phase=Phase.INSTALLED, reason=NO_ROOM)


def _switch(places: Places, held: Held) -> None:
    places.forget_migration()
    places.forget_seen()
    places.point("previous", held.now.before)
    places.point("current", held.now.target.name)
    held.change(phase=Phase.SWITCHED, boots_left=BOOTS)


def _switch_back(places: Places, held: Held) -> None:
    """Only a trial has a snapshot: after it, what people did since is worth more than the schema before."""
    if places.has_migrated and places.snapshot.is_dir():
        snapshot.restore(places.data, places.snapshot)
    places.point("current", held.now.before if places.is_whole(held.now.before) else "")
    places.point("previous", "")
    held.change(phase=Phase.ROLLED_BACK, boots_left=0, recorded=False, until=0.0)
    _tidy(places)


def _tidy(places: Places) -> None:
    snapshot.drop(places.snapshot)
    places.forget_migration()
