"""Pictures in every dialect: shown to a model that sees, refused elsewhere in the dialect's words, told of in lists."""

import base64
import json
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from appliance.inference.child_http import said
from appliance.inference.engines import scripted
from tests.simulators import gguf, vision
from tests.simulators.box import Person, TestBox

Json = dict[str, Any]
RED, GREEN = vision.png((220, 20, 20)), vision.png((20, 200, 20))
RAW = base64.b64encode(RED).decode()
TEXT = "what is this"


def word(picture: bytes, kind: str = "png") -> str:
    """What the scripted model says of a picture."""
    return said({"content": [vision.part(picture, kind)]})


@pytest.fixture(scope="module")
def watcher(box: TestBox) -> Iterator[str]:
    """A scripted model that sees."""
    scripted.install(box.settings.models, "watcher", "chat", projector=True)
    yield "watcher"
    box.drop_model("watcher")


@pytest.fixture
def admin(box: TestBox) -> Iterator[Callable[..., Any]]:
    """The operator on the admin socket: `admin("POST", "/models/import", json=…)`."""
    ours, theirs = socket.socketpair(socket.AF_UNIX)
    client = box.app.test_client()

    def call(method: str, path: str, **options: Any) -> Any:
        environ = {"gunicorn.socket": ours}
        return client.open("/api/v1" + path, method=method, environ_overrides=environ, buffered=True, **options)

    yield call
    ours.close()
    theirs.close()


# -- one question with a picture in each dialect: `url` is where it is, or its data


def openai(url: str) -> Json:
    parts = [{"type": "text", "text": TEXT}, {"type": "image_url", "image_url": {"url": url, "detail": "low"}}]
    return {"messages": [{"role": "user", "content": parts}]}


def responses(url: str) -> Json:
    parts = [{"type": "input_text", "text": TEXT}, {"type": "input_image", "image_url": url, "detail": "auto"}]
    return {"input": [{"role": "user", "content": parts}]}


def anthropic(url: str) -> Json:
    head, _comma, data = url.partition(",")
    source = {"type": "base64", "media_type": "image/png", "data": data} if data else {"type": "url", "url": head}
    parts = [{"type": "text", "text": TEXT}, {"type": "image", "source": source}]
    return {"messages": [{"role": "user", "content": parts}], "max_tokens": 50}


def lmstudio(url: str) -> Json:
    return {"input": [{"type": "message", "content": TEXT}, {"type": "image", "data_url": url}]}


def ollama(url: str) -> Json:
    return {"messages": [{"role": "user", "content": TEXT, "images": [url.partition(",")[2] or url]}], "stream": False}


def ollama_prompt(url: str) -> Json:
    return {"prompt": TEXT, "images": [url.partition(",")[2] or url], "stream": False}


def text_openai(answer: Json) -> str:
    return str(answer["choices"][0]["message"]["content"])


DIALECTS: dict[str, tuple[Any, Callable[[str], Json], Callable[[Json], str]]] = {
    "/v1/chat/completions": ("main", openai, text_openai),
    "/api/v0/chat/completions": ("main", openai, text_openai),
    "/v1/responses": ("main", responses, lambda answer: answer["output"][0]["content"][0]["text"]),
    "/v1/messages": ("main", anthropic, lambda answer: answer["content"][0]["text"]),
    "/api/chat": ("main", ollama, lambda answer: answer["message"]["content"]),
    "/api/generate": ("main", ollama_prompt, lambda answer: answer["response"]),
    "/api/v1/chat": ("lmstudio", lmstudio, lambda answer: answer["output"][0]["content"]),
}
each_dialect = pytest.mark.parametrize("path", DIALECTS)


def ask(person: Person, path: str, url: str, model: str = "watcher", **more: Any) -> Any:
    listener, body, _text = DIALECTS[path]
    return person.at(listener).post(f"/{path}", json={"model": model, **body(url), **more})


