"""Every id of every route and body, given another person's: by session, by key, by a shut account, by the operator."""

import io
import re
import socket
import zipfile
from collections.abc import Callable, Iterator
from typing import Any, get_args

import pytest
from pydantic import BaseModel

from tests.security.conftest import SECRET
from tests.simulators.box import Person, TestBox
from webui import routing

OWNED = {
    "base_id", "document_id", "chat_id", "message_id", "run_id", "session_id", "key_id", "response_id", "preset_id",
    "ticket",
}  # fmt: skip
"""Parameters of paths that name something of a person's."""
NOT_OWNED = {
    "user_id", "model_id", "upload_id", "name", "digest", "number", "path", "snapshot_id", "pack_id", "export_id",
    "link_id",
}  # fmt: skip
"""Those that name something of the box's: operators' routes, models, help pages, files of the front end."""

QUESTION = "What is the combination of the red safe?"
MESSAGES = [{"role": "user", "content": QUESTION}]
BODIES: dict[str, dict[str, Any]] = {
    "/api/v1/bases/<base_id>": {"name": "mine now"},
    "/api/v1/bases/<base_id>/export": {"receiver": "0" * 72, "dry_run": True},
    "/api/v1/bases/<base_id>/search": {"query": "red safe"},
    "/api/v1/chats/<chat_id>": {"title": "mine now"},
    "/api/v1/chats/<chat_id>/messages": {"text": "x"},
}
"""A body that would do, for routes that are told by their path what they are about."""


def routes(box: TestBox) -> Iterator[tuple[str, str, set[str], Callable[..., Any]]]:
    """(method, rule, its parameters, its view) of every route but the public ones."""
    for rule in box.app.url_map.iter_rules():
        view = box.app.view_functions[rule.endpoint]
        if isinstance(routing.declared(view), routing.Public):
            continue
        for method in sorted(rule.methods - {"OPTIONS"}):
            yield method, rule.rule, set(rule.arguments), view


def path_of(rule: str, values: dict[str, str]) -> str:
    return re.sub(r"<(?:int:|path:)?(\w+)>", lambda found: values.get(found.group(1), "1"), rule)


Send = Callable[..., Any]


@pytest.fixture(scope="module")
def actors(box: TestBox, alice: Person, mallory: Person) -> Iterator[dict[str, tuple[Send, set[int]]]]:
    """Who tries, how they send, and the answers that are right."""
    key = mallory.post("/me/keys", json={"name": "burglary"}).get_json()["key"]
    dave = box.person("dave")
    dead = dave.post("/me/keys", json={"name": "left behind"}).get_json()["key"]
    assert alice.patch(f"/users/{dave.id}", json={"disabled": True}).status_code == 200
    ours, theirs = socket.socketpair(socket.AF_UNIX)

    def bare(path: str, **options: Any) -> Any:
        return box.app.test_client().open(path, buffered=True, **options)

    def by_key(secret: str, header: str = "Authorization") -> Send:
        value = f"Bearer {secret}" if header == "Authorization" else secret
        return lambda path, **options: bare(path, headers={header: value}, **options)

    yield {
        "mallory": (lambda path, **options: mallory.open("/" + path, **options), {404}),
        "mallory's key": (by_key(key), {404, 403}),
        "mallory's key in the other header": (by_key(key, "X-Api-Key"), {404, 403}),
        "the operator": (lambda path, **options: alice.open("/" + path, **options), {404}),
        "the operator on the box": (
            lambda path, **options: bare(path, environ_overrides={"gunicorn.socket": ours}, **options),
            {404, 403},
        ),
        "a shut account": (lambda path, **options: dave.open("/" + path, **options), {401}),
        "a shut account's key": (by_key(dead), {401}),
        "nobody": (bare, {401}),
    }
    ours.close()
    theirs.close()


def test_every_parameter_of_a_path_is_known_to_this_sweep(box: TestBox) -> None:
    found = {name for _method, _rule, names, _view in routes(box) for name in names}
    assert found <= OWNED | NOT_OWNED


