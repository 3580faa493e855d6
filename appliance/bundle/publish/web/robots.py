"""What a host's robots.txt allows, as RFC 9309 has it: the longest rule counts, `*` and `$` as usual."""

import re
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import quote, unquote, urlsplit

LONGEST: Final = 500 << 10
"""Bytes of a robots.txt that are looked at."""
_DELAY_S: Final = 60.0
_MOST_RULES: Final = 10_000


@dataclass
class _Group:
    agents: list[str] = field(default_factory=list)
    rules: list[tuple[str, bool]] = field(default_factory=list)
    delay_s: float = 0.0


class Robots:
    """The rules for one crawler. `Robots("", …)` allows everything."""

    def __init__(self, text: str, agent: str) -> None:
        """`agent`: the crawler's name, e.g. `hako-capture`."""
        groups = _groups(text)
        own = [group for group in groups if agent.lower() in group.agents]
        chosen = own or [group for group in groups if "*" in group.agents]
        rules = [rule for group in chosen for rule in group.rules]
        self.delay_s = min(max((group.delay_s for group in chosen), default=0.0), _DELAY_S)
        """Seconds that the host wants between two requests, as some hosts say it."""
        self.has_rules = bool(rules)
        # The longest first, and what allows before what forbids.
        rules.sort(key=lambda rule: (-len(rule[0]), not rule[1]))
        self._rules = [(_pattern(path), allows) for path, allows in rules]

    def allows(self, url: str) -> bool:
        """Whether the page may be fetched."""
        parts = urlsplit(url)
        path = _plain(parts.path + (f"?{parts.query}" if parts.query else ""))
        return next((allows for pattern, allows in self._rules if pattern.match(path)), True)


def _groups(text: str) -> list[_Group]:
    groups: list[_Group] = []
    count, is_named = 0, False
    for line in text.removeprefix("\ufeff").splitlines():
        key, colon, value = line.partition("#")[0].partition(":")
        key, value = key.strip().lower(), value.strip()
        if not colon or count > _MOST_RULES:
            continue
        if key == "user-agent":
            if not is_named:
                groups.append(_Group())
            groups[-1].agents.append(value.lower())
            is_named = True
        elif groups and key in ("allow", "disallow"):
            is_named = False
            if value:  # an empty one forbids nothing
                groups[-1].rules.append((value, key == "allow"))
                count += 1
        elif groups and key == "crawl-delay":
            is_named = False
            if re.fullmatch(r"[0-9]{1,5}(?:\.[0-9]{1,3})?", value):
                groups[-1].delay_s = max(groups[-1].delay_s, float(value))
    return groups


def _pattern(path: str) -> re.Pattern[str]:
    is_end = path.endswith("$")
    pieces = [re.escape(_plain(piece)) for piece in re.sub(r"\*+", "*", path.removesuffix("$")).split("*")]
    return re.compile("[^\n]*?".join(pieces) + (r"\Z" if is_end else ""))


def _plain(path: str) -> str:
    """One form for a path, however it was escaped."""
    return quote(unquote(path, errors="surrogateescape"), "/?&=*$!'(),;:@~+-._", errors="surrogateescape")
