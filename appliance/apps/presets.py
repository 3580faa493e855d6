"""Presets: a system prompt and sampling under a name, one's own or shared; every look-up names who asks."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import apsw

from appliance import clock
from appliance.accounts.permissions import Permission, Principal
from appliance.errors import ForbiddenError, NotFoundError, TooManyError
from appliance.storage.database import Database

MOST: Final = 100
"""Presets of one person, and as many shared ones."""

Sampling = Mapping[str, Any]
"""Parameters of a chat request by their names there; what isn't given is the model's own choice."""

_COLUMNS: Final = "id, owner_id, name, system, sampling, updated_at"
_VISIBLE: Final = "(owner_id is null or owner_id = ?)"


@dataclass(frozen=True)
class Preset:
    """One preset. `owner_id` is None for a shared one, which belongs to the box."""

    id: str
    owner_id: str | None
    name: str
    system: str
    sampling: Sampling
    updated_at: float

    @property
    def is_shared(self) -> bool:
        """Whether everybody may use it."""
        return self.owner_id is None

    def is_changeable_by(self, who: Principal) -> bool:
        """Whether that one, who sees it, may also change and delete it."""
        return not self.is_shared or Permission.MODELS_MANAGE in who.permissions


class Presets:
    """Another's preset is NotFoundError; a shared one is everybody's to use and an operator's to change."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def list(self, who: Principal) -> Sequence[Preset]:
        """One's own, then the shared ones, each by name."""
        with self._database.read() as connection:
            rows = connection.execute(
                f"select {_COLUMNS} from presets where {_VISIBLE} order by owner_id is null, name collate nocase, id",
                (who.user_id,),
            ).fetchall()
        return [_preset(row) for row in rows]

    def get(self, who: Principal, preset_id: str) -> Preset:
        """Raises NotFoundError."""
        with self._database.read() as connection:
            return _visible(connection, who, preset_id)

    def create(self, who: Principal, name: str, system: str, sampling: Sampling, *, shared: bool = False) -> Preset:
        """Keep a preset.

        Raises:
            ForbiddenError: a shared one by who may not, or one's own without an account.
            TooManyError: there are too many already.
        """
        preset = Preset(clock.new_id("preset"), _owner(who, shared=shared), name, system, sampling, clock.now())
        with self._database.write() as connection:
            _demand_room(connection, preset)
            connection.execute(
                "insert into presets (id, owner_id, name, system, sampling, created_at, updated_at)"
                " values (?1, ?2, ?3, ?4, ?5, ?6, ?6)",
                (preset.id, preset.owner_id, name, system, json.dumps(sampling), preset.updated_at),
            )
        return preset

    def update(
        self,
        who: Principal,
        preset_id: str,
        *,
        name: str | None = None,
        system: str | None = None,
        sampling: Sampling | None = None,
        shared: bool | None = None,
    ) -> Preset:
        """Change what is given. Who takes a shared one back for themselves becomes its owner.

        Raises:
            NotFoundError: not there for this one.
            ForbiddenError: it is shared, or shall be, and this one may not.
            TooManyError: there are too many where it shall go.
        """
        with self._database.write() as connection:
            old = _changeable(connection, who, preset_id)
            changed = Preset(
                preset_id,
                old.owner_id if shared in (None, old.is_shared) else _owner(who, shared=bool(shared)),
                old.name if name is None else name,
                old.system if system is None else system,
                old.sampling if sampling is None else sampling,
                clock.now(),
            )
            if changed.owner_id != old.owner_id:
                _demand_room(connection, changed)
            connection.execute(
                "update presets set owner_id = ?, name = ?, system = ?, sampling = ?, updated_at = ? where id = ?",
                (
                    changed.owner_id,
                    changed.name,
                    changed.system,
                    json.dumps(changed.sampling),
                    changed.updated_at,
                    preset_id,
                ),
            )
        return changed

    def delete(self, who: Principal, preset_id: str) -> Preset:
        """Erase a preset; returns what it was.

        Raises:
            NotFoundError: not there for this one.
            ForbiddenError: it is shared, and this one may not.
        """
        with self._database.write() as connection:
            gone = _changeable(connection, who, preset_id)
            connection.execute("delete from presets where id = ?", (preset_id,))
        return gone


def _preset(row: tuple[Any, ...]) -> Preset:
    return Preset(row[0], row[1], row[2], row[3], json.loads(row[4]), row[5])


def _owner(who: Principal, *, shared: bool) -> str | None:
    if shared:
        who.demand(Permission.MODELS_MANAGE)
        return None
    if who.user_id is None:
        raise ForbiddenError("the admin socket has no account")
    return who.user_id


def _visible(connection: apsw.Connection, who: Principal, preset_id: str) -> Preset:
    row = connection.execute(
        f"select {_COLUMNS} from presets where id = ? and {_VISIBLE}", (preset_id, who.user_id)
    ).fetchone()
    if row is None:
        raise NotFoundError(preset_id[:100])
    return _preset(row)


def _changeable(connection: apsw.Connection, who: Principal, preset_id: str) -> Preset:
    preset = _visible(connection, who, preset_id)
    if preset.is_shared:
        who.demand(Permission.MODELS_MANAGE)
    return preset


def _demand_room(connection: apsw.Connection, preset: Preset) -> None:
    count = connection.execute("select count(*) from presets where owner_id is ?", (preset.owner_id,)).get
    if count >= MOST:
        raise TooManyError("presets", limit=MOST)
