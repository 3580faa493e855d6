"""Alerts from finding to receiver, over real sockets: receivers that verify, are dead, are slow, lead away or lie."""

import hmac
import json
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from appliance import clock
from appliance.gateway import hook
from appliance.gateway.destinations import Destinations
from appliance.gateway.egress import EgressServer
from appliance.health import alerts
from appliance.health.finding import Finding, Look
from appliance.health.seen import Seen
from appliance.machine import peers
from tests.simulators.box import PASSWORD, Person, TestBox
from tests.simulators.receiver import OK, receiver, says

MARK = "zanzibar"
SECRET = "correct-horse-battery"
LOW = Finding("disk", "low", "warning", "HK-HLT-001", {"free": 1, "folder": MARK}, MARK)
WORN = Finding("ups", "worn", "warning", "HK-HLT-008", {"ups": MARK}, MARK)
LOWER = Finding("disk", "low", "error", "HK-HLT-001", {"free": 0}, MARK)


@pytest.fixture
def found(box: TestBox) -> Iterator[Callable[..., None]]:
    """Say what is found now; nothing is left at the end."""
    keeper = box.services.health

    def say(*findings: Finding) -> None:
        looks = {
            name: Look(name, findings=[each for each in findings if each.check == name]) for name in ("disk", "ups")
        }
        keeper.store.keep([Seen(look, "machine", clock.now()) for look in looks.values()], [*looks])

    say()
    yield say
    keeper.store.keep([], [])


@pytest.fixture
def egress(box: TestBox) -> Iterator[None]:
    server = EgressServer(box.settings.egress_socket, Destinations(box.settings.destinations), peers.is_own_or_root)
    server.start()
    yield
    server.stop()


@contextmanager
def named(box: TestBox, alice: Person, url: str, **more: Any) -> Iterator[dict[str, Any]]:
    """A destination for alerts, whose receiver has been told what is there."""
    body = {"name": "ops", "kind": "alerts", "url": url, "private": True, "key": SECRET, "password": PASSWORD}
    body |= more
    answer = alice.post("/destinations", json=body)
    assert answer.status_code == 201, answer.get_json()
    try:
        yield answer.get_json()
    finally:
        alice.delete("/destinations/ops")
        box.services.alerts.turn()
    assert box.services.alerts.state() == alerts.State()


def told(messages: list[dict[str, Any]]) -> list[list[tuple[str, str, str]]]:
    return [[(each["change"], each["check"], each["state"]) for each in message["changes"]] for message in messages]


@pytest.mark.usefixtures("egress")
def test_changes_are_told_once_signed_and_without_names(
    box: TestBox, alice: Person, found: Callable[..., None]
) -> None:
    send = box.services.alerts.turn
    found(WORN)  # was there before: it is on the page already
    with receiver() as ops, named(box, alice, ops.url):
        send()
        assert ops.taken == []
        found(WORN, LOW)
        send()
        send()
        found(WORN, LOWER)
        send()
        found(LOW)  # better, and a thing that has gone
        send()
        found()
        send()
        send()
        assert told(ops.messages()) == [
            [("new", "disk", "warning")],
            [("worse", "disk", "error")],
            [("gone", "ups", "warning")],
            [("gone", "disk", "warning")],
        ]
        line, headers, body = ops.taken[0]
        assert line == "POST /ops/hook/ HTTP/1.1"
        at, digest = (part.partition("=")[2] for part in headers["x-hako-signature"].split(","))
        assert abs(int(at) - time.time()) < 60
        assert hmac.compare_digest(digest, hmac.new(SECRET.encode(), f"{at}.".encode() + body, "sha256").hexdigest())
        assert headers["content-type"] == "application/json"
        assert "authorization" not in headers
        message = json.loads(body)
        assert (message["format"], message["test"], message["count"]) == ("hako-alert 1", False, 1)
        assert message["changes"] == [
            {"change": "new", "check": "disk", "name": "low", "state": "warning", "code": "HK-HLT-001"}
        ]
        assert "new: HK-HLT-001 disk.low (warning)" in message["text"]
        for _line, sent, content in ops.taken:
            whole = json.dumps(sent) + content.decode()
            assert [word for word in (MARK, SECRET, "alice", "talker") if word in whole] == []
    entries = box.services.audit.entries(8, actions=("alert-sent", "alert-answered"))
    assert [(entry.action, entry.target) for entry in entries] == [("alert-answered", "ops"), ("alert-sent", "ops")] * 4


@pytest.mark.usefixtures("egress")
def test_a_message_without_a_secret_has_no_signature(box: TestBox, alice: Person, found: Callable[..., None]) -> None:
    with receiver() as ops, named(box, alice, ops.url, key=None):
        found(LOW)
        box.services.alerts.turn()
        assert "x-hako-signature" not in ops.taken[0][1]


