"""Who and what the ids of the record of actions are today, as far as the reader may know; never a title or a text."""

from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any, Final, Literal

from appliance.accounts.users import User
from appliance.bundle.update.updates import PROBE
from appliance.errors import HakoError
from appliance.storage.audit import BOX, Entry
from appliance.storage.audit_actions import ACTIONS, Kind
from appliance.storage.audit_origin import VIA
from webui.routing import Call

State = Literal["plain", "there", "gone", "unknown"]
"""plain: it has no other name than what was recorded. unknown: gone, or not for this reader: both look the same."""

_TERMINAL: Final = "operator"
"""Who acts on the admin socket."""
NOBODY: Final = {BOX: "box", "anonymous": "anonymous", "schedule": "schedule", "launcher": "launcher", PROBE: "probe"}
"""Actors that are nobody's account, and what they are called in the locales."""
_IDS: Final[Mapping[str, str]] = {"base": "base", "original": "model", "model": "model"}
"""Details that hold an id, and of what."""
_NAMED_BY: Final[Mapping[str, str]] = {
    "bundle": "bundle",
    "release": "version",
    "web": "name",
    "pack": "pack",
    "box": "box",
}
"""Details that say what a target was called then."""


class Names:
    """For the entries of one answer; each id is looked up once."""

    def __init__(self, call: Call) -> None:
        self._call = call
        self._known: dict[tuple[str, str], tuple[str, State]] = {}
        self._looks: Mapping[str, Callable[[str], tuple[str, State]]] = {
            "user": self._user,
            "model": self._model,
            "alias": self._alias,
            "destination": self._destination,
            "bundle": self._bundle,
            "base": self._base,
            "document": self._document,
            "preset": self._preset,
            "key": self._key,
        }

    def ids_of(self, actor: str) -> list[str]:
        """What entries call an actor: by id and by name alike."""
        user = self._users.get(actor) or self._by_name.get(actor)
        return [user.id, user.name] if user else [actor]

    def actor(self, entry: Entry) -> dict[str, Any]:
        """Who did it; `kind` is person, gone, terminal, or what the box itself was."""
        told = {"name": entry.actor, "account": None}
        via = entry.detail.get(VIA)
        if entry.actor == _TERMINAL and (via == "terminal" or (via is None and entry.actor not in self._by_name)):
            return {**told, "kind": "terminal"}
        if entry.actor in NOBODY and (via is None or entry.actor not in self._by_name):
            return {**told, "kind": NOBODY[entry.actor]}
        user = self._users.get(entry.actor) or self._by_name.get(entry.actor)
        if user is None:
            return {**told, "kind": "gone"}
        return {**told, "name": user.display_name, "account": user.name, "kind": "person"}

    def target(self, entry: Entry) -> dict[str, Any] | None:
        """What it was done to; None if it was done to nothing."""
        if not entry.target:
            return None
        action = ACTIONS.get(entry.action)
        kind = _kind(action.target if action else "none", entry.target)
        said = entry.detail.get(_NAMED_BY.get(kind, ""))
        name, state = self._look_up(kind, entry.target) if said is None else (str(said), "plain")
        return {"kind": kind, "name": name, "state": state}

    def details(self, entry: Entry) -> dict[str, Any]:
        """The details that are ids themselves, as targets are told."""
        found: dict[str, Any] = {}
        for detail, kind in _IDS.items():
            if detail in entry.detail:
                name, state = self._look_up(kind, str(entry.detail[detail]))
                found[detail] = {"kind": kind, "name": name, "state": state}
        return found

    def _look_up(self, kind: str, target: str) -> tuple[str, str]:
        """Its name, or an empty one, and how it stands."""
        look = self._looks.get(kind)
        if look is None:
            return "", "plain"
        if (kind, target) not in self._known:
            self._known[kind, target] = look(target)
        return self._known[kind, target]

    def _user(self, target: str) -> tuple[str, State]:
        return _there_or_gone(self._users[target].display_name if target in self._users else None)

    def _model(self, target: str) -> tuple[str, State]:
        if target in self._call.services.gateway.aliases.all():
            return target, "there"
        return _there_or_gone(self._models.get(target))

    def _alias(self, target: str) -> tuple[str, State]:
        return _there_or_gone(target if target in self._call.services.gateway.aliases.all() else None, target)

    def _destination(self, target: str) -> tuple[str, State]:
        return _there_or_gone(target if target in self._call.services.destinations.all() else None, target)

    def _bundle(self, target: str) -> tuple[str, State]:
        return self._bundles.get(target, ""), "plain"

    def _base(self, target: str) -> tuple[str, State]:
        return _if_shown(lambda: self._call.services.bases.get(self._call.who, target).name)

    def _document(self, target: str) -> tuple[str, State]:
        return _if_shown(lambda: self._call.services.documents.get(self._call.who, target).name)

    def _preset(self, target: str) -> tuple[str, State]:
        return _if_shown(lambda: self._call.services.presets.get(self._call.who, target).name)

    def _key(self, target: str) -> tuple[str, State]:
        """Keys are named by their owners, and for them alone."""
        owner = self._call.who.user_id
        if owner is None:
            return "", "unknown"
        return _if_shown(lambda: self._call.services.api_keys.get(owner, target).name)

    # -- what is looked up for all entries at once, when the first of them needs it

    @cached_property
    def _users(self) -> dict[str, User]:
        return {user.id: user for user in self._call.services.users.list()}

    @cached_property
    def _by_name(self) -> dict[str, User]:
        return {user.name: user for user in self._users.values()}

    @cached_property
    def _models(self) -> dict[str, str]:
        return {model.id: model.name for model in self._call.gateway.models()}

    @cached_property
    def _bundles(self) -> dict[str, str]:
        return {taken.digest: f"{taken.name} {taken.version}" for taken in self._call.services.bundles.taken()}


def _kind(kind: Kind, target: str) -> str:
    """Questions are put to a base, to a chat or to a model, whose ids tell them apart."""
    if kind != "asked":
        return kind
    return next((each for each in ("base", "chat") if target.startswith(f"{each}_")), "model")


def _there_or_gone(name: str | None, known: str = "") -> tuple[str, State]:
    return (known, "gone") if name is None else (name, "there")


def _if_shown(name: Callable[[], str]) -> tuple[str, State]:
    try:
        return name(), "there"
    except HakoError:
        return "", "unknown"
