"""What operators see of the box and do about it over the API, and that nobody else sees any of it."""

from collections.abc import Iterator
from typing import Any

import pytest

from appliance.health.finding import Finding, Fix, Look
from appliance.health.seen import Seen
from tests.simulators.box import Person, TestBox

KEY = "backup/never"


@pytest.fixture
def looked(box: TestBox) -> Iterator[TestBox]:
    """Everything has been looked at, and there is no backup; leaves no looks behind."""
    keeper = box.services.health
    keeper.turn()
    found = Finding("backup", "never", "warning", "HK-HLT-045", fix=Fix("go", "/operate/backup"))
    look = Look("backup", "never", "by_hand", {"hours": 0}, (found,), {"looked.at": 12.5})
    keeper.store.keep([Seen(look, "box", 1_800_000_000.0)], [*keeper.now().looks, "backup"])
    yield box
    keeper.store.keep([], [])


def one(items: list[dict[str, Any]], **wanted: str) -> dict[str, Any]:
    [found] = [item for item in items if all(item[name] == value for name, value in wanted.items())]
    return found


def test_operators_see_every_check_and_every_finding(looked: TestBox, alice: Person) -> None:
    told = alice.get("/health").get_json()
    assert set(told) == {"state", "checked_at", "up_since", "checks", "findings"}
    assert one(told["checks"], name="backup") == {
        "name": "backup",
        "group": "box",
        "state": "warning",
        "value": {"word": "never", "params": {"hours": 0}},
        "note": {"word": "by_hand", "params": {"hours": 0}},
        "checked_at": "2027-01-15T08:00:00.000Z",
    }
    finding = one(told["findings"], key=KEY)
    assert (finding["code"], finding["fix"]) == ("HK-HLT-045", {"kind": "go", "name": "/operate/backup"})
    assert finding["snoozed_until"] is None
    assert {check["group"] for check in told["checks"]} >= {"box", "trust"}


def test_a_finding_is_put_off_and_back_and_that_is_recorded(looked: TestBox, alice: Person) -> None:
    told = alice.post("/health/snooze", json={"key": KEY, "days": 7}).get_json()
    assert one(told["findings"], key=KEY)["snoozed_until"]
    assert looked.services.audit.entries(1)[0].action == "health-snoozed"
    told = alice.post("/health/snooze", json={"key": KEY, "days": 0}).get_json()
    assert one(told["findings"], key=KEY)["snoozed_until"] is None
    for body, status in (({"key": "x/y", "days": 7}, 404), ({"key": KEY, "days": 91}, 400), ({"key": KEY}, 400)):
        assert alice.post("/health/snooze", json=body).status_code == status


def test_a_button_is_refused_where_the_finding_has_none(looked: TestBox, alice: Person) -> None:
    for name in ("back-up", "verify-audit", "x"):
        assert alice.post(f"/health/fixes/{name}", json={"key": KEY}).status_code == 404


def test_the_history_of_measures(looked: TestBox, alice: Person) -> None:
    told = alice.get("/health/history?name=looked.at&name=gpu.temperature&span=24h").get_json()
    assert [item["name"] for item in told["items"]] == ["looked.at", "gpu.temperature"]
    assert told["items"][0]["points"][-1][1] == 12.5
    assert told["items"][1]["points"] == []
    for query in ("", "?name=", "?name=a'b", "?name=a&span=1y", "?" + "&".join(f"name=m{n}" for n in range(21))):
        assert alice.get(f"/health/history{query}").status_code == 400, query


def test_the_figures_of_this_moment(alice: Person) -> None:
    told = alice.get("/health/now").get_json()
    assert set(told) == {"at", "cpu", "memory", "tokens_per_s", "waiting", "running"}
    assert 0 < told["memory"]["used"] < told["memory"]["total"]
    assert 0 <= told["cpu"] <= 1


def test_somebody_asks_for_a_look_at_everything(looked: TestBox, alice: Person) -> None:
    asked = alice.post("/health/look")
    assert asked.status_code == 202
    looked.services.health.turn()
    told = alice.get("/health").get_json()
    assert all(
        check["checked_at"] >= asked.get_json()["asked_at"][:19]
        for check in told["checks"]
        if check["group"] != "machine"
    )


def test_mallory_gets_nothing(looked: TestBox, mallory: Person) -> None:
    for method, path, body in (
        ("get", "/health", None),
        ("get", "/health/now", None),
        ("get", "/health/history?name=disk.used", None),
        ("post", "/health/look", {}),
        ("post", "/health/snooze", {"key": KEY, "days": 7}),
        ("post", "/health/fixes/back-up", {"key": KEY}),
    ):
        answer = getattr(mallory, method)(path, **({"json": body} if body is not None else {}))
        assert (answer.status_code, answer.get_json()["code"]) == (403, "HK-AUTH-003"), path
    assert "health" not in mallory.get("/state").get_json()