def drip(connection: socket.socket) -> None:
    """Never comes to the end of its head."""
    for _ in range(200):
        connection.sendall(b"x")
        time.sleep(0.05)


def flood(connection: socket.socket) -> None:
    """An answer without end."""
    connection.sendall(b"HTTP/1.1 500 No\r\nContent-Type: text/html\r\n\r\n")
    for _ in range(5000):
        connection.sendall(b"<script>" * 8192)


@pytest.mark.usefixtures("egress")
@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (says(b""), "HK-NET-004"),
        (says(b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/elsewhere\r\n\r\n"), "HK-NET-004"),
        (says(b"HTTP/1.1 401 No\r\nContent-Length: 0\r\n\r\n"), "HK-NET-005"),
        (says(b"HTTP/1.1 200 OK\r\nX: " + b"x" * 40_000 + b"\r\n\r\n"), "HK-NET-004"),
        (says(b"\x00\xff" * 2000), "HK-NET-004"),
        (drip, "HK-NET-004"),
        (flood, "HK-NET-004"),
    ],
    ids=["closes", "redirects", "refuses", "long-head", "garbage", "drips", "floods"],
)
def test_a_bad_receiver_harms_nothing_and_is_asked_again(
    box: TestBox,
    alice: Person,
    found: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
    answer: Callable[[socket.socket], None],
    code: str,
) -> None:
    monkeypatch.setattr(hook, "_WITHIN_S", 0.7)
    now = clock.now()
    with receiver(answer) as ops, named(box, alice, ops.url):
        found(LOW)
        began = time.monotonic()
        box.services.alerts.turn(now)
        assert time.monotonic() - began < 5
        shown = alice.get("/destinations").get_json()["items"][0]["alerts"]
        assert (shown["result"], shown["failing_since"] is not None) == (code, True)
        box.services.alerts.turn(now + 29)
        assert len(ops.taken) == 1
        box.services.alerts.turn(now + 31)
        assert len(ops.taken) == 2
        ops._answer = says(OK)
        box.services.alerts.turn(now + 5000)
        assert told(ops.messages()) == [[("new", "disk", "warning")]] * 3
        shown = alice.get("/destinations").get_json()["items"][0]["alerts"]
        assert (shown["result"], shown["failing_since"]) == ("ok", None)
        assert (shown["failed"]["code"], shown["next_at"]) == (code, None)
        assert "ops" in shown["failed"]["title"]
        taken = {"change": "new", "check": "disk", "name": "low", "state": "warning", "code": "HK-HLT-001"}
        assert (shown["taken"]["count"], shown["taken"]["changes"]) == (1, [taken])
        box.services.alerts.turn(now + 9000)
        assert len(ops.taken) == 3


@pytest.mark.usefixtures("egress")
def test_what_passed_while_the_receiver_was_dead_is_not_told_and_a_day_later_it_gives_up(
    box: TestBox, alice: Person, found: Callable[..., None]
) -> None:
    with receiver() as gone:
        pass
    now, send = clock.now(), box.services.alerts
    with named(box, alice, gone.url):
        found(LOW)
        send.turn(now)
        assert send.state().tries == 1
        found()
        send.turn(now + 60)
        assert (send.state().tries, send.state().failing_since) == (0, None)
        found(WORN)
        tries = [now + 3601 * hour for hour in range(1, 27)]
        for at in tries:
            send.turn(at)
        assert send.state().tries == 0
        assert list(send.state().told.values()) == [("warning", "HK-HLT-008")]
        send.turn(tries[-1] + 9000)
        assert send.state().tries == 0


def test_without_the_egress_process_nothing_leaves_and_it_is_told(
    box: TestBox, alice: Person, found: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hook, "_SOCKET_WITHIN_S", 0.1)
    with receiver() as ops, named(box, alice, ops.url):
        found(LOW)
        box.services.alerts.turn()
        assert (ops.taken, box.services.alerts.state().last_result) == ([], "HK-HLT-060")


@pytest.mark.usefixtures("egress")
def test_the_button_sends_a_test_and_says_what_is_in_the_way(box: TestBox, alice: Person) -> None:
    before = alice.get("/state").get_json()["gap"]["sent"]
    with receiver() as ops, named(box, alice, ops.url):
        assert alice.post("/destinations/ops/test", json={}).get_json() == {"models": []}
        message = ops.messages()[0]
        assert (message["test"], message["changes"]) == (True, [])
        ops._answer = says(b"HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n")
        assert alice.post("/destinations/ops/test", json={}).get_json()["code"] == "HK-NET-005"
        assert alice.get("/state").get_json()["gap"]["sent"] == before + 2


