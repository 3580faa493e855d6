"""What a look at the box says: a state, what was measured, and findings with the fix that each can have."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

State = Literal["ok", "unknown", "warning", "error"]
"""`unknown`: it couldn't be looked at. A sensor that is not there is not well."""

Param = str | int | float
Params = Mapping[str, Param]
WORST_LAST: Final[tuple[State, ...]] = ("ok", "unknown", "warning", "error")


@dataclass(frozen=True)
class Fix:
    """What a person can do about a finding.

    `do`: a button; `name` is a fix of `appliance.health.fixes`. `go`: a link; `name` is a path of the web UI.
    Without a fix there are the words of its `advice` alone.
    """

    kind: Literal["do", "go"]
    name: str


@dataclass(frozen=True)
class Finding:
    """One thing that isn't as it should be.

    Its words are `health.<check>.<name>.title`, `.meaning` and `.advice` in the locales, filled from `params`.
    `subject` tells two of one name apart, e.g. a disk's serial number; it is part of `key`, never of a sentence.
    """

    check: str
    name: str
    state: Literal["warning", "error"]
    code: str
    params: Mapping[str, Param] = field(default_factory=dict)
    subject: str = ""
    fix: Fix | None = None

    @property
    def key(self) -> str:
        """The same for the same thing at the next look."""
        return "/".join(filter(None, (self.check, self.name, self.subject)))


@dataclass(frozen=True)
class Look:
    """What one check saw at one time.

    `value` and `note` name words `health.<check>.value.<value>` and `health.<check>.note.<note>`, both filled from
    `params`: the figure and the small line of its tile. `measures` are kept as a history, e.g. `{"disk.used": 0.65}`.
    """

    check: str
    value: str = ""
    note: str = ""
    params: Mapping[str, Param] = field(default_factory=dict)
    findings: Sequence[Finding] = ()
    measures: Mapping[str, float] = field(default_factory=dict)
    is_known: bool = True
    """False: it couldn't look; `note` says why, e.g. that the machine has no such sensor."""

    @property
    def state(self) -> State:
        """The worst of its findings; without any, well or unknown."""
        states: list[State] = [finding.state for finding in self.findings]
        states.append("ok" if self.is_known else "unknown")
        return worst(states)


def worst(states: Sequence[State]) -> State:
    """The one that a person should see first; ok when there is none."""
    return max(states, key=WORST_LAST.index, default="ok")
