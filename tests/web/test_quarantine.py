"""A model whose process really crashes again and again: what programs, operators and the health check are told."""

import os
from collections.abc import Iterator
from typing import Any

import pytest

from appliance.inference.engines import scripted
from tests.simulators.box import Person, TestBox
from tests.simulators.waiting import eventually

CRASH = [{"role": "user", "content": "[[words 5]] [[die 1]]"}]
FINE = [{"role": "user", "content": "well again"}]


@pytest.fixture
def shaky(box: TestBox) -> Iterator[str]:
    """A model that crashes where it is told to; nobody's default, and new in each test."""
    name = f"shaky-{os.urandom(3).hex()}"  # crashes count as long as the box runs
    scripted.install(box.settings.models, name, "chat")
    yield name
    box.drop_model(name)
    box.services.health.store.keep([], [])


def asked(person: Person, model: str, messages: list[dict[str, str]]) -> dict[str, Any]:
    """The answers of each dialect that speaks to programs, by its path."""
    text = messages[0]["content"]
    bodies: dict[str, dict[str, Any]] = {
        "/v1/chat/completions": {"messages": messages},
        "/v1/completions": {"prompt": text},
        "/v1/responses": {"input": text},
        "/v1/messages": {"messages": messages, "max_tokens": 50},
        "/api/chat": {"messages": messages, "stream": False},
    }
    return {path: person.post(f"/{path}", json={"model": model, **body}) for path, body in bodies.items()}


def state(person: Person, model: str) -> str:
    return str(person.get(f"/models/{model}").get_json()["state"])


def findings(box: TestBox, person: Person) -> list[dict[str, Any]]:
    """What a look at everything, now, finds of models in quarantine."""
    box.services.health.ask()
    box.services.health.turn()
    told = person.get("/health").get_json()["findings"]
    return [finding for finding in told if finding["code"] == "HK-HLT-035"]


def crash_until_quarantined(person: Person, operator: Person, model: str) -> None:
    for _ in range(3):
        answer = person.post("//v1/chat/completions", json={"model": model, "messages": CRASH})
        assert (answer.status_code, answer.get_json()["error"]["code"]) == (502, "HK-MOD-003")
    assert eventually(lambda: state(operator, model) == "quarantined")


def test_three_crashes_are_a_finding_and_a_refusal_for_good_until_somebody_loads_it(
    box: TestBox, alice: Person, bob: Person, shaky: str
) -> None:
    assert findings(box, alice) == []
    crash_until_quarantined(bob, alice, shaky)

    for path, answer in asked(bob, shaky, FINE).items():
        assert (path, answer.status_code) == (path, 503)
        assert "HK-MOD-004" in answer.get_data(as_text=True), path
        assert (path, answer.headers.get("x-should-retry")) == (path, "false")
        assert "Retry-After" not in answer.headers, path
    streamed = bob.post("//v1/chat/completions", json={"model": shaky, "messages": FINE, "stream": True})
    assert (streamed.status_code, streamed.headers.get("x-should-retry")) == (503, "false")
    fine = bob.post("//v1/chat/completions", json={"model": "talker", "messages": FINE})
    assert fine.status_code == 200  # the other models go on

    [found] = findings(box, alice)
    assert (found["state"], found["fix"]) == ("error", {"kind": "do", "name": "load-model"})
    assert found["params"] == {"model": shaky}

    assert alice.post(f"/models/{shaky}/load", json={}).status_code == 204
    for path, answer in asked(bob, shaky, FINE).items():
        assert (path, answer.status_code) == (path, 200)
        assert "well again" in answer.get_data(as_text=True), path
    assert findings(box, alice) == []


def test_the_findings_button_frees_it_too_and_only_for_operators(
    box: TestBox, alice: Person, bob: Person, shaky: str
) -> None:
    crash_until_quarantined(bob, alice, shaky)
    [found] = findings(box, alice)
    assert bob.post(f"/models/{shaky}/load", json={}).status_code == 403
    assert bob.post("/health/fixes/load-model", json={"key": found["key"]}).status_code == 403
    assert state(alice, shaky) == "quarantined"
    mended = alice.post("/health/fixes/load-model", json={"key": found["key"]})
    assert mended.status_code == 200
    assert state(alice, shaky) == "loaded"
    assert findings(box, alice) == []