def test_a_receiver_gets_nothing_but_alerts_and_a_machine_for_models_none(
    box: TestBox, alice: Person, egress: None
) -> None:
    def asked(target: str) -> int:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(5)
            connection.connect(str(box.settings.egress_socket))
            connection.sendall(f"POST {target} HTTP/1.1\r\nHost: e\r\nContent-Length: 2\r\n\r\n{{}}".encode())
            return int(connection.recv(4096).split()[1])

    with receiver() as ops, named(box, alice, ops.url):
        for target in ("/ops/v1/chat/completions", "/ops/", "/ops/hook/x", "/ops/ops/hook/", "/ops/v1/models"):
            assert asked(target) == 421, target
        assert ops.taken == []
        models = {"name": "lab", "url": "http://127.0.0.1:9/v1", "private": True, "password": PASSWORD}
        assert alice.post("/destinations", json=models).status_code == 201
        assert asked("/lab/hook") == 421
        alice.delete("/destinations/lab")


def test_there_is_one_receiver_it_has_no_models_and_the_report_names_it(box: TestBox, alice: Person) -> None:
    with named(box, alice, "http://127.0.0.1:9/hook") as made:
        assert (made["kind"], made["has_key"], made["models"]) == ("alerts", True, [])
        again = alice.post(
            "/destinations", json={"name": "two", "kind": "alerts", "url": "http://127.0.0.1:9/x", "private": True}
        )
        assert (again.status_code, again.get_json()["code"]) == (409, "HK-BOX-039")
        report = box.services.airgap.look("")
        assert [(each.name, each.kind) for each in report.destinations.named] == [("ops", "alerts")]
        stored = box.settings.destinations.read_text()
        assert SECRET not in stored
    body = {"name": "ops", "kind": "alerts", "url": "http://127.0.0.1:9/hook", "private": True}
    assert alice.post("/destinations", json={**body, "models": [{"name": "m"}]}).status_code == 400
    assert alice.post("/destinations", json={**body, "url": "http://8.8.8.8/hook"}).get_json()["code"] == "HK-NET-003"


def test_a_machine_for_models_is_stored_as_the_releases_before_read_it(box: TestBox, alice: Person) -> None:
    alice.post(
        "/destinations", json={"name": "lab", "url": "http://127.0.0.1:9/v1", "private": True, "password": PASSWORD}
    )
    stored = json.loads(box.settings.destinations.read_text())
    alice.delete("/destinations/lab")
    assert "kind" not in stored[0]


def test_mallory_names_tests_and_removes_no_receiver(box: TestBox, alice: Person, mallory: Person) -> None:
    body = {"name": "mine", "kind": "alerts", "url": "http://127.0.0.1:9/hook", "private": True}
    with named(box, alice, "http://127.0.0.1:9/hook"):
        answers = [
            mallory.post("/destinations", json=body),
            mallory.post("/destinations/ops/test", json={}),
            mallory.put("/destinations/ops", json={**body, "name": "ops"}),
            mallory.delete("/destinations/ops"),
        ]
        assert [answer.status_code for answer in answers] == [403] * 4
        assert box.services.alerts.destination() is not None


def test_without_a_receiver_nothing_is_kept_and_nothing_sent(box: TestBox, found: Callable[..., None]) -> None:
    found(LOW)
    box.services.alerts.turn()
    assert box.services.alerts.state() == alerts.State()


def test_a_receiver_is_named_and_changed_with_the_password_only(box: TestBox, alice: Person) -> None:
    """Who found an open browser opens no way out of the box, and leads none elsewhere."""
    body = {"name": "ops", "kind": "alerts", "url": "http://127.0.0.1:9/hook", "private": True}
    assert alice.post("/destinations", json=body).get_json()["code"] == "HK-AUTH-002"
    assert box.services.destinations.all() == {}
    with named(box, alice, "http://127.0.0.1:9/hook"):
        moved = {**body, "url": "http://127.0.0.1:10/hook"}
        refused = [alice.put("/destinations/ops", json={**moved, "password": word}) for word in ("", "x")]
        assert [answer.get_json()["code"] for answer in refused] == ["HK-AUTH-002"] * 2
        assert box.services.destinations.get("ops").url == "http://127.0.0.1:9/hook"
        moved["password"] = PASSWORD
        assert alice.put("/destinations/ops", json=moved).get_json()["has_key"] is True
        assert box.services.destinations.get("ops").url == "http://127.0.0.1:10/hook"
        assert alice.put("/destinations/ops", json={**moved, "key": None}).get_json()["has_key"] is False
        wrong = [{**moved, "name": "other"}, {**moved, "kind": "models"}, {**moved, "private": False}]
        answers = [alice.put("/destinations/ops", json=each).get_json()["code"] for each in wrong]
        assert answers == ["HK-BOX-003", "HK-BOX-003", "HK-NET-002"]
        assert alice.put("/destinations/none", json={**moved, "name": "none"}).status_code == 404
    changed = box.services.audit.entries(2, actions=("destination-changed",))
    assert [(entry.actor, entry.target) for entry in changed] == [("alice", "ops")] * 2
