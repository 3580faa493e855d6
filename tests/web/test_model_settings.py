"""How models are loaded, as their operator sets it; what then happens to them and to chats; and who may not."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from appliance.inference.engines import scripted
from appliance.inference.load_settings import LoadSettings
from tests.simulators import gguf
from tests.simulators.box import Person, TestBox
from tests.simulators.waiting import eventually

CHATML = "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}"


@pytest.fixture
def spare(box: TestBox) -> Iterator[str]:
    """A scripted model that is nobody's default."""
    scripted.install(box.settings.models, "spare", "chat")
    yield "spare"
    box.drop_model("spare")


def change(person: Person, model: str, *, dry: bool = False, **wish: Any) -> Any:
    return person.put(f"/models/{model}/settings" + ("?dry=1" if dry else ""), json=wish)


def test_settings_are_stored_shown_audited_and_followed_at_the_next_load(
    alice: Person, box: TestBox, spare: str
) -> None:
    seen = alice.get(f"/models/{spare}/settings").get_json()
    assert seen["settings"] == LoadSettings().model_dump()
    assert (seen["box"]["context"], seen["box"]["parallel"], seen["most_context"]) == (4096, 2, 4096)
    answer = change(alice, spare, context=1024, parallel=3, pinned=True, idle_minutes=30, overflow="rolling")
    assert answer.status_code == 200
    assert answer.get_json()["settings"] == alice.get(f"/models/{spare}/settings").get_json()["settings"]
    assert answer.get_json()["settings"]["context"] == 1024
    assert alice.post(f"/models/{spare}/load", json={}).status_code == 204
    [running] = [item for item in alice.get("/models/running").get_json()["items"] if item["id"] == spare]
    assert (running["context"], running["parallel"], running["pinned"]) == (1024, 3, True)
    assert (running["state"], running["busy"], running["waiting"], running["provider"]) == ("loaded", 0, 0, "cpu")
    assert running["memory_bytes"] > 0
    assert (running["write_per_s"], running["wait_s"]) == (0, 0)
    assert not {"pid", "error"} & set(running)
    assert alice.get(f"/models/{spare}").get_json()["context"] == 1024
    actions = [(entry.action, entry.target) for entry in box.services.audit.entries(10)]
    assert ("model-settings-changed", spare) in actions
    assert change(alice, spare).get_json()["settings"] == LoadSettings().model_dump()


def test_a_dry_run_estimates_the_wish_and_stores_nothing(alice: Person, box: TestBox) -> None:
    folder = box.settings.models / "tiny"
    folder.mkdir()
    data = gguf.build(gguf.entries(llama__context_length=8192), gguf.tensors())
    (folder / "tiny.gguf").write_bytes(data)
    manifest = json.loads((box.settings.models / "talker" / "model.json").read_text("utf-8"))
    files = {"tiny.gguf": {"sha256": "0" * 64, "size": len(data)}}
    manifest |= {"id": "tiny", "engine": "llama", "files": files, "entry": "tiny.gguf", "context": 8192}
    (folder / "model.json").write_text(json.dumps(manifest), "utf-8")
    small = change(alice, "tiny", dry=True, context=1024, parallel=1).get_json()["estimate"]
    large = change(alice, "tiny", dry=True, context=8192, parallel=4).get_json()["estimate"]
    assert (small["context"], small["parallel"], large["context"], large["parallel"]) == (1024, 1, 8192, 4)
    assert large["cache_bytes"] == 32 * small["cache_bytes"] > 0
    assert large["needed_bytes"] - small["needed_bytes"] == 31 * small["cache_bytes"]
    assert large["weights_bytes"] == small["weights_bytes"] == len(data)
    assert alice.get("/models/tiny/settings").get_json()["settings"] == LoadSettings().model_dump()
    assert not box.settings.model_settings.exists() or "tiny" not in box.settings.model_settings.read_text("utf-8")
    assert change(alice, "tiny", context=1024, parallel=1).status_code == 200
    assert alice.get("/models/tiny").get_json()["estimate"]["cache_bytes"] == small["cache_bytes"]
    assert alice.delete("/models/tiny").status_code == 204
    assert "tiny" not in json.loads(box.settings.model_settings.read_text("utf-8"))


@pytest.mark.parametrize(
    ("field", "wish"),
    [
        ("context", {"context": 255}),
        ("context", {"context": 4097}),
        ("context", {"context": "many"}),
        ("context", {"context": 10**30}),
        ("parallel", {"parallel": 0}),
        ("parallel", {"parallel": 65}),
        ("threads", {"threads": -1}),
        ("idle_minutes", {"idle_minutes": 10**9}),
        ("pinned", {"pinned": "perhaps"}),
        ("speculation", {"speculation": "mod"}),
        ("overflow", {"overflow": "../x"}),
        ("max_tokens", {"max_tokens": -1}),
        ("cache_type", {"cache_type": "q2"}),
        ("template", {"template": "x" * 65_537}),
        ("template", {"template": ["x"]}),
        ("socket", {"socket": "/etc/passwd"}),
    ],
)
def test_a_hostile_value_is_refused_by_its_field(alice: Person, field: str, wish: dict[str, Any]) -> None:
    for dry in (False, True):
        answer = change(alice, "talker", dry=dry, **wish)
        assert (answer.status_code, answer.get_json()["params"]) == (400, {"field": field})
    assert alice.get("/models/talker/settings").get_json()["settings"] == LoadSettings().model_dump()


