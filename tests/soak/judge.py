"""Judges a soak: what grew, what failed and what was slow, from the samples and the timings alone."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import combinations
from statistics import median
from typing import Any, Final

WARM_UP: Final = 0.25
"""The share of the run in which caches may fill."""
CONSOLE_P95_S: Final = 0.3
_FEWEST_SAMPLES: Final = 12
_FEWEST_CALLS: Final = 30
_EDGE: Final = 5
"""Samples that the level at the end of the warm-up is the median of."""


@dataclass(frozen=True)
class Sample:
    """What was counted at one moment, `at_s` seconds after the load began; gauges by names such as `memory web`."""

    at_s: float
    gauges: Mapping[str, float]


@dataclass(frozen=True)
class Trouble:
    """Something that must not happen; `what` is its first line."""

    at_s: float
    what: str


@dataclass(frozen=True)
class Bound:
    """A gauge may grow by `share` of its level or by `slack` units, whichever is more, and reach `most` at most."""

    share: float = 0.05
    slack: float = 0.0
    most: float = math.inf


BOUNDS: Final[Mapping[str, Bound]] = {
    "memory all": Bound(),
    "private": Bound(slack=8),
    "descriptors": Bound(slack=8),
    "threads": Bound(slack=8),
    "processes": Bound(slack=4),
    "temporary files": Bound(slack=4),
    "run folder": Bound(slack=4),
    "write-ahead log": Bound(slack=64, most=128),
}
"""By name, or by the first word of one. What has no bound is shown only: a log of who did what grows by design."""


@dataclass(frozen=True)
class Run:
    """One soak. `timings` in seconds by what was asked for; those of the console begin with `console `."""

    lasted_s: float
    samples: Sequence[Sample]
    timings: Mapping[str, Sequence[float]]
    troubles: Sequence[Trouble]


@dataclass(frozen=True)
class Growth:
    """Of one gauge: its level after the warm-up, its highest, and what the slope of the rest adds up to."""

    name: str
    level: float
    highest: float
    gained: float
    broken: bool

    @property
    def share(self) -> float:
        """Of the level."""
        return self.gained / self.level if self.level else 0.0


@dataclass(frozen=True)
class Timing:
    """Seconds at the 50th, 95th and 99th percentile of so many."""

    name: str
    count: int
    p50: float
    p95: float
    p99: float


@dataclass(frozen=True)
class Verdict:
    """All figures, and a sentence for each limit that was broken; none: the box has passed."""

    growths: Sequence[Growth]
    timings: Sequence[Timing]
    broken: Sequence[str] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """For a file."""
        return asdict(self)


def judge(run: Run) -> Verdict:
    """Hold a run against the limits. One that has seen too little has not passed."""
    growths = list(_growths(run))
    timings = [_timing(name, run.timings[name]) for name in sorted(run.timings) if run.timings[name]]
    console = _timing("console", [value for name in run.timings if is_console(name) for value in run.timings[name]])
    broken = [f"{len(run.troubles)} errors, the first: {run.troubles[0].what}"] if run.troubles else []
    broken += [
        f"{growth.name} grew by {growth.gained:.1f} ({growth.share:.1%}) from {growth.level:.1f},"
        f" and was {growth.highest:.1f} at most"
        for growth in growths
        if growth.broken
    ]
    if len(_after_warm_up(run)) < _FEWEST_SAMPLES or console.count < _FEWEST_CALLS:
        broken.append("too little was seen to judge by")
    if console.p95 >= CONSOLE_P95_S:
        broken.append(f"the console's p95 is {console.p95 * 1000:.0f} ms, {CONSOLE_P95_S * 1000:.0f} ms is the limit")
    return Verdict(growths, [console, *timings], broken)


def is_console(name: str) -> bool:
    """Whether these are timings of the operator's pages."""
    return name.startswith("console ")


def slope(points: Sequence[tuple[float, float]]) -> float:
    """Theil and Sen's: the median of the slopes between all pairs, so that a few outliers change nothing."""
    slopes = [
        (after - before) / (late - soon) for (soon, before), (late, after) in combinations(points, 2) if late > soon
    ]
    return median(slopes) if slopes else 0.0


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that so large a share does not exceed; 0 of none."""
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)] if values else 0.0


def _after_warm_up(run: Run) -> list[Sample]:
    return [sample for sample in run.samples if sample.at_s >= WARM_UP * run.lasted_s]


def _growths(run: Run) -> Iterator[Growth]:
    samples = _after_warm_up(run)
    for name in sorted({name for sample in samples for name in sample.gauges}):
        points = [(sample.at_s, sample.gauges.get(name, 0.0)) for sample in samples]
        level = median(value for _at, value in points[:_EDGE])
        highest = max(value for _at, value in points)
        gained = slope(points) * (points[-1][0] - points[0][0])
        bound = BOUNDS.get(name) or BOUNDS.get(name.split(" ", maxsplit=1)[0])
        broken = bound is not None and (gained > max(bound.share * level, bound.slack) or highest > bound.most)
        yield Growth(name, level, highest, gained, broken)


def _timing(name: str, values: Sequence[float]) -> Timing:
    return Timing(name, len(values), *(percentile(values, share) for share in (0.5, 0.95, 0.99)))
