"""Models as their operator handles them: import at the box's terminal, aliases, checks, removal; and who may not."""

import json
import os
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from appliance.errors import BadInputError
from appliance.gateway.gateway import ChatRequest
from appliance.inference.client import InferenceClient
from appliance.inference.engines import scripted
from tests.simulators import gguf
from tests.simulators.box import Person, TestBox, wait

Admin = Callable[..., Any]


@pytest.fixture
def admin(box: TestBox) -> Iterator[Admin]:
    """The operator on the admin socket: `admin("POST", "/models/import", json=…)`."""
    ours, theirs = socket.socketpair(socket.AF_UNIX)
    client = box.app.test_client()

    def call(method: str, path: str, **options: Any) -> Any:
        environ = {"gunicorn.socket": ours}
        return client.open("/api/v1" + path, method=method, environ_overrides=environ, buffered=True, **options)

    yield call
    ours.close()
    theirs.close()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return gguf.tiny_llama(tmp_path / "Tiny.gguf")


@pytest.fixture
def tiny(box: TestBox, admin: Admin, file: Path) -> Iterator[str]:
    """An imported model, removed afterwards if it is still there."""
    answer = admin("POST", "/models/import", json={"path": str(file), "licence": "CC0-1.0"})
    assert answer.status_code == 201, answer.get_json()
    model = answer.get_json()["model"]
    yield model
    box.drop_model(model)


@pytest.fixture
def spare(box: TestBox) -> Iterator[str]:
    """A scripted model that is nobody's default."""
    scripted.install(box.settings.models, "spare", "chat")
    yield "spare"
    box.drop_model("spare")


def ids(person: Person) -> set[str]:
    return {item["id"] for item in person.get("/models").get_json()["items"]}


def names(person: Person) -> set[str]:
    return {item["id"] for item in person.get("//v1/models").get_json()["data"]}


ROUTES = [
    ("GET", "/models/talker", None),
    ("DELETE", "/models/talker", None),
    ("POST", "/models/talker/verify", {}),
    ("PUT", "/models/aliases/gpt-4o-mini", {"model": "talker"}),
    ("DELETE", "/models/aliases/gpt-4o-mini", None),
    ("POST", "/models/import", {"path": "/etc/passwd", "licence": "x"}),
]


@pytest.mark.parametrize(("method", "path", "body"), ROUTES)
def test_neither_a_member_nor_a_key_of_an_operator_manages_models(
    box: TestBox, alice: Person, mallory: Person, method: str, path: str, body: object
) -> None:
    assert mallory.open(path, method=method, json=body).status_code == 403
    secret = alice.post("/me/keys", json={"name": "models"}).get_json()
    with_key = {"Authorization": f"Bearer {secret['key']}"}
    answer = box.app.test_client().open("/api/v1" + path, method=method, json=body, headers=with_key)
    assert answer.status_code == 403
    alice.delete(f"/me/keys/{secret['item']['id']}")


def test_a_path_of_the_box_is_not_for_a_browser_even_an_operators(alice: Person, file: Path) -> None:
    for path in (str(file), "/etc/passwd", "/no/such/file"):
        for place in ({"path": path}, {"media": "0" * 32, "projector": path}, {"upload": "0" * 32, "projector": path}):
            answer = alice.post("/models/import", json={**place, "licence": "x", "dry_run": True})
            assert (answer.status_code, answer.get_json()["code"]) == (403, "HK-AUTH-003")


def test_an_imported_model_is_listed_explained_checked_and_removed(
    admin: Admin, alice: Person, bob: Person, tiny: str, box: TestBox
) -> None:
    assert tiny in ids(bob)
    assert tiny in names(bob)
    seen = alice.get(f"/models/{tiny}").get_json()
    assert (seen["name"], seen["licence"], seen["quantization"]) == ("Tiny Llama", "CC0-1.0", "F32")
    estimate = seen["estimate"]
    parts = sum(estimate[f"{part}_bytes"] for part in ("weights", "cache", "scratch"))
    assert estimate["needed_bytes"] == parts > seen["size_bytes"]
    assert estimate["verdict"] in ("fits", "tight")
    assert alice.post(f"/models/{tiny}/verify", json={}).get_json()["files"] == 1
    assert alice.delete(f"/models/{tiny}").status_code == 204
    assert tiny not in ids(bob)
    assert not (box.settings.models / tiny).exists()
    assert alice.delete(f"/models/{tiny}").status_code == 404
    actions = [(entry.action, entry.target) for entry in box.services.audit.entries(20)]
    assert {("model-imported", tiny), ("model-removed", tiny), ("model-verified", tiny)} <= set(actions)


