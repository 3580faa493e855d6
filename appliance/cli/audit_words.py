"""Entries of the record of actions as sentences in a terminal: the same as on the page, from the same locales."""

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from appliance.cli.context import say

_SHORT: Final = 12
_LONG: Final = re.compile(r"([a-z]+_)?[0-9a-z]+")
_UNKNOWN: Final = "–"


def when(item: Mapping[str, Any]) -> str:
    """To the second, in the terminal's time zone."""
    return datetime.fromisoformat(item["at"]).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def sentence(item: Mapping[str, Any]) -> str:
    """Who did what, from an entry as the API tells it. An action of another release keeps its name."""
    values = {name: str(value) for name, value in item["detail"].items()}
    values |= {name: _thing(named, values[name]) for name, named in item["named"].items()}
    values["who"] = say(f"audit.actor.{item['who']['kind']}", name=item["who"]["name"])
    values["what"] = _thing(item["what"], item["target"]) if item["what"] else _UNKNOWN
    if item["group"] is None:
        return say("audit.said_other", action=item["action"], **_only(values, "who", "what"))
    return say(f"audit.said.{item['action']}", **values)


def outcome(item: Mapping[str, Any]) -> str:
    """How it ended, in a word; nothing where it went well."""
    return "" if item["outcome"] == "done" else say(f"audit.outcome.{item['outcome']}")


def _thing(named: Mapping[str, Any], identifier: str) -> str:
    """What something is called, and whether it is still there."""
    called = named["name"] or _short(identifier)
    words = say(f"audit.target.{named['kind']}", name=called)
    return words if named["state"] in ("plain", "there") else say(f"audit.state.{named['state']}", name=words)


def _short(identifier: str) -> str:
    """Long digests and ids by their beginning."""
    is_long = len(identifier) > _SHORT + 4 and _LONG.fullmatch(identifier)
    return f"{identifier[:_SHORT]}…" if is_long else identifier


def _only(values: Mapping[str, str], *names: str) -> dict[str, str]:
    return {name: values[name] for name in names}