def test_nobody_else_gets_anything_by_an_id_in_a_path(
    box: TestBox, bob: Person, safe: dict[str, str], actors: dict[str, tuple[Send, set[int]]]
) -> None:
    tried = 0
    for method, rule, names, view in routes(box):
        if not names & OWNED:
            continue
        body = None if routing.body_of(view) is None else BODIES.get(rule, {})
        for who, (send, right) in actors.items():
            answer = send(path_of(rule, safe), method=method, json=body)
            assert answer.status_code in right, (who, method, rule, answer.status_code, answer.get_data(as_text=True))
            assert SECRET not in answer.get_data(as_text=True)
            tried += 1
    assert tried > 200
    assert box.box.places.taken == box.box.readers.taken == 0
    everything_is_still_there(bob, safe)


def everything_is_still_there(bob: Person, safe: dict[str, str]) -> None:
    assert bob.get(f"/bases/{safe['base_id']}").get_json()["name"] == "Bob's safe"
    assert bob.get(f"/documents/{safe['document_id']}").get_json()["state"] == "ready"
    assert len(bob.get(f"/chats/{safe['chat_id']}").get_json()["messages"]) == 2
    assert safe["key_id"] in {item["id"] for item in bob.get("/me/keys").get_json()["items"]}
    assert bob.get(f"//v1/responses/{safe['response_id']}").status_code == 200
    assert bob.get(f"/presets/{safe['preset_id']}").get_json()["system"] == SECRET
    assert bob.get("/me").status_code == 200


# -- ids in bodies


def ids_in(shape: type[BaseModel], prefix: str = "") -> Iterator[str]:
    """Fields of a body, also of bodies within it, that name something: `…_id`, `…_ids`, `model`."""
    for name, field in shape.model_fields.items():
        if re.search(r"(^|_)ids?$|^model$", name):
            yield prefix + name
        for part in [field.annotation, *get_args(field.annotation)]:
            if isinstance(part, type) and issubclass(part, BaseModel):
                yield from ids_in(part, f"{prefix}{name}.")


BODY_IDS: dict[tuple[str, str], Callable[[dict[str, str]], dict[str, Any]]] = {
    ("/api/v1/ask", "base_ids"): lambda safe: {"question": QUESTION, "base_ids": [safe["base_id"]]},
    ("/api/v1/search", "base_ids"): lambda safe: {"query": "red safe", "base_ids": [safe["base_id"]]},
    ("/api/v1/chats", "base_ids"): lambda safe: {"base_ids": [safe["base_id"]]},
    ("/api/v1/chats/<chat_id>", "base_ids"): lambda safe: {"base_ids": [safe["base_id"]]},
    ("/api/v1/chats", "preset_id"): lambda safe: {"preset_id": safe["preset_id"]},
    ("/api/v1/chats/<chat_id>", "preset_id"): lambda safe: {"preset_id": safe["preset_id"]},
    ("/api/v1/chats/<chat_id>/messages", "parent_id"): lambda safe: {"text": "x", "parent_id": safe["message_id"]},
    ("/api/v1/me/keys", "scope.base_ids"): lambda safe: {"name": "x", "scope": {"base_ids": [safe["base_id"]]}},
    ("/api/v1/me/keys/<key_id>", "scope.base_ids"): lambda safe: {"scope": {"base_ids": [safe["base_id"]]}},
    ("/v1/chat/completions", "model"): lambda safe: {"model": f"kb:{safe['base_id']}", "messages": MESSAGES},
    ("/api/v0/chat/completions", "model"): lambda safe: {"model": f"kb:{safe['base_id']}", "messages": MESSAGES},
    ("/v1/messages", "model"): lambda safe: {"model": f"kb:{safe['base_id']}", "messages": MESSAGES, "max_tokens": 9},
    ("/v1/messages/count_tokens", "model"): lambda safe: {"model": f"kb:{safe['base_id']}", "messages": MESSAGES},
    ("/v1/responses", "model"): lambda safe: {"model": f"kb:{safe['base_id']}", "input": QUESTION},
    ("/v1/responses", "previous_response_id"): lambda safe: {
        "model": "talker",
        "input": QUESTION,
        "previous_response_id": safe["response_id"],
    },
    ("/api/chat", "model"): lambda safe: {"model": f"kb:{safe['base_id']}", "messages": MESSAGES},
    ("/api/generate", "model"): lambda safe: {"model": "kb:Bob's safe", "prompt": QUESTION},
    ("/api/show", "model"): lambda safe: {"model": "kb:Bob's safe"},
    ("/api/pull", "model"): lambda safe: {"model": "kb:Bob's safe"},
}
"""A body in which this field names Bob's, of routes where something of a person's may be named."""