def test_the_list_says_whether_each_model_fits_and_what_the_machine_has(
    alice: Person, bob: Person, tiny: str, spare: str
) -> None:
    alice.get(f"/models/{tiny}")  # reads its header, however long that takes
    answer = alice.get("/models").get_json()
    items = {item["id"]: item for item in answer["items"]}
    for model in (tiny, spare):
        shown = alice.get(f"/models/{model}").get_json()["estimate"]
        unchanging = shown.keys() - {"available_bytes", "verdict"}
        assert {key: items[model]["estimate"][key] for key in unchanging} == {key: shown[key] for key in unchanging}
    assert items[tiny]["estimate"]["cache_bytes"] > 0
    alice.put(f"/models/{tiny}/settings", json={"context": 256, "parallel": 1})
    smaller = next(item for item in alice.get("/models").get_json()["items"] if item["id"] == tiny)
    assert smaller["estimate"]["cache_bytes"] < items[tiny]["estimate"]["cache_bytes"]
    assert 0 < answer["memory"]["free_bytes"] <= answer["memory"]["total_bytes"]
    mine = bob.get("/models").get_json()
    assert "memory" not in mine
    assert {item["estimate"] for item in mine["items"]} == {None}


def test_a_dry_run_says_what_it_is_and_writes_nothing(admin: Admin, file: Path, box: TestBox) -> None:
    before = sorted(path.name for path in box.settings.models.iterdir())
    body = {"path": str(file), "licence": "CC0-1.0", "dry_run": True}
    plan = admin("POST", "/models/import", json=body).get_json()["plan"]
    assert (plan["model"], plan["architecture"], plan["stated_licence"]) == ("tiny", "llama", "cc0-1.0")
    assert plan["chat_template"] is True
    assert sorted(path.name for path in box.settings.models.iterdir()) == before


def test_an_import_can_be_followed_and_a_second_one_finds_the_first(admin: Admin, file: Path, tiny: str) -> None:
    body = {"path": str(file), "licence": "CC0-1.0", "languages": ["ja"]}
    answer = admin("POST", "/models/import", json=body, headers={"Accept": "text/event-stream"})
    events = [part for part in answer.get_data(as_text=True).split("\n\n") if part.startswith("event: ")]
    kinds = [part.split("\n")[0].removeprefix("event: ") for part in events]
    assert (kinds[0], kinds[-1]) == ("plan", "done")
    assert json.loads(events[-1].split("data: ", 1)[1]) == {"model": tiny, "name": "Tiny Llama", "already_there": True}


@pytest.mark.parametrize(
    "path", ["../../etc/passwd", "/etc/../etc/passwd", "/no/such", "/dev/zero", "link.gguf", "pipe", "a\0b"]
)
def test_what_is_no_ordinary_file_is_refused_with_one_sentence(admin: Admin, file: Path, path: str) -> None:
    if path == "link.gguf":
        path = str(file.with_name(path))
        Path(path).symlink_to(file)
    if path == "pipe":
        path = str(file.with_name(path))
        os.mkfifo(path)
    answer = admin("POST", "/models/import", json={"path": path, "licence": "x"})
    assert (answer.status_code, answer.get_json()["code"]) == (422, "HK-MOD-012")


def test_a_folder_without_a_model_is_refused_by_what_it_lacks(admin: Admin, file: Path) -> None:
    folder = file.with_name("empty folder")
    folder.mkdir()
    answer = admin("POST", "/models/import", json={"path": str(folder), "licence": "x"})
    assert (answer.status_code, answer.get_json()["code"]) == (422, "HK-MOD-022")
    assert answer.get_json()["params"] == {"name": "empty folder", "file": "model.onnx"}
    for said in ({"kind": "embedding"}, {"pooling": "cls"}, {"query_prefix": "q: "}, {"passage_prefix": ""}):
        answer = admin("POST", "/models/import", json={"path": str(file), "licence": "x", **said})
        assert (answer.status_code, answer.get_json()["params"]) == (400, {"field": next(iter(said))})


