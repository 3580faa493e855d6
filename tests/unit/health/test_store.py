"""What health keeps: findings remember since when and what was put off; measures thin out and stay few."""

import itertools

import pytest

from appliance import clock
from appliance.health.finding import Finding, Fix, Look
from appliance.health.seen import Seen
from appliance.health.store import DAY_S, POINTS, HealthStore, Open
from appliance.storage.database import Database

NOW = 1_800_000_000.0


@pytest.fixture
def at(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time, which a test may put forward."""
    now = [NOW]
    monkeypatch.setattr(clock, "now", lambda: now[0])
    return now


def hot(state: str = "warning") -> Finding:
    return Finding("temperature", "hot", state, "HK-HLT-014", {"celsius": 91.5}, "cpu", Fix("go", "/operate"))  # type: ignore[arg-type]


def seen(*findings: Finding, is_known: bool = True) -> Seen:
    return Seen(Look("temperature", "celsius", findings=findings, is_known=is_known), "machine", clock.now())


def kept(store: HealthStore, *looks: Seen) -> list[Open]:
    store.keep(looks, ["temperature", "disk"])
    return store.findings(store.looks())


def test_a_look_comes_back_as_it_was(database: Database, at: list[float]) -> None:
    store = HealthStore(database)
    store.keep([seen(hot())], ["temperature"])
    assert store.looks() == {"temperature": Seen(Look("temperature", "celsius", findings=[hot()]), "machine", at[0])}


def test_a_finding_remembers_since_when_until_it_has_gone(database: Database, at: list[float]) -> None:
    store = HealthStore(database)
    assert [each.since for each in kept(store, seen(hot()))] == [NOW]
    at[0] += 60
    assert [each.since for each in kept(store, seen(hot("error")))] == [NOW]
    at[0] += 60
    assert kept(store, seen()) == []
    at[0] += 60
    assert [each.since for each in kept(store, seen(hot()))] == [NOW + 180]


def test_what_was_put_off_comes_back_when_it_is_worse(database: Database) -> None:
    store = HealthStore(database)
    kept(store, seen(hot()))
    assert store.snooze(hot().key, NOW + 5)
    assert [each.snoozed_until for each in kept(store, seen(hot()))] == [NOW + 5]
    assert [each.snoozed_until for each in kept(store, seen(hot("error")))] == [None]
    assert not store.snooze("disk/full", NOW + 5)


def test_who_could_not_look_does_not_make_a_finding_younger(database: Database, at: list[float]) -> None:
    store = HealthStore(database)
    kept(store, seen(hot()))
    at[0] += 60
    kept(store, seen(is_known=False))
    at[0] += 60
    assert [each.since for each in kept(store, seen(hot()))] == [NOW]


def test_a_check_that_is_no_more_takes_its_findings_along(database: Database) -> None:
    store = HealthStore(database)
    kept(store, seen(hot()))
    store.keep([], ["disk"])
    assert store.looks() == {}
    with database.read() as connection:
        assert connection.execute("select count(*) from health_findings").get == 0


def test_a_look_of_another_release_is_left_out(database: Database) -> None:
    store = HealthStore(database)
    kept(store, seen())
    with database.write() as connection:
        connection.execute("insert into health_looks values ('disk', '{\"look\": {\"later\": 1}}', 0)")
    assert list(store.looks()) == ["temperature"]


def test_measures_of_minutes_become_hours_and_go_in_the_end(database: Database, at: list[float]) -> None:
    store = HealthStore(database)
    begun = at[0]
    while at[0] < begun + 4 * DAY_S:  # every ten minutes; as high as hours have passed
        store.note({"disk.used": (at[0] - begun) // 3600})
        at[0] += 600
    with database.read() as connection:
        oldest, count = connection.execute("select min(at), count(*) from health_minutes").fetchall()[0]
        hours = connection.execute("select count(*) from health_hours").get
    assert oldest >= at[0] - 2 * DAY_S - 3600 - 600
    assert count <= 2 * 24 * 6 + 7
    assert 92 <= hours <= 96
    week = store.history(["disk.used"], "7d")["disk.used"]
    assert len(week) in (96, 97)
    assert [second[0] - first[0] for first, second in itertools.pairwise(week)] == [3600] * (len(week) - 1)
    assert all(abs(value - (point - begun) / 3600) <= 1 for point, value in week)
    at[0] += 500 * DAY_S
    store.note({"disk.used": 1.0})
    with database.read() as connection:
        assert connection.execute("select count(*) from health_hours where at < ?", (at[0] - 400 * DAY_S,)).get == 0


@pytest.mark.parametrize("span", sorted(POINTS))
def test_a_history_has_at_most_300_points(database: Database, span: str, at: list[float]) -> None:
    store, length = HealthStore(database), POINTS[span][0]  # type: ignore[index]
    with database.write() as connection:
        connection.executemany(
            "insert into health_minutes values ('cpu.used', ?, 0.5)", [(int(NOW) - n * 60,) for n in range(2880)]
        )
        connection.executemany(
            "insert into health_hours values ('cpu.used', ?, 0.5)",
            [(int(NOW) - int(NOW) % 3600 - n * 3600,) for n in range(46, 2400)],
        )
    points = store.history(["cpu.used", "gpu.used"], span)  # type: ignore[arg-type]
    assert points["gpu.used"] == []
    assert 160 <= len(points["cpu.used"]) <= 300
    assert points["cpu.used"][0][0] >= at[0] - length - POINTS[span][1]  # type: ignore[index]
    assert {value for _at, value in points["cpu.used"]} == {0.5}