def refused(answer: Any) -> tuple[int, str]:
    """Status and code, which each dialect has somewhere else."""
    told = answer.get_json()
    error = told["error"]
    return answer.status_code, told.get("hako_code") or error["hako_code"]


@each_dialect
def test_a_model_that_sees_is_shown_words_and_pictures_in_their_order(bob: Person, watcher: str, path: str) -> None:
    answer = ask(bob, path, vision.url(RED), watcher)
    assert answer.status_code == 200, answer.get_data(as_text=True)
    assert DIALECTS[path][2](answer.get_json()) == f"{TEXT}\n{word(RED)}"
    other = ask(bob, path, vision.url(vision.jpeg(), "png"), watcher)
    assert DIALECTS[path][2](other.get_json()) == f"{TEXT}\n{word(vision.jpeg(), 'jpeg')}"


@each_dialect
def test_it_is_so_in_a_stream_too(bob: Person, watcher: str, path: str) -> None:
    answer = ask(bob, path, vision.url(GREEN), watcher, stream=True)
    assert answer.status_code == 200
    assert word(GREEN) in answer.get_data(as_text=True)


@each_dialect
def test_a_model_without_a_projector_is_not_asked(bob: Person, path: str) -> None:
    for stream in (False, True):
        answer = ask(bob, path, vision.url(RED), "talker", stream=stream)
        assert refused(answer) == (400, "HK-MOD-028"), answer.get_data(as_text=True)
        assert "Scripted chat" in answer.get_data(as_text=True)


@each_dialect
def test_a_base_has_nothing_to_say_about_pictures(bob: Person, path: str, handbook: Json) -> None:
    answer = ask(bob, path, vision.url(RED), f"kb:{handbook['base']}")
    assert refused(answer) == (400, "HK-MOD-028")


@each_dialect
def test_a_picture_learns_mallory_nothing_about_what_is_not_hers(
    box: TestBox, mallory: Person, watcher: str, handbook: Json, path: str
) -> None:
    """Neither of a base, nor of a model outside of a key's scope: the answer is that for a name that nobody has."""
    for model in (f"kb:{handbook['base']}", "nobody"):
        assert refused(ask(mallory, path, vision.url(RED), model)) == (404, "HK-MOD-001")
    scope = {"models": ["talker"]}
    key = mallory.post("/me/keys", json={"name": "narrow", "scope": scope}).get_json()["key"]
    listener, body, _text = DIALECTS[path]
    client = box.app_at(listener).test_client()
    for model in (watcher, "talker"):
        answer = client.post(
            path, json={"model": model, **body(vision.url(RED))}, headers={"Authorization": f"Bearer {key}"}
        )
        assert refused(answer) == ((404, "HK-MOD-001") if model == watcher else (400, "HK-MOD-028"))


@pytest.mark.parametrize("url", ["http://127.0.0.1:9/x.png", "https://example.com/x.png", "file:///etc/passwd"])
@pytest.mark.parametrize(
    "path", [path for path in DIALECTS if path not in ("/api/chat", "/api/generate", "/api/v1/chat")]
)
def test_nothing_is_fetched_in_any_dialect(bob: Person, watcher: str, path: str, url: str) -> None:
    assert refused(ask(bob, path, url, watcher)) == (400, "HK-MOD-031")


@pytest.mark.parametrize("path", ["/api/chat", "/api/generate", "/api/v1/chat"])
def test_where_there_is_only_data_an_address_is_no_picture(bob: Person, watcher: str, path: str) -> None:
    assert refused(ask(bob, path, "http://127.0.0.1:9/x.png", watcher)) == (400, "HK-MOD-029")


@each_dialect
def test_damage_bombs_and_unknown_kinds_are_refused_in_the_dialects_shape(bob: Person, watcher: str, path: str) -> None:
    for data in (RED[:-20], b"hello", vision.webp()):
        assert refused(ask(bob, path, vision.url(data), watcher)) == (400, "HK-MOD-029")
    bomb = vision.png_of(16_000, 16_000, b"")
    for stream in (False, True):
        assert refused(ask(bob, path, vision.url(bomb), watcher, stream=stream)) == (413, "HK-MOD-030")


