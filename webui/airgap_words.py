"""A report of the air gap in words: for the page, the printed page and the terminal alike."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final

from appliance.errors import Param
from appliance.health.airgap.facts import (
    Browser,
    Clock,
    Destinations,
    Firewall,
    Models,
    Part,
    Processes,
    Record,
    Resolvers,
    Routes,
    Sockets,
    Software,
    State,
    Test,
    Units,
)
from appliance.health.airgap.report import Report
from webui import locales
from webui.locales import Language

Say = Callable[..., str]
_GROUP: Final = 8
_SHOWN: Final = 16
"""Signs of a digest that are shown where many stand below each other; the signed file has all of them."""


@dataclass(frozen=True)
class Section:
    """A part of the report in words: what was found, figures with their names, a table, a text as it is."""

    name: str
    state: State
    title: str
    says: tuple[str, ...]
    facts: tuple[tuple[str, str], ...] = ()
    columns: tuple[str, ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()
    text: str = ""


@dataclass(frozen=True)
class Described:
    """A whole report in words."""

    verdict: str
    sentence: str
    facts: tuple[tuple[str, str], ...]
    sections: tuple[Section, ...]


def described(report: Report, language: Language) -> Described:
    """In the reader's language."""
    say: Say = partial(_say, language)
    unsure = sum(part.state != "ok" for _name, part in report.parts())
    return Described(
        verdict=report.verdict,
        sentence=say(f"verdict.{report.verdict}", n=unsure, named=len(report.destinations.named)),
        facts=(
            (say("box"), f"{report.organisation} {report.name}".strip()),
            (say("at"), moment(report.at)),
            (say("version"), report.version),
            (say("fingerprint"), grouped(report.box)),
        ),
        sections=tuple(_section(name, part, say) for name, part in report.parts()),
    )


def grouped(digest: str) -> str:
    """In groups of eight, to be compared by eye."""
    return " ".join(digest[at : at + _GROUP] for at in range(0, len(digest), _GROUP))