@pytest.mark.parametrize("template", ["{{ ''.__class__.__mro__ }}", "{{ os.popen('id') }}", "{% for", "hello"])
def test_a_template_that_reaches_too_far_is_refused_and_not_stored(alice: Person, template: str) -> None:
    answer = change(alice, "talker", template=template)
    assert (answer.status_code, answer.get_json()["code"]) == (422, "HK-MOD-015")
    assert answer.get_json()["params"] == {"line": 1}
    assert alice.get("/models/talker/settings").get_json()["settings"]["template"] == ""


def test_a_template_that_works_is_stored_and_is_for_chat_models_only(alice: Person) -> None:
    assert change(alice, "talker", template=CHATML).get_json()["settings"]["template"] == CHATML
    assert change(alice, "talker").status_code == 200
    answer = change(alice, "embedder", template=CHATML)
    assert (answer.status_code, answer.get_json()["params"]) == (400, {"field": "template"})


@pytest.mark.parametrize("model", ["nobody", "gpt-4", "Talker", "..", "x" * 300])
def test_there_are_no_settings_of_a_model_that_is_not_there(alice: Person, model: str) -> None:
    for method, body in (("GET", None), ("PUT", {"pinned": True})):
        assert alice.open(f"/models/{model}/settings", method=method, json=body).status_code == 404


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "/models/talker/settings", None),
        ("PUT", "/models/talker/settings", {"pinned": True}),
        ("PUT", "/models/talker/settings?dry=1", {"pinned": True}),
        ("GET", "/models/running", None),
    ],
)
def test_neither_a_member_nor_an_operators_key_sees_or_changes_settings(
    box: TestBox, alice: Person, mallory: Person, method: str, path: str, body: object
) -> None:
    assert mallory.open(path, method=method, json=body).status_code == 403
    secret = alice.post("/me/keys", json={"name": "settings"}).get_json()
    with_key = {"Authorization": f"Bearer {secret['key']}"}
    answer = box.app.test_client().open("/api/v1" + path, method=method, json=body, headers=with_key)
    assert answer.status_code == 403
    alice.delete(f"/me/keys/{secret['item']['id']}")
    assert not box.services.gateway.load_settings.get("talker").pinned


def test_a_running_model_tells_how_fast_it_writes(alice: Person, bob: Person, spare: str) -> None:
    def rate() -> float:
        items = {item["id"]: item for item in alice.get("/models/running").get_json()["items"]}
        return float(items[spare]["write_per_s"])

    assert alice.post(f"/models/{spare}/load", json={}).status_code == 204
    assert rate() == 0
    with ThreadPoolExecutor(1) as pool:
        written = pool.submit(chat, bob, spare, [{"role": "user", "content": "[[words 60]] [[delay 50]]"}], stream=True)
        assert eventually(lambda: rate() > 2, 20)
        assert written.result().status_code == 200
    assert eventually(lambda: rate() == 0, 20)


# -- chats that are too long


def chat(person: Person, model: str, messages: list[dict[str, str]], *, stream: bool = False) -> Any:
    body = {"model": model, "messages": messages, "stream": stream, "max_tokens": 20}
    return person.post("//v1/chat/completions", json=body)


def long_chat() -> list[dict[str, str]]:
    turns = [
        {"role": role, "content": f"{role} {i} " + "word " * 40}
        for i in range(10)
        for role in ("user", "assistant")
    ]  # fmt: skip
    return [{"role": "system", "content": "short"}, *turns, {"role": "user", "content": "[[say fine]]"}]


def test_a_chat_that_is_too_long_is_refused_cut_in_the_middle_or_rolled_as_the_model_is_set(
    alice: Person, bob: Person, spare: str
) -> None:
    change(alice, spare, context=256)
    answer = chat(bob, spare, long_chat())
    assert (answer.status_code, answer.get_json()["error"]["code"]) == (400, "context_length_exceeded")
    for policy in ("middle", "rolling"):
        change(alice, spare, context=256, overflow=policy)
        for stream in (False, True):
            answer = chat(bob, spare, long_chat(), stream=stream)
            assert answer.status_code == 200
            assert int(answer.headers["X-Hako-Messages-Left-Out"]) in (16, 18)
            assert "fine" in answer.get_data(as_text=True)
    short = chat(bob, spare, long_chat()[-1:])
    assert short.status_code == 200
    assert "X-Hako-Messages-Left-Out" not in short.headers
    last = [{"role": "user", "content": "word " * 400}]
    answer = chat(bob, spare, [*long_chat(), *last])
    assert (answer.status_code, answer.get_json()["error"]["code"]) == (400, "context_length_exceeded")


def test_a_response_may_say_itself_whether_messages_are_left_out(alice: Person, bob: Person, spare: str) -> None:
    def ask(**wish: Any) -> Any:
        return bob.post("//v1/responses", json={"model": spare, "input": long_chat(), "max_output_tokens": 20} | wish)

    change(alice, spare, context=256)
    assert ask().status_code == 400
    cut = ask(truncation="auto")
    assert (cut.status_code, cut.get_json()["truncation"]) == (200, "auto")
    assert int(cut.headers["X-Hako-Messages-Left-Out"]) in (16, 18)
    change(alice, spare, context=256, overflow="middle")
    assert ask().status_code == 200
    kept = ask(truncation="disabled")
    assert (kept.status_code, kept.get_json()["error"]["code"]) == (400, "context_length_exceeded")