def test_the_field_is_named_as_each_dialect_calls_it(bob: Person, watcher: str) -> None:
    for path, field in (("/v1/chat/completions", "messages"), ("/v1/responses", "input"), ("/api/v1/chat", "input")):
        assert ask(bob, path, vision.url(b"hello"), watcher).get_json()["error"]["param"] == field
    error = ask(bob, "/v1/messages", vision.url(vision.png_of(16_000, 16_000, b"")), watcher).get_json()["error"]
    assert error["type"] == "request_too_large"


def test_too_many_pictures_are_refused(bob: Person, watcher: str) -> None:
    message = {"role": "user", "content": "x", "images": [RAW] * 33}
    answer = bob.post("//api/chat", json={"model": watcher, "messages": [message]})
    assert refused(answer) == (400, "HK-MOD-032")
    assert "32" in answer.get_json()["error"]


@pytest.mark.parametrize("role", ["system", "assistant", "tool"])
def test_only_a_persons_message_has_pictures(bob: Person, watcher: str, role: str) -> None:
    message = {"role": role, "content": [vision.part(RED)], "tool_call_id": "t"}
    answer = bob.post("//v1/chat/completions", json={"model": watcher, "messages": [message]})
    assert refused(answer) == (400, "HK-BOX-003")


def test_an_answer_goes_on_from_a_picture_that_is_kept_for_its_owner(
    bob: Person, mallory: Person, watcher: str
) -> None:
    first = ask(bob, "/v1/responses", vision.url(RED), watcher).get_json()
    items = bob.get(f"//v1/responses/{first['id']}/input_items").get_json()["data"]
    assert [part["type"] for part in items[0]["content"]] == ["input_text", "input_image"]
    assert items[0]["content"][1]["image_url"] == vision.url(RED)
    assert mallory.get(f"//v1/responses/{first['id']}/input_items").status_code == 404

    asked = {"model": watcher, "input": "and now", "previous_response_id": first["id"]}
    assert bob.post("//v1/responses", json=asked).get_json()["usage"]["input_tokens"] > first["usage"]["input_tokens"]
    assert refused(mallory.post("//v1/responses", json=asked))[0] == 404
    blind = bob.post("//v1/responses", json={**asked, "model": "talker"})
    assert refused(blind) == (400, "HK-MOD-028")


def test_pictures_in_a_tools_result_are_shown_beside_it(bob: Person, watcher: str) -> None:
    picture = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": RAW}}
    result = {"type": "tool_result", "tool_use_id": "t", "content": [{"type": "text", "text": "read"}, picture]}
    call = {"type": "tool_use", "id": "t", "name": "read", "input": {}}
    messages = [
        {"role": "user", "content": "open it"},
        {"role": "assistant", "content": [call]},
        {"role": "user", "content": [result, {"type": "text", "text": "well"}]},
    ]
    body = {"model": watcher, "messages": messages, "max_tokens": 50}
    assert bob.post("//v1/messages", json=body).get_json()["content"][0]["text"] == f"{word(RED)}\nwell"
    counted = bob.post("//v1/messages/count_tokens", json=body)
    assert counted.get_json()["input_tokens"] > 0
    body["model"] = "talker"
    assert refused(bob.post("//v1/messages/count_tokens", json=body)) == (400, "HK-MOD-028")


def test_a_picture_without_words_is_a_question(bob: Person, watcher: str) -> None:
    answer = bob.post("//api/generate", json={"model": watcher, "images": [RAW], "stream": False})
    assert answer.get_json()["response"] == word(RED)
    there = bob.at("lmstudio").post(
        "//api/v1/chat", json={"model": watcher, "input": [{"type": "image", "data_url": vision.url(RED)}]}
    )
    assert there.get_json()["output"][0]["content"] == word(RED)