def moment(at: int) -> str:
    """A time as the report tells it, the same in every place."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def text(report: Report, language: Language) -> str:
    """As lines of text."""
    told = described(report, language)
    lines = [_say(language, "title"), told.sentence, ""]
    lines += [f"{name}: {value}" for name, value in told.facts]
    for section in told.sections:
        lines += ["", f"{_SIGNS[section.state]} {section.title}", *(f"  {words}" for words in section.says)]
        lines += [f"  {name}: {value}" for name, value in section.facts]
        lines += ["  - " + " · ".join(cell for cell in row if cell) for row in section.rows]
        lines += [f"  | {line}" for line in section.text.splitlines()]
    return "\n".join(lines) + "\n"


_SIGNS: Final[Mapping[State, str]] = {"ok": "✓", "warning": "!", "error": "×", "unknown": "?"}


def _say(language: Language, key: str, **params: Param) -> str:
    return locales.t(f"page.airgap.{key}", language, **params)


def _section(name: str, part: Part, say: Say) -> Section:
    says = [say(f"about.{code}") for code in part.about]
    if part.why:
        says.append(say(f"why.{part.why}"))
    detail = _DETAILS[name](part, say)
    return Section(name, part.state, say(f"part.{name}"), tuple(says or [say(f"ok.{name}")]), **detail)


def _firewall(part: Firewall, say: Say) -> dict[str, Any]:
    return {
        "facts": _known((say("rules_file"), grouped(part.digest)), (say("rules_loaded"), grouped(part.loaded))),
        "columns": (say("counter"), say("packets"), say("bytes")),
        "rows": tuple((_counter(each.name, say), str(each.packets), str(each.bytes)) for each in part.counters),
        "text": part.rules,
    }


def _counter(name: str, say: Say) -> str:
    key = f"counter.{name}"
    word = say(key)
    return name if word.endswith(key) else word


def _sockets(part: Sockets, say: Say) -> dict[str, Any]:
    rows = [(each.protocol, _at(each.address, each.port), each.process, say("listens")) for each in part.listening]
    rows += [(each.protocol, _at(each.address, each.port), each.process, say("leads_out")) for each in part.outside]
    return {"columns": (say("protocol"), say("address"), say("process"), say("kind")), "rows": tuple(rows)}


def _at(address: str, port: int) -> str:
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def _routes(part: Routes, say: Say) -> dict[str, Any]:
    rows = tuple((each.destination, each.gateway, each.interface) for each in part.routes)
    return {"columns": (say("destination"), say("gateway"), say("interface")), "rows": rows}


def _resolvers(part: Resolvers, say: Say) -> dict[str, Any]:
    return {"facts": tuple((say("server"), server) for server in part.servers)}


def _destinations(part: Destinations, say: Say) -> dict[str, Any]:
    rows = tuple(
        (each.name, each.url, each.address, say("alerts") if each.kind == "alerts" else ", ".join(each.models))
        for each in part.named
    )
    facts = ((say("sent"), str(part.sent)),) if part.state != "unknown" else ()
    return {"facts": facts, "columns": (say("name"), "URL", say("address"), say("models")), "rows": rows}


def _units(part: Units, say: Say) -> dict[str, Any]:
    shown = ("PrivateNetwork", "IPAddressDeny", "RestrictAddressFamilies", "NoNewPrivileges")
    rows = [
        (each.name, each.active, *(each.settings.get(name, "") for name in shown), ", ".join(each.open))
        for each in part.units
    ]
    return {"columns": (say("unit"), say("active"), *shown, say("not_closed")), "rows": tuple(rows)}


def _processes(part: Processes, say: Say) -> dict[str, Any]:
    rows = tuple(
        (
            each.name,
            str(each.pid),
            say(f"network.{each.network or 'unseen'}"),
            _flag(each.no_new_privileges, say),
            _flag(each.seccomp, say),
        )
        for each in part.processes
    )
    columns = (say("process"), "PID", say("network"), "NoNewPrivs", "Seccomp")
    return {"columns": columns, "rows": rows}


def _flag(value: bool | None, say: Say) -> str:
    return say("unseen") if value is None else say("yes") if value else say("no")


def _browser(part: Browser, _say: Say) -> dict[str, Any]:
    return {"text": part.policy.replace("; ", ";\n")}


def _test(part: Test, say: Say) -> dict[str, Any]:
    rows = tuple(
        (
            say(f"place.{place.name}"),
            say(f"way.{each.way}"),
            say(f"outcome.{each.outcome}"),
            say("by_firewall") if each.by == "egress_refused" else each.by,
        )
        for place in part.places
        for each in place.tries
    )
    notes = tuple(
        (say(f"place.{place.name}"), _place_note(place.state, place.why, say))
        for place in part.places
        if place.state != "ok"
    )
    facts = ((say("tested_at"), moment(part.at)), *notes) if part.at else ()
    return {"facts": facts, "columns": (say("place"), say("way"), say("outcome"), say("refused_by")), "rows": rows}


def _place_note(state: State, why: str, say: Say) -> str:
    if state == "error":
        return say("about.test-left")
    key = f"why.{why}"
    word = say(key)
    return f"{say('why.no-answer')} ({why})" if word.endswith(key) else word


def _software(part: Software, say: Say) -> dict[str, Any]:
    facts = _known(
        (say("release"), part.release),
        (say("release_digest"), grouped(part.release_digest)),
        (say("publisher"), grouped(part.publisher)),
        (say("packages"), str(len(part.packages))),
        (say("packages_digest"), grouped(part.digest)),
        (say("changed"), ", ".join(part.changed)),
    )
    rows = tuple((each.name, each.version, each.listed[:_SHOWN]) for each in part.packages)
    return {"facts": facts, "columns": (say("package"), say("version"), say("list_digest")), "rows": rows}


def _models(part: Models, say: Say) -> dict[str, Any]:
    rows = tuple(
        (model.id if first else "", say(f"origin.{model.origin}") if first else "", name, digest[:_SHOWN])
        for model in part.models
        for first, (name, digest) in zip(_firsts(len(model.files)), model.files.items(), strict=True)
    )
    return {"columns": (say("model"), say("origin"), say("file"), say("digest")), "rows": rows}


def _firsts(count: int) -> Sequence[bool]:
    return [at == 0 for at in range(count)]


def _record(part: Record, say: Say) -> dict[str, Any]:
    if not part.checkpoint:
        return {}
    return {
        "facts": (
            (say("entries"), str(part.entries)),
            (say("checkpoint"), f"{part.serial} ({moment(part.at)}, → {part.number})"),
            (say("checkpoint_name"), grouped(part.checkpoint)),
        )
    }


def _clock(part: Clock, say: Say) -> dict[str, Any]:
    return {
        "facts": (
            (say("now"), f"{moment(part.now)} ({part.zone})"),
            (say("synchronised"), _flag(part.synchronised, say)),
            (say("released"), moment(part.released)),
        )
    }


def _known(*facts: tuple[str, str]) -> tuple[tuple[str, str], ...]:
    return tuple((name, value) for name, value in facts if value)


_DETAILS: Final[Mapping[str, Callable[[Any, Say], dict[str, Any]]]] = {
    "firewall": _firewall,
    "sockets": _sockets,
    "routes": _routes,
    "resolvers": _resolvers,
    "destinations": _destinations,
    "units": _units,
    "processes": _processes,
    "browser": _browser,
    "test": _test,
    "software": _software,
    "models": _models,
    "record": _record,
    "clock": _clock,
}
