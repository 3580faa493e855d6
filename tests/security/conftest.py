"""A whole box in this process with its cast: Alice runs it, Bob owns what others want, Mallory wants it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.simulators.box import PASSWORD, Person, TestBox, add, wait

SECRET = "The vault combination of the red safe is 4711-pumpkin."


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestBox]:
    opened = TestBox(Path(tmp_path_factory.mktemp("b")))
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def alice(box: TestBox) -> Person:
    return box.person("alice", "operator")


@pytest.fixture(scope="module")
def bob(box: TestBox) -> Person:
    return box.person("bob")


@pytest.fixture(scope="module")
def mallory(box: TestBox) -> Person:
    return box.person("mallory")


@pytest.fixture(scope="module")
def safe(bob: Person) -> dict[str, str]:
    """Everything of Bob's that has an id, by the name that routes and bodies give it."""
    base = bob.post("/bases", json={"name": "Bob's safe"}).get_json()["id"]
    document = take_in(bob, base, "safe.md", f"# Safes\n\n{SECRET}\n".encode())["id"]
    chat = bob.post("/chats", json={"base_ids": [base]}).get_json()["id"]
    started = bob.post(f"/chats/{chat}/messages", json={"text": "What is the combination of the red safe?"}).get_json()
    wait(lambda: bob.get(f"/chats/{chat}").get_json()["messages"][-1], lambda seen: seen["state"] != "running")
    return {
        "base_id": base,
        "document_id": document,
        "chat_id": chat,
        "message_id": started["answer"]["id"],
        "run_id": started["run_id"],
        "session_id": bob.get("/me/sessions").get_json()["items"][0]["id"],
        "response_id": bob.post("//v1/responses", json={"model": "talker", "input": SECRET}).get_json()["id"],
        "preset_id": bob.post("/presets", json={"name": "Bob's safe", "system": SECRET}).get_json()["id"],
        "key_id": bob.post("/me/keys", json={"name": "script"}).get_json()["item"]["id"],
        "ticket": bob.post("/me/export", json={"password": PASSWORD}).get_json()["ticket"],
    }


def take_in(person: Person, base: str, name: str, content: bytes) -> dict[str, Any]:
    """Upload a document and wait until it is ready."""
    document = add(person, base, name, content)
    assert document["state"] == "ready", document
    return document