def test_a_model_that_is_not_loaded_is_not_loaded_for_nothing(bob: Person, box: TestBox) -> None:
    box.services.gateway.unload("talker")
    answer = ask(bob, "/api/v1/chat", vision.url(RED), "talker", stream=True)
    assert refused(answer) == (400, "HK-MOD-028")
    assert {model.id: model.state for model in box.services.gateway.models()}["talker"] == "idle"


# -- what is told of it


def test_every_list_says_who_sees(bob: Person, watcher: str) -> None:
    ours = {model["id"]: model["vision"] for model in bob.get("/models").get_json()["items"]}
    assert (ours[watcher], ours["talker"], ours["embedder"]) == (True, False, False)
    old = {model["id"]: model["type"] for model in bob.get("//api/v0/models").get_json()["data"]}
    assert (old[watcher], old["talker"]) == ("vlm", "llm")
    new = {model["key"]: model for model in bob.at("lmstudio").get("//api/v1/models").get_json()["models"]}
    assert [new[name]["capabilities"]["vision"] for name in (watcher, "talker")] == [True, False]
    for name, capabilities, families in (
        (watcher, ["completion", "vision"], ["scripted", "clip"]),
        ("talker", ["completion"], ["scripted"]),
    ):
        shown = bob.post("//api/show", json={"model": name}).get_json()
        assert (shown["capabilities"], shown["details"]["families"]) == (capabilities, families)


def test_the_operator_is_shown_which_file_it_sees_with(alice: Person, watcher: str) -> None:
    shown = alice.get(f"/models/{watcher}").get_json()
    assert shown["projector"] == "mmproj.script"
    assert shown["projector"] in {file["name"] for file in shown["files"]}
    assert alice.get("/models/talker").get_json()["projector"] is None


# -- brought at the box's terminal


def test_a_projector_is_brought_with_its_model_at_the_terminal_only(
    box: TestBox, alice: Person, admin: Callable[..., Any], tmp_path: Path
) -> None:
    body = {
        "path": str(gguf.tiny_llama(tmp_path / "Seeing.gguf")),
        "projector": str(vision.tiny_projector(tmp_path / "mmproj.gguf")),
        "licence": "CC0-1.0",
    }
    assert alice.post("/models/import", json=body).status_code == 403
    plan = admin("POST", "/models/import", json={**body, "dry_run": True}).get_json()["plan"]
    assert plan["projector"] == "mmproj.gguf"
    assert plan["size_bytes"] == sum((tmp_path / name).stat().st_size for name in ("Seeing.gguf", "mmproj.gguf"))
    answer = admin("POST", "/models/import", json=body, headers={"Accept": "text/event-stream"})
    assert json.loads(answer.get_data(as_text=True).strip().split("data: ")[-1])["model"] == "seeing"
    try:
        shown = admin("GET", "/models/seeing").get_json()
        assert (shown["vision"], shown["projector"]) == (True, "mmproj-seeing.gguf")
        assert shown["estimate"]["weights_bytes"] == shown["size_bytes"] == plan["size_bytes"]
        assert admin("POST", "/models/seeing/verify", json={}).get_json()["files"] == 2
    finally:
        box.drop_model("seeing")


def test_a_projector_for_another_model_is_refused_with_a_sentence(admin: Callable[..., Any], tmp_path: Path) -> None:
    model = gguf.tiny_llama(tmp_path / "Seeing.gguf")
    wide = vision.tiny_projector(tmp_path / "mmproj-wide.gguf", width=64)
    hostile = vision.tiny_projector(tmp_path / "mmproj-odd.gguf", clip__vision__block_count=0xFFFFFFFF)
    for projector, code in ((wide, "HK-MOD-027"), (model, "HK-MOD-026"), (hostile, "HK-MOD-009")):
        body = {"path": str(model), "projector": str(projector), "licence": "CC0-1.0"}
        answer = admin("POST", "/models/import", json=body)
        assert (answer.status_code, answer.get_json()["code"]) == (422, code)
