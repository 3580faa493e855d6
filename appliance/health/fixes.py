"""What a button beside a finding does: only what can be done at once, without a risk, and be told how it went."""

from collections.abc import Callable, Mapping
from typing import Final

from appliance.errors import NotFoundError
from appliance.health.box import digests
from appliance.health.box.parts import Parts
from appliance.health.health import HealthKeeper
from appliance.knowledge import index

Repair = Callable[[Parts, str], None]
"""Told the subject of the finding. What it raises is why nothing was mended."""


def _load_model(parts: Parts, model: str) -> None:
    """Lifts a quarantine as well; returns when the model answers."""
    parts.gateway.load(model)


def _verify_model(parts: Parts, model: str) -> None:
    """Read its files again, and let it be loaded anew if they are sound."""
    if digests.verify(parts, model):
        parts.gateway.load(model)


def _verify_audit(parts: Parts, _subject: str) -> None:
    parts.audit.verify()


def _rebuild_index(parts: Parts, _subject: str) -> None:
    """Make the index of each base that lacks something again."""
    with parts.database.read() as connection:
        bases = [(int(str(number)), str(base)) for number, base in connection.execute("select number, id from bases")]
    for number, base in bases:
        with parts.database.write() as connection:
            if index.missing(connection, number, base):
                index.rebuild(connection, number, base)


def _back_up(parts: Parts, _subject: str) -> None:
    parts.back_up()


FIXES: Final[Mapping[str, Repair]] = {
    "back-up": _back_up,
    "load-model": _load_model,
    "verify-model": _verify_model,
    "verify-audit": _verify_audit,
    "rebuild-index": _rebuild_index,
}


def mend(keeper: HealthKeeper, name: str, key: str, actor: str) -> None:
    """Do what the button of a finding says, record it, and look again.

    Raises:
        NotFoundError: no such finding, or it has no such button.
        HakoError: why it could not be mended.
    """
    found = keeper.find(key).finding
    if found.fix is None or (found.fix.kind, found.fix.name) != ("do", name):
        raise NotFoundError("fix")
    keeper.parts.audit.record(actor, "health-fix-begun", fix=name, finding=key)
    try:
        FIXES[name](keeper.parts, found.subject)
    finally:
        keeper.look(found.check)
