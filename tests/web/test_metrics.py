"""`/metrics`: what Prometheus reads, who may read it, and that it names nobody and nothing of theirs."""

import io
from collections.abc import Iterator
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from appliance import clock
from appliance.health.finding import Finding, Look
from appliance.health.seen import Seen
from tests.simulators.box import PASSWORD, Person, TestBox
from webui.app import create_app
from webui.box import Box

MARK = "zanzibar"


@pytest.fixture
def key(alice: Person) -> Iterator[str]:
    made = alice.post("/me/keys", json={"name": "prometheus", "scope": {"only_metrics": True}}).get_json()
    assert made["item"]["scope"]["only_metrics"] is True
    yield made["key"]
    alice.delete(f"/me/keys/{made['item']['id']}")


def read(box: TestBox, key: str) -> dict[tuple[str, tuple[str, ...]], float]:
    """Values by name and values of labels."""
    answer = box.app.test_client().get("/metrics", headers={"Authorization": f"Bearer {key}"})
    assert (answer.status_code, answer.content_type.startswith("text/plain; version=")) == (200, True)
    families = text_string_to_metric_families(answer.get_data(as_text=True))
    return {(one.name, tuple(one.labels.values())): one.value for family in families for one in family.samples}


def test_it_tells_how_the_box_is_and_what_it_does(box: TestBox, alice: Person, key: str) -> None:
    keeper, known = box.services.health, ["disk", "ups"]
    low = Finding("disk", "low", "error", "HK-HLT-001", {"free": 1})
    worn = Finding("ups", "worn", "warning", "HK-HLT-008", {"ups": MARK}, MARK)
    at = clock.now()
    keeper.store.keep(
        [
            Seen(Look("disk", findings=(low,), measures={"disk.used": 0.97}), "machine", at),
            Seen(Look("ups", findings=(worn,)), "machine", at),
        ],
        known,
    )
    keeper.store.snooze(worn.key, 4e9)
    try:
        before = read(box, key)
        alice.get("/me")
        box.app.test_client().get("/v1/models")
        after = read(box, key)
    finally:
        keeper.store.keep([], [])
    assert after["hako_check_state", ("disk", "machine", "error")] == 1
    assert after["hako_check_state", ("disk", "machine", "ok")] == 0
    assert [after["hako_findings", (state,)] for state in ("error", "warning", "put_off")] == [1, 0, 1]
    assert after["hako_measure", ("disk.used",)] == 0.97
    assert after["hako_inference_up", ()] == 1
    assert {"hako_jobs_waiting", "hako_tokens_written_total", "hako_remote_calls_total"} <= {name for name, _ in after}
    assert after["hako_process_memory_bytes", ("web",)] > 1 << 20
    rose = {
        labels: after[name, labels] - before.get((name, labels), 0)
        for name, labels in after
        if name == "hako_requests_total"
    }
    assert rose[("hako", "2xx")] == 2  # with the look before
    assert rose[("anthropic", "4xx")] == 1
    assert not [name for name, labels in after if MARK in "".join(labels)]


def test_the_requests_of_every_listener_are_counted(box: TestBox, key: str) -> None:
    name = ("hako_requests_total", ("ollama", "4xx"))
    before = read(box, key).get(name, 0)
    assert box.app_at("ollama").test_client().get("/api/tags").status_code == 401
    assert box.app_at("ollama").test_client().get("/metrics").status_code == 404
    assert read(box, key)[name] >= before + 1


def test_tokens_that_were_passed_on_are_counted(box: TestBox, bob: Person, key: str) -> None:
    before = read(box, key)["hako_tokens_written_total", ()]
    made = bob.post("/me/keys", json={"name": "k"}).get_json()
    body = {"model": "talker", "stream": True, "messages": [{"role": "user", "content": "[[words 7]] hi"}]}
    headers = {"Authorization": f"Bearer {made['key']}"}
    box.app.test_client().post("/v1/chat/completions", json=body, headers=headers, buffered=True)
    bob.delete(f"/me/keys/{made['item']['id']}")
    told = read(box, key)
    assert told["hako_tokens_written_total", ()] >= before + 7
    assert told["hako_model_loaded", ("talker",)] == 1


