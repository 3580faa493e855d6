"""The judge of `make soak` fails a run that leaks, errs, is slow or has seen nothing; and the load knows every page."""

import math
import random
import re
from collections.abc import Sequence
from dataclasses import replace

import pytest

from tests.bench.models import REPOSITORY
from tests.soak.console import PAGES
from tests.soak.judge import Run, Sample, Trouble, judge, percentile, slope

HOUR_S = 3600.0
LEVEL = {"memory all": 800.0, "private web": 120.0, "private keys": 20.0, "descriptors web": 60.0, "threads web": 30.0}
LEVEL |= {"temporary files": 2.0, "run folder": 6.0, "write-ahead log": 4.0, "database": 30.0, "processes all": 9.0}


def sound() -> Run:
    """An hour in which caches fill at first, figures waver, and one backup shows as a peak."""
    luck = random.Random(5)
    samples = []
    for at in range(0, 3600, 10):
        filled = 1 - math.exp(-at / 200) / 2
        gauges = {name: value * filled * luck.uniform(0.97, 1.03) for name, value in LEVEL.items()}
        if 2000 <= at < 2100:
            gauges["memory all"] *= 1.4
        samples.append(Sample(float(at), gauges))
    timings = {"console /audit": [luck.uniform(0.01, 0.2) for _ in range(400)], "search": [1.5] * 50}
    return Run(HOUR_S, samples, timings, [])


def grown(gauge: str, by: float) -> Run:
    """The same with a gauge that gains `by` from the first minute to the last."""
    run = sound()
    samples = [
        replace(one, gauges={**one.gauges, gauge: one.gauges[gauge] + by * one.at_s / HOUR_S}) for one in run.samples
    ]
    return replace(run, samples=samples)


def test_a_sound_hour_passes() -> None:
    """A peak and filled caches are no leak, and a slow search is not the console."""
    assert judge(sound()).broken == []


@pytest.mark.parametrize(
    ("gauge", "by"),
    [
        ("memory all", 64.0),
        ("private web", 16.0),
        ("private keys", 16.0),
        ("descriptors web", 20.0),
        ("threads web", 20.0),
        ("temporary files", 10.0),
        ("run folder", 10.0),
        ("write-ahead log", 100.0),
        ("processes all", 10.0),
    ],
)
def test_what_grows_is_told_by_its_name(gauge: str, by: float) -> None:
    [told] = judge(grown(gauge, by)).broken
    assert told.startswith(f"{gauge} grew by ")


@pytest.mark.parametrize(("gauge", "by"), [("memory all", 20.0), ("private keys", 4.0), ("database", 900.0)])
def test_what_may_grow_as_far_as_that_passes(gauge: str, by: float) -> None:
    """Less than 5 %, a few MiB of a small process, and the database, where every action is recorded."""
    assert judge(grown(gauge, by)).broken == []


def test_a_log_that_was_too_large_for_a_moment_fails() -> None:
    run = sound()
    samples = list(run.samples)
    samples[300] = replace(samples[300], gauges={**samples[300].gauges, "write-ahead log": 500.0})
    [told] = judge(replace(run, samples=samples)).broken
    assert told.startswith("write-ahead log ")


def test_one_error_fails_and_is_shown() -> None:
    [told] = judge(replace(sound(), troubles=[Trouble(3.0, "GET /x answered 500"), Trouble(4.0, "other")])).broken
    assert told == "2 errors, the first: GET /x answered 500"


def test_a_slow_console_fails() -> None:
    """All of its pages are judged together."""
    run = sound()
    slow = {**run.timings, "console /operate": [0.4] * 30}
    [told] = judge(replace(run, timings=slow)).broken
    assert told == "the console's p95 is 400 ms, 300 ms is the limit"


@pytest.mark.parametrize("samples", [[], sound().samples[:20]])
def test_a_run_that_broke_off_has_not_passed(samples: Sequence[Sample]) -> None:
    assert "too little was seen to judge by" in judge(replace(sound(), samples=samples)).broken


def test_a_run_in_which_nobody_opened_the_console_has_not_passed() -> None:
    assert judge(replace(sound(), timings={"search": [0.1] * 500})).broken == ["too little was seen to judge by"]


def test_slope_and_percentile() -> None:
    points = [(float(at), 3.0 * at) for at in range(10)]
    assert slope([*points, (10.0, 9999.0)]) == 3.0
    assert slope(points[:1]) == 0.0
    assert [percentile([4, 1, 3, 2], share) for share in (0.5, 0.95, 0.0)] == [2, 4, 1]
    assert percentile([], 0.5) == 0.0


def test_every_page_of_the_console_is_part_of_the_load() -> None:
    """The addresses of the operator's rooms, as the front end has them."""
    routes = (REPOSITORY / "webui" / "frontend" / "src" / "routes.ts").read_text("utf-8")
    pages = {page for page in re.findall(r"pattern: '([^']+)'", routes) if re.match(r"/(operate|audit)(/|$)", page)}
    assert pages <= PAGES.keys()
    assert len(pages) > 10
