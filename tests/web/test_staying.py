"""How long a model stays, as clients say it: followed for who may manage models, and for nobody else."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pytest

from appliance import clock
from appliance.inference.engines import scripted
from tests.simulators.box import Person, TestBox, wait
from webui.dialects import staying

SAID = [{"role": "user", "content": "[[words 2]] hi"}]


@pytest.mark.parametrize(
    ("wish", "expected"),
    [
        (0, 0), ("0", 0), ("0s", 0), ("-0m", 0), (300, 300), ("5m", 300), ("1h30m", 5400), ("1.5h", 5400), (".5s", 0.5),
        ("90", 90), ("100ms", 0.1), (-1, -1), ("-1", -1), ("-1m", -1), ("", None), ("soon", None), ("5 m", None),
        (None, None), (float("nan"), None), (float("inf"), None),
    ],
)  # fmt: skip
def test_times_are_read_as_ollamas_clients_write_them(wish: Any, expected: float | None) -> None:
    assert staying.seconds(wish) == expected


@pytest.fixture
def spare(box: TestBox) -> Iterator[str]:
    """A scripted model that is nobody's default."""
    scripted.install(box.settings.models, "spare", "chat")
    yield "spare"
    box.drop_model("spare")


def leaves(person: Person) -> float | None:
    """In how many seconds the model leaves, as `ps` says it; None where it isn't loaded."""
    for model in person.get("//api/ps").get_json()["models"]:
        if model["name"] == "spare:latest":
            return datetime.fromisoformat(model["expires_at"]).timestamp() - clock.now()
    return None


def chat(person: Person, **more: Any) -> Any:
    return person.post("//api/chat", json={"model": "spare", "messages": SAID, "stream": False, **more})


def test_an_operators_keep_alive_holds_for_this_load_and_is_told(alice: Person, bob: Person, spare: str) -> None:
    assert chat(bob, keep_alive="10m").status_code == 200
    assert (leaves(bob) or 0) > 1e9  # it stays: a member doesn't say how long
    assert chat(alice, keep_alive="10m").status_code == 200
    assert 590 < (leaves(bob) or 0) <= 600
    chat(bob, keep_alive=0)
    assert 590 < (leaves(bob) or 0) <= 600
    assert alice.post("//api/generate", json={"model": spare, "keep_alive": "1h"}).get_json()["done_reason"] == "load"
    assert 3590 < (leaves(bob) or 0) <= 3600
    chat(alice, keep_alive=-1)
    assert (leaves(bob) or 0) > 1e9
    assert alice.post("//v1/chat/completions", json={"model": spare, "messages": SAID, "ttl": 60}).status_code == 200
    assert 50 < (leaves(bob) or 0) <= 60


def test_an_operators_zero_unloads_once_nobody_asks_and_the_next_load_knows_nothing_of_it(
    alice: Person, bob: Person, box: TestBox, spare: str
) -> None:
    chat(bob)
    answer = alice.post("//api/generate", json={"model": spare, "keep_alive": 0, "stream": False})
    assert answer.get_json()["done_reason"] == "unload"
    assert wait(lambda: leaves(bob), lambda left: left is None) is None
    assert ("model-unloaded", spare) in [(entry.action, entry.target) for entry in box.services.audit.entries(20)]
    assert chat(alice, keep_alive="0s").get_json()["message"]["content"] == "word0 word1"
    assert wait(lambda: leaves(bob), lambda left: left is None) is None
    chat(bob)
    assert (leaves(bob) or 0) > 1e9


def test_an_idle_time_of_the_model_is_told_and_what_is_pinned_stays(alice: Person, bob: Person, spare: str) -> None:
    alice.put(f"/models/{spare}/settings", json={"idle_minutes": 5})
    chat(bob)
    assert 290 < (leaves(bob) or 0) <= 300
    alice.put(f"/models/{spare}/settings", json={"pinned": True})
    wait(lambda: leaves(bob), lambda left: left is not None and left > 1e9)
    chat(alice, keep_alive=0)
    assert (leaves(bob) or 0) > 1e9


def test_a_key_needs_the_right_to_take_models_away(alice: Person, bob: Person, box: TestBox, spare: str) -> None:
    for rights, followed in (("none", False), ("remove", True)):
        made = alice.post("/me/keys", json={"name": rights, "scope": {"model_rights": rights}}).get_json()
        body = {"model": spare, "messages": SAID, "stream": False, "keep_alive": "10m"}
        header = {"Authorization": f"Bearer {made['key']}"}
        assert box.app.test_client().post("/api/chat", json=body, headers=header).status_code == 200
        assert ((leaves(bob) or 0) <= 600) is followed
        alice.delete(f"/me/keys/{made['item']['id']}")