def test_a_file_that_is_no_model_is_refused(admin: Admin, box: TestBox) -> None:
    answer = admin("POST", "/models/import", json={"path": "/etc/passwd", "licence": "x"})
    assert (answer.status_code, answer.get_json()["code"]) == (422, "HK-MOD-009")
    assert answer.get_json()["params"] == {"name": "passwd"}
    assert not list(box.settings.models.glob("*.incoming"))


@pytest.mark.parametrize(
    ("field", "body"),
    [
        ("licence", {}),
        ("licence", {"licence": " "}),
        ("licence", {"licence": "a\nb"}),
        ("path", {"path": "", "licence": "x"}),
        ("path", {"path": "x" * 5000, "licence": "x"}),
        ("languages.0", {"licence": "x", "languages": ["../x"]}),
        ("link", {"licence": "x", "link": "perhaps"}),
        ("id", {"licence": "x", "id": "../../x"}),
    ],
)
def test_a_wish_that_does_not_fit_is_refused_by_its_field(admin: Admin, field: str, body: dict[str, Any]) -> None:
    answer = admin("POST", "/models/import", json={"path": "/etc/passwd", **body})
    assert (answer.status_code, answer.get_json()["params"]) == (400, {"field": field})


# -- aliases


def chat(person: Person, model: str) -> Any:
    body = {"model": model, "messages": [{"role": "user", "content": "[[say hello]]"}]}
    return person.post("//v1/chat/completions", json=body)


def test_a_program_gets_the_model_that_its_hard_coded_name_stands_for(
    alice: Person, bob: Person, spare: str, box: TestBox
) -> None:
    assert chat(bob, "gpt-4o-mini").status_code == 404
    for name in ("gpt-4o-mini", "openai/gpt-4o"):
        assert alice.put(f"/models/aliases/{name}", json={"model": spare}).status_code == 204
    answer = chat(bob, "gpt-4o-mini").get_json()
    assert answer["choices"][0]["message"]["content"] == "hello"
    assert names(bob) >= {"gpt-4o-mini", "openai/gpt-4o", spare}
    assert ids(bob) & {"gpt-4o-mini", "openai/gpt-4o"} == set()
    assert alice.get(f"/models/{spare}").get_json()["aliases"] == ["gpt-4o-mini", "openai/gpt-4o"]
    assert alice.delete("/models/aliases/openai/gpt-4o").status_code == 204
    assert chat(bob, "openai/gpt-4o").status_code == 404
    assert alice.delete("/models/aliases/openai/gpt-4o").status_code == 404
    assert alice.delete(f"/models/{spare}").status_code == 204
    assert "gpt-4o-mini" not in box.services.gateway.aliases.all()


@pytest.mark.parametrize(
    ("name", "status"),
    [
        ("talker", 409),
        ("kb:handbook", 400),
        ("KB:handbook", 400),
        ("..", 400),
        ("../../etc/passwd", 400),
        ("a/../b", 400),
        (".hidden", 400),
        ("a b", 400),
        ("a/", 400),
        ("名前", 400),
        ("x" * 101, 400),
        ("a%0Ab", 400),
    ],
)
def test_a_name_that_no_program_would_use_is_no_alias(alice: Person, box: TestBox, name: str, status: int) -> None:
    before = box.services.gateway.aliases.all()
    answer = alice.put(f"/models/aliases/{name}", json={"model": "talker"})
    assert answer.status_code in (status, 404)  # a server may fold the dots away before anybody looks
    assert box.services.gateway.aliases.all() == before


@pytest.mark.parametrize("name", ["..", "../x", "a/../b", "/x", "kb:x", "", "a\n"])
def test_names_are_checked_whatever_the_path_went_through(box: TestBox, name: str) -> None:
    with pytest.raises(BadInputError):
        box.services.gateway.aliases.put(name, "talker")


def test_an_alias_of_a_model_that_is_not_there_is_refused(alice: Person) -> None:
    for model in ("nobody", "../talker", "gpt-4"):
        answer = alice.put("/models/aliases/some-name", json={"model": model})
        assert (answer.status_code, answer.get_json()["code"]) == (404, "HK-MOD-001")


