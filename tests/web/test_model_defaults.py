"""The chat model and the reranker that the box uses where none is named, chosen by its operator while it runs."""

from collections.abc import Iterator
from typing import Any

import pytest

from appliance.inference.engines import scripted
from tests.simulators.box import Person, TestBox


@pytest.fixture
def spare(box: TestBox) -> Iterator[str]:
    """A chat model that can be chosen; at the end the settings hold again."""
    scripted.install(box.settings.models, "spare", "chat")
    yield "spare"
    box.settings.model_defaults.unlink(missing_ok=True)
    box.drop_model("spare")


def defaults(person: Person) -> set[str]:
    return {model["id"] for model in person.get("/models").get_json()["items"] if model["default"]}


def recorded(box: TestBox) -> list[tuple[str, str]]:
    return [(entry.action, entry.target) for entry in box.services.audit.entries(10)]


def test_a_chat_model_is_made_the_default_used_at_once_and_recorded(
    box: TestBox, alice: Person, bob: Person, spare: str
) -> None:
    assert defaults(alice) == {"talker", "embedder"}
    assert alice.put(f"/models/{spare}/default", json={}).status_code == 204
    assert defaults(alice) == {spare, "embedder"}
    assert bob.post("/chats", json={}).get_json()["model"] == spare
    assert box.services.gateway.model().id == spare
    assert alice.get(f"/models/{spare}").get_json()["default"]
    assert recorded(box)[0] == ("model-default-set", spare)


def test_the_default_of_now_stays_and_the_former_one_can_go(alice: Person, box: TestBox, spare: str) -> None:
    scripted.install(box.settings.models, "former", "chat")
    assert alice.put("/models/former/default", json={}).status_code == 204
    answer = alice.delete("/models/former")
    assert (answer.status_code, answer.get_json()["code"]) == (409, "HK-MOD-011")
    assert alice.put(f"/models/{spare}/default", json={}).status_code == 204
    assert alice.delete("/models/former").status_code == 204


def test_a_reranker_is_taken_into_use_and_out_of_it(
    box: TestBox, alice: Person, bob: Person, spare: str, handbook: dict[str, Any]
) -> None:
    def search() -> Any:
        body = {"query": "payroll office allowance", "base_ids": [handbook["base"]]}
        return bob.post("/search", json=body).get_json()["reranker"]

    assert search() is None
    assert alice.put("/models/ranker/default", json={}).status_code == 204
    assert alice.get("/models/reranking").get_json() == {"setting": "ranker", "model": "ranker"}
    assert defaults(alice) == {"talker", "embedder", "ranker"}
    assert search()["model"] == "ranker"
    assert alice.delete("/models/ranker").status_code == 409
    assert alice.delete("/models/ranker/default").status_code == 204
    assert alice.get("/models/reranking").get_json() == {"setting": "", "model": None}
    assert search() is None
    assert recorded(box)[:2] == [("model-default-dropped", "ranker"), ("model-default-set", "ranker")]
    assert alice.delete("/models/ranker/default").status_code == 204  # not in use: nothing to do


def test_no_reranker_is_kept_over_the_settings(box: TestBox, alice: Person, spare: str) -> None:
    box.services.gateway.defaults.choose("reranker", "another")
    alice.delete("/models/ranker/default")
    assert box.services.gateway.defaults.reranker == "another"


@pytest.mark.parametrize(
    ("method", "model", "status", "code"),
    [
        ("put", "embedder", 409, "HK-MOD-044"),
        ("delete", "embedder", 409, "HK-MOD-045"),
        ("delete", "talker", 409, "HK-MOD-045"),
        ("put", "nothing", 404, "HK-MOD-001"),
        ("delete", "nothing", 404, "HK-MOD-001"),
    ],
)
def test_what_can_not_be_chosen_is_told(
    alice: Person, box: TestBox, spare: str, method: str, model: str, status: int, code: str
) -> None:
    answer = getattr(alice, method)(f"/models/{model}/default", json={})
    assert (answer.status_code, answer.get_json()["code"]) == (status, code)
    assert not box.settings.model_defaults.exists()


def test_only_who_manages_models_chooses(bob: Person, mallory: Person, box: TestBox, spare: str) -> None:
    for person in (bob, mallory):
        assert person.put(f"/models/{spare}/default", json={}).status_code == 403
        assert person.delete("/models/ranker/default").status_code == 403
    assert not box.settings.model_defaults.exists()
