"""The firewall's rules in force and its counters, beside the rules that the box ships."""

import hashlib
import json
import re
from pathlib import Path
from typing import Final

from appliance.health.airgap import trial
from appliance.health.airgap.facts import Counter, Firewall, Place, State, Tried, Why, reason
from appliance.health.airgap.tools import Run, run

FILE: Final = Path("etc/hako/hako.nft")
SHIPPED: Final = "5df93f5b70b125befb70e19419653b5f66cc3f81649dbf8a17475d6ebe18ad4e"
"""SHA-256 of systemd/hako.nft of this release."""
_OUTPUT: Final = re.compile(r"chain output \{\s*type filter hook output priority filter; policy drop;")
_EGRESS: Final = re.compile(r"chain egress \{.*?\n\t\}", re.DOTALL)
_PORTS: Final = re.compile(r"elements = \{.*?\}", re.DOTALL)


def seen(root: Path, ask: Run = run, *, expected: str = "") -> Firewall:
    """The rules in force. `expected`: the shipped ones as nftables lists them, to be compared; none when empty."""
    try:
        counters = _counters(ask(("nft", "-j", "list", "counters", "table", "inet", "hako"), b""))
        rules = trial.listed(ask)
    except FileNotFoundError:
        return Firewall(state="unknown", why="no-tool")
    except PermissionError:
        return Firewall(state="unknown", why="no-right")
    except OSError:
        return Firewall(state="warning", about=("no-rules",))
    except (ValueError, KeyError, TypeError):
        return Firewall(state="unknown", why="unreadable")
    digest, why = _file(root)
    about: list[str] = []
    if not _OUTPUT.search(rules):
        about.append("no-drop")
    elif expected and _plain(rules) != _plain(expected):
        about.append("rules-differ")
    if digest and digest != SHIPPED:
        about.append("file-differs")
    state: State = "error" if "no-drop" in about else "warning" if about else "ok" if digest else "unknown"
    return Firewall(
        state=state,
        why="" if digest else why,
        about=tuple(about),
        rules=rules,
        counters=counters,
        digest=digest,
        loaded=hashlib.sha256(rules.encode()).hexdigest(),
    )


def tried(root: Path, ask: Run = run) -> tuple[Place, str]:
    """The rules of the file, tried in a network of their own, and how nftables lists them; empty if nobody could."""
    try:
        rules = (root / FILE).read_bytes()
        found = trial.tried(rules, ask)
    except OSError as error:
        return Place(name="firewall", state="unknown", why=reason(error)), ""
    tries = tuple(Tried(way=each.way, outcome=each.outcome, by=each.by) for each in found.tries)
    if not found.without or not tries:  # then it shows nothing that rules stop nothing
        return Place(name="firewall", state="unknown", why="unreadable", tries=tries), found.listed
    is_closed = found.left == 0 and all(each.outcome == "refused" for each in found.tries)
    return Place(name="firewall", state="ok" if is_closed else "error", tries=tries), found.listed


def _plain(rules: str) -> str:
    """Without what may differ from box to box: destinations, and ports that people are let in at."""
    return _PORTS.sub("", _EGRESS.sub("", rules))


def _counters(told: bytes) -> tuple[Counter, ...]:
    each = [found["counter"] for found in json.loads(told)["nftables"] if "counter" in found]
    return tuple(Counter(name=one["name"], packets=one["packets"], bytes=one["bytes"]) for one in each)


def _file(root: Path) -> tuple[str, Why]:
    try:
        return hashlib.sha256((root / FILE).read_bytes()).hexdigest(), ""
    except OSError as error:
        return "", reason(error)
