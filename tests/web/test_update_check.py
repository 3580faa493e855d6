"""The health gate on a whole box, asked as a client outside asks it: what passes, and which part stops a release."""

import socket
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest

from appliance.bundle.update import launch
from appliance.cli import update_check
from appliance.cli.update_check import Seen
from appliance.inference.engines import scripted
from tests.simulators.box import TestBox

PARTS = ["state", "sign-in", "answer", "document", "audit", "egress"]


class Operator:
    """Who is on the admin socket."""

    def __init__(self, box: TestBox, ours: socket.socket) -> None:
        self._box, self._ours = box, ours

    def __getattr__(self, verb: str) -> Any:
        def ask(path: str, body: object = None) -> Any:
            answer = self._box.app.test_client().open(
                f"/api/v1{path}", method=verb.upper(), json=body, environ_overrides={"gunicorn.socket": self._ours}
            )
            assert answer.status_code < 300, answer.get_data(as_text=True)
            return answer.get_json(silent=True)

        return ask


@pytest.fixture
def operator(box: TestBox, monkeypatch: pytest.MonkeyPatch) -> Iterator[Operator]:
    monkeypatch.setattr(box.services.gateway.remote, "sent", 0)  # others' calls: a release on trial begins at none
    ours, theirs = socket.socketpair(socket.AF_UNIX)
    with ours, theirs:
        yield Operator(box, ours)


def gate(box: TestBox, operator: Operator, model: str = "talker") -> Seen:
    inference = box.settings.inference.model_copy(update={"chat_model": model})
    settings = box.settings.model_copy(update={"inference": inference})
    with httpx2.Client(transport=httpx2.WSGITransport(app=box.app), base_url="http://localhost") as client:
        return update_check._parts(update_check._Probe(settings, operator, client), lambda _seen: None)  # type: ignore[arg-type]


def test_a_healthy_box_passes_every_part(box: TestBox, operator: Operator) -> None:
    seen = gate(box, operator)
    assert (seen.status, seen.failed, seen.code) == (launch.PASSED, "", "")
    assert seen.passed == PARTS


def test_a_model_that_fails_to_load_stops_the_release(box: TestBox, operator: Operator) -> None:
    scripted.install(box.settings.models, "hollow", "chat", b"refuse")
    try:
        seen = gate(box, operator, "hollow")
        assert (seen.status, seen.failed) == (launch.FAILED, "answer")
        assert seen.passed == ["state", "sign-in"]
    finally:
        box.drop_model("hollow")
    assert all(user["name"] != "hako-probe" for user in operator.get("/users")["items"])


def test_a_release_that_sends_where_nothing_is_named_is_stopped(box: TestBox, operator: Operator) -> None:
    assert box.services.gateway.remote is not None
    box.services.gateway.remote.sent = 1
    seen = gate(box, operator)
    assert (seen.status, seen.failed, seen.code) == (launch.FAILED, "egress", "open")