NOTHING_OF_A_PERSONS = {
    ("/api/v1/ask", "model"), ("/api/v1/chats", "model"), ("/api/v1/chats/<chat_id>", "model"),
    ("/api/v1/models/aliases/<path:name>", "model"), ("/v1/completions", "model"), ("/v1/embeddings", "model"),
    ("/api/embed", "model"), ("/api/embeddings", "model"), ("/v1/messages", "messages.id"),
    ("/v1/chat/completions", "messages.tool_call_id"), ("/api/chat", "messages.tool_call_id"),
    ("/api/v0/chat/completions", "messages.tool_call_id"), ("/api/v0/completions", "model"),
    ("/api/v0/embeddings", "model"), ("/rerank", "model"), ("/reranking", "model"), ("/v1/rerank", "model"),
    ("/v1/reranking", "model"), ("/v2/rerank", "model"), ("/api/delete", "model"),
}  # fmt: skip
"""Fields that name an AI model, or a call within a conversation that the client brings along."""


def test_every_id_in_a_body_is_known_to_this_sweep(box: TestBox) -> None:
    found = {
        (rule, field)
        for _method, rule, _names, view in routes(box)
        if (shape := routing.body_of(view)) is not None
        for field in ids_in(shape)
    }
    assert found - NOTHING_OF_A_PERSONS == set(BODY_IDS)


@pytest.mark.parametrize("place", BODY_IDS, ids=lambda place: f"{place[0]} {place[1]}")
def test_nobody_else_gets_anything_by_an_id_in_a_body(
    box: TestBox,
    mallory: Person,
    safe: dict[str, str],
    actors: dict[str, tuple[Send, set[int]]],
    place: tuple[str, str],
) -> None:
    rule, _field = place
    method = "PATCH" if rule.endswith(("<chat_id>", "<key_id>")) else "POST"
    own = mallory.post("/chats", json={}).get_json()["id"]
    own_key = mallory.post("/me/keys", json={"name": "own"}).get_json()["item"]["id"]
    for who, (send, right) in actors.items():
        path = path_of(rule, {"chat_id": own, "key_id": own_key})
        answer = send(path, method=method, json=BODY_IDS[place](safe))
        assert answer.status_code in right, (who, answer.status_code, answer.get_data(as_text=True))
        assert SECRET not in answer.get_data(as_text=True)
    assert mallory.get(f"/chats/{own}").get_json()["base_ids"] == []
    assert mallory.get(f"/chats/{own}").get_json()["messages"] == []
    assert mallory.get(f"/chats/{own}").get_json()["preset"] is None


def words(answer: Any) -> str:
    """Of an answer; of each file where it is an archive."""
    if answer.content_type != "application/zip":
        return str(answer.get_data(as_text=True))
    with zipfile.ZipFile(io.BytesIO(answer.get_data())) as archive:
        return "".join(archive.read(name).decode() for name in archive.namelist())


def test_lists_show_nothing_of_others(
    box: TestBox, safe: dict[str, str], actors: dict[str, tuple[Send, set[int]]]
) -> None:
    for method, rule, names, _view in routes(box):
        if method != "GET" or names:
            continue
        for who, (send, _right) in actors.items():
            told = words(send(rule, method=method))
            # Operators are told by the audit log what was done to which id, which opens nothing; never its name.
            ids = () if rule.startswith("/api/v1/audit") and "the operator" in who else safe.values()
            assert not [value for value in (*ids, "Bob's safe", SECRET) if value in told], (who, rule)


def test_a_base_called_like_anothers_id_is_not_taken_for_it(bob: Person, mallory: Person, safe: dict[str, str]) -> None:
    bait = mallory.post("/bases", json={"name": safe["base_id"], "visibility": "everyone"}).get_json()["id"]
    body = {"model": f"kb:{safe['base_id']}", "messages": MESSAGES}
    answer = bob.post("//v1/chat/completions", json=body).get_json()
    mallory.delete(f"/bases/{bait}")
    assert "4711-pumpkin" in answer["choices"][0]["message"]["content"]