def test_a_damaged_file_of_aliases_costs_the_aliases_and_nothing_else(alice: Person, bob: Person, box: TestBox) -> None:
    for content in ("{", "[1]", "null"):
        box.settings.model_aliases.write_text(content, "utf-8")
        assert "talker" in names(bob)
        assert chat(bob, "talker").status_code == 200
    assert alice.put("/models/aliases/again", json={"model": "talker"}).status_code == 204
    assert alice.delete("/models/aliases/again").status_code == 204


# -- removing


@pytest.mark.parametrize(
    "model",
    ["..", "../../etc/passwd", "..%2f..%2fetc%2fpasswd", "%2e%2e", "/etc/passwd", "Talker", "x.incoming", "x" * 300],
)
def test_an_id_that_leaves_the_store_removes_nothing(alice: Person, box: TestBox, model: str) -> None:
    before = sorted(path.name for path in box.settings.models.parent.rglob("*") if path.is_dir())
    for method, path in (("DELETE", ""), ("GET", ""), ("POST", "/verify")):
        answer = alice.open(f"/models/{model}{path}", method=method, json={})
        assert answer.status_code in (404, 405), (method, answer.status_code)
    assert Path("/etc/passwd").exists()
    assert sorted(path.name for path in box.settings.models.parent.rglob("*") if path.is_dir()) == before


@pytest.mark.parametrize("model", ["talker", "embedder"])
def test_a_default_model_stays(alice: Person, model: str) -> None:
    answer = alice.delete(f"/models/{model}")
    assert (answer.status_code, answer.get_json()["code"]) == (409, "HK-MOD-011")
    assert answer.get_json()["params"] == {"name": model}


def test_a_model_that_answers_stays_until_it_has_ended(alice: Person, box: TestBox, spare: str) -> None:
    messages = [{"role": "user", "content": "[[words 2000]] [[delay 20]]"}]
    with box.services.gateway.chat(ChatRequest(model=spare, messages=messages, max_tokens=2000)) as stream:
        next(iter(stream))
        assert alice.delete(f"/models/{spare}").status_code == 409
        assert spare in ids(alice)
    # the place is given back a moment later
    assert wait(lambda: alice.delete(f"/models/{spare}").status_code, lambda status: status != 409) == 204
    assert InferenceClient(box.settings.inference_socket).status()[spare]["pid"] is None
    assert spare not in ids(alice)


def test_an_altered_file_is_found_and_its_model_can_be_removed(alice: Person, box: TestBox, spare: str) -> None:
    (box.settings.models / spare / "script").write_bytes(b"changed")
    answer = alice.post(f"/models/{spare}/verify", json={})
    assert (answer.status_code, answer.get_json()["code"]) == (500, "HK-MOD-002")
    (box.settings.models / spare / "model.json").write_text("{", "utf-8")
    assert alice.delete(f"/models/{spare}").status_code == 204
    assert not (box.settings.models / spare).exists()


def test_a_model_whose_header_is_damaged_is_shown_without_an_estimate(alice: Person, box: TestBox, tiny: str) -> None:
    path = box.settings.models / tiny / f"{tiny}.gguf"
    path.write_bytes(bytes(path.stat().st_size))
    box.services.models._headers._known.clear()  # as after a restart
    assert alice.get(f"/models/{tiny}").get_json()["estimate"] is None


def named(box: TestBox, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """The settings file names a reranker."""
    inference = box.settings.inference.model_copy(update={"reranker_model": name})
    monkeypatch.setattr(box.services.gateway.defaults, "_inference", inference)


def test_an_operator_sees_which_reranker_searches_use(
    box: TestBox, alice: Person, mallory: Person, spare: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert alice.get("/models/reranking").get_json() == {"setting": "", "model": None}
    box.services.gateway.aliases.put("the-ranker", "ranker")
    named(box, monkeypatch, "the-ranker")
    assert alice.get("/models/reranking").get_json() == {"setting": "the-ranker", "model": "ranker"}
    named(box, monkeypatch, spare)  # a chat model can't do it
    assert alice.get("/models/reranking").get_json() == {"setting": spare, "model": None}
    named(box, monkeypatch, "none")
    assert alice.get("/models/reranking").get_json() == {"setting": "none", "model": None}
    assert mallory.get("/models/reranking").status_code == 403
    box.services.gateway.aliases.delete("the-ranker")