def test_no_name_of_anybody_or_anything_of_theirs_is_a_label(box: TestBox, key: str) -> None:
    user = box.services.users.create(f"{MARK}-user", f"{MARK} name", "member", PASSWORD, "en")
    person = Person(box, user.id, box.services.sessions.start(user, MARK))
    base = person.post("/bases", json={"name": f"{MARK}-base"}).get_json()["id"]
    person.post(f"/bases/{base}/documents", data={"file": (io.BytesIO(b"hello"), f"{MARK}.txt")})
    person.post("/me/keys", json={"name": f"{MARK}-key"})
    person.get(f"//{MARK}")
    person.get(f"//v1/{MARK}")
    text = box.app.test_client().get("/metrics", headers={"X-Api-Key": key}).get_data(as_text=True)
    person.delete(f"/bases/{base}")
    box.services.users.delete(user.id)
    assert "hako_requests_total" in text
    assert [word for word in (MARK, user.id, base, key) if word in text] == []


def test_operators_read_it_and_nobody_else(box: TestBox, alice: Person, bob: Person, mallory: Person) -> None:
    assert alice.get("//metrics").status_code == 200
    stranger = box.app.test_client()
    assert stranger.get("/metrics").status_code == 401
    assert stranger.get("/metrics", headers={"Authorization": "Bearer hako_wrong"}).status_code == 401
    for person in (bob, mallory):
        assert person.get("//metrics").status_code == 403
    for person in (alice, mallory):
        made = person.post("/me/keys", json={"name": "plain"}).get_json()
        assert stranger.get("/metrics", headers={"X-Api-Key": made["key"]}).status_code == 403
        person.delete(f"/me/keys/{made['item']['id']}")
    assert mallory.post("/me/keys", json={"name": "m", "scope": {"only_metrics": True}}).status_code == 403
    plain = mallory.post("/me/keys", json={"name": "m"}).get_json()
    path = f"/me/keys/{plain['item']['id']}"
    assert mallory.patch(path, json={"scope": {"only_metrics": True}}).status_code == 403
    mallory.delete(path)


def test_a_key_for_metrics_opens_nothing_else(box: TestBox, key: str) -> None:
    client = box.app.test_client()
    body: dict[str, Any] = {"model": "talker", "messages": [{"role": "user", "content": "hi"}]}
    for method, path in (
        ("GET", "/v1/models"), ("POST", "/v1/chat/completions"), ("GET", "/api/v1/health"), ("GET", "/api/v1/bases"),
        ("GET", "/api/v1/health/kit"), ("GET", "/api/v1/me"), ("GET", "/api/v1/wall"), ("GET", "/api/tags"),
    ):  # fmt: skip
        answer = client.open(path, method=method, json=body if method == "POST" else None, headers={"X-Api-Key": key})
        assert answer.status_code == 403, path


def test_it_is_worth_nothing_once_its_owner_is_no_operator_any_more(box: TestBox) -> None:
    with box.second_operator("dora") as dora:
        key = dora.post("/me/keys", json={"name": "m", "scope": {"only_metrics": True}}).get_json()["key"]
        client = box.app.test_client()
        assert client.get("/metrics", headers={"X-Api-Key": key}).status_code == 200
        box.services.users.update(dora.id, role="member")
        assert client.get("/metrics", headers={"X-Api-Key": key}).status_code == 403


def test_a_sealed_box_says_so_instead_of_leading_to_a_page(box: TestBox) -> None:
    keys = type(box.keys)(sealed=True)
    client = create_app(Box(box.settings, keys, box._build)).test_client()  # type: ignore[arg-type]
    answer = client.get("/metrics")
    assert (answer.status_code, answer.get_json()["code"]) == (423, "HK-VLT-001")
