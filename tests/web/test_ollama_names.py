"""Model names as Ollama's clients write them: with and without a tag, in capitals or not, whoever named the model."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.simulators.box import PASSWORD, Person

FAR: dict[str, Any] = {
    "name": "far",
    "url": "http://127.0.0.1:9/v1",
    "private": True,
    "models": [{"name": "Org/Talker:4B"}, {"name": "Embeds", "kind": "embedding"}],
    "password": PASSWORD,
}


@pytest.fixture
def far(alice: Person) -> Iterator[None]:
    assert alice.post("/destinations", json=FAR).status_code == 201
    yield
    alice.delete("/destinations/far")


@pytest.fixture
def alias(alice: Person) -> Iterator[str]:
    assert alice.put("/models/aliases/GPT-4o", json={"model": "talker"}).status_code == 204
    yield "GPT-4o"
    alice.delete("/models/aliases/GPT-4o")


def listed(person: Person) -> dict[str, Any]:
    return {model["name"]: model for model in person.get("//api/tags").get_json()["models"]}


@pytest.mark.parametrize("name", ["GPT-4o:latest", "GPT-4o", "gpt-4o", "gpt-4O:LATEST"])
def test_an_alias_with_capitals_is_one_for_every_request(bob: Person, alias: str, name: str) -> None:
    assert f"{alias}:latest" in listed(bob)
    messages = [{"role": "user", "content": "[[words 2]] hi"}]
    for path, body in (
        ("chat", {"messages": messages, "stream": False}),
        ("generate", {"prompt": "[[words 2]] hi", "stream": False}),
        ("generate", {"prompt": "", "stream": False}),
        ("show", {}),
        ("pull", {}),
    ):
        answer = bob.post(f"//api/{path}", json={"model": name, **body})
        assert answer.status_code == 200, (path, answer.get_json())


def test_an_alias_of_an_embedding_model_has_capitals_too(bob: Person, alice: Person) -> None:
    assert alice.put("/models/aliases/Ada-002", json={"model": "embedder"}).status_code == 204
    try:
        for path, field in (("embed", "input"), ("embeddings", "prompt")):
            answer = bob.post(f"//api/{path}", json={"model": "ada-002:latest", field: "x"})
            assert answer.status_code == 200, answer.get_json()
    finally:
        alice.delete("/models/aliases/Ada-002")


def test_a_name_is_taken_away_however_it_is_written(alice: Person, bob: Person, alias: str) -> None:
    assert alice.post("//api/copy", json={"source": "gpt-4o", "destination": "Mine"}).status_code == 200
    assert "Mine:latest" in listed(bob)
    assert alice.post("//api/copy", json={"source": "talker", "destination": "MINE:latest"}).status_code == 200
    assert [name for name in listed(bob) if name.lower() == "mine:latest"] == ["Mine:latest"]
    assert alice.delete("//api/delete", json={"model": "mine"}).status_code == 200
    assert "Mine:latest" not in listed(bob)


def test_of_names_that_differ_in_capitals_only_each_is_itself(alice: Person, alias: str) -> None:
    assert alice.put("/models/aliases/gpt-4o", json={"model": "embedder"}).status_code == 204
    try:
        shown = {
            name: alice.post("//api/show", json={"model": name}).get_json()["capabilities"]
            for name in ("GPT-4o", "gpt-4o:latest")
        }
        assert shown["GPT-4o"] != shown["gpt-4o:latest"] == ["embedding"]
    finally:
        alice.delete("/models/aliases/gpt-4o")


def test_another_machines_models_have_the_tags_and_capitals_that_they_have_there(bob: Person, far: None) -> None:
    assert {"far/Org/Talker:4B", "far/Embeds:latest"} <= listed(bob).keys()
    assert len(listed(bob)["far/Org/Talker:4B"]["digest"]) == 64
    running = bob.get("//api/ps").get_json()["models"]
    assert not [model["name"] for model in running if model["name"].startswith("far/")]
    for name in ("far/Org/Talker:4B", "far/org/talker:4b", "far/Org/Talker:4B:latest", "FAR/EMBEDS"):
        answer = bob.post("//api/show", json={"model": name})
        assert answer.status_code == 200, (name, answer.get_json())


def test_what_is_not_here_keeps_the_name_that_was_asked_for(bob: Person) -> None:
    answer = bob.post("//api/show", json={"model": "Nobody:latest"})
    assert answer.status_code == 404
    assert "Nobody" in answer.get_json()["error"]
