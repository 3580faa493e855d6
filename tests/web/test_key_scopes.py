"""A key's scope: what is outside of it does not exist, in every dialect and with the key in either header."""

import io
import itertools
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from appliance import clock
from appliance.accounts.permissions import Permission
from appliance.inference.engines import scripted
from tests.simulators.box import Person, TestBox, add
from webui import dialects, key_limits, routing

Send = Callable[..., Any]
Body = dict[str, Any]
HEADERS = ["Authorization", "X-Api-Key"]
VERSION = {"anthropic-version": "2023-06-01"}
QUESTION = "夜勤手当は1回につきいくらですか。"
MESSAGES = [{"role": "user", "content": "[[words 2]] hi"}]
SECRET = "The drawer's code is 1138-marzipan."
NUMBERS = itertools.count()


def sender(box: TestBox, secret: str, header: str = "Authorization") -> Send:
    """Requests with this key in that header."""
    with_key = {header: f"Bearer {secret}" if header == "Authorization" else secret}

    def send(method: str, path: str, json: Any = None, **options: Any) -> Any:
        headers = with_key | options.pop("headers", {})
        return box.app.test_client().open(path, method=method, json=json, headers=headers, buffered=True, **options)

    return send


@pytest.fixture
def key(box: TestBox, bob: Person) -> Any:
    """Makes keys of Bob's with a scope; they are gone after the test, for a person may have only so many."""
    made = []

    def make(scope: Body, header: str = "Authorization") -> Send:
        answer = bob.post("/me/keys", json={"name": f"scoped {next(NUMBERS)}", "scope": scope})
        assert answer.status_code == 201, answer.get_json()
        made.append(answer.get_json()["item"]["id"])
        return sender(box, answer.get_json()["key"], header)

    yield make
    for key_id in made:
        bob.delete(f"/me/keys/{key_id}")


@pytest.fixture(scope="module")
def drawer(bob: Person) -> Iterator[dict[str, str]]:
    """Another private base of Bob's, with a document."""
    base = bob.post("/bases", json={"name": "Bob's drawer"}).get_json()["id"]
    yield {"base": base, "document": add(bob, base, "drawer.md", f"# Drawer\n\n{SECRET}\n".encode())["id"]}
    bob.delete(f"/bases/{base}")  # a worker may come back to this module


@pytest.fixture
def alias(box: TestBox) -> Any:
    box.services.gateway.aliases.put("gpt-4o-mini", "talker")
    yield "gpt-4o-mini"
    box.services.gateway.aliases.delete("gpt-4o-mini")


def listed(send: Send) -> list[set[str]]:
    """The names of models and bases as each dialect lists them, the box's own last."""
    return [
        {entry["id"] for entry in send("GET", "/v1/models").get_json()["data"]},
        {entry["id"] for entry in send("GET", "/v1/models", headers=VERSION).get_json()["data"]},
        {entry["name"].removesuffix(":latest") for entry in send("GET", "/api/tags").get_json()["models"]},
        {entry["id"] for entry in send("GET", "/api/v1/models").get_json()["items"]}
        | {"kb:" + entry["name"] for entry in send("GET", "/api/v1/bases").get_json()["items"]},
    ]


def asked_of(model: str) -> list[tuple[str, str, Body | None]]:
    """Every request of every dialect that names a chat model or a base."""
    return [
        ("GET", f"/v1/models/{model}", None),
        ("POST", "/v1/chat/completions", {"model": model, "messages": MESSAGES}),
        ("POST", "/v1/chat/completions", {"model": model, "messages": MESSAGES, "stream": True}),
        ("POST", "/v1/messages", {"model": model, "messages": MESSAGES, "max_tokens": 9}),
        ("POST", "/v1/messages", {"model": model, "messages": MESSAGES, "max_tokens": 9, "stream": True}),
        ("POST", "/v1/messages/count_tokens", {"model": model, "messages": MESSAGES}),
        ("POST", "/api/chat", {"model": model, "messages": MESSAGES}),
        ("POST", "/api/generate", {"model": model, "prompt": "hi"}),
        ("POST", "/api/generate", {"model": model}),
        ("POST", "/api/show", {"model": model}),
    ]


# -- models


@pytest.mark.parametrize("header", HEADERS)
def test_a_model_outside_of_the_scope_is_not_there(key: Any, alias: str, header: str) -> None:
    send = key({"models": ["embedder"]}, header)
    for names in listed(send):
        assert not names & {"talker", alias}
    for name in ("talker", alias):
        more = [
            ("POST", "/v1/completions", {"model": name, "prompt": "hi"}),
            ("POST", "/api/v1/ask", {"question": "hi", "model": name}),
        ]
        for method, path, body in asked_of(name) + more:
            assert send(method, path, body).status_code == 404, (method, path)
    assert send("POST", "/api/pull", {"model": "talker"}).status_code == 403
    assert send("POST", "/v1/embeddings", {"model": "embedder", "input": "x"}).status_code == 200
    assert send("POST", "/api/embed", {"model": "embedder", "input": "x"}).status_code == 200


@pytest.mark.parametrize("header", HEADERS)
def test_a_model_within_the_scope_is_there_also_by_its_other_names(key: Any, alias: str, header: str) -> None:
    send = key({"models": ["talker"]}, header)
    for name in ("talker", alias):
        for method, path, body in asked_of(name):
            assert send(method, path, body).status_code == 200, (method, path)
    for names in listed(send):
        assert "talker" in names
        assert "embedder" not in names
    for path in ("/v1/embeddings", "/api/embed"):
        assert send("POST", path, {"model": "embedder", "input": "x"}).status_code == 404


def test_an_alias_in_a_scope_is_the_model_that_it_stands_for(key: Any, bob: Person, alias: str) -> None:
    key({"models": [alias]})
    assert bob.get("/me/keys").get_json()["items"][0]["scope"]["models"] == ["talker"]


def test_who_may_not_use_the_default_is_answered_by_no_other_kind(key: Any, handbook: dict[str, str]) -> None:
    send = key({"models": ["embedder"]})
    assert send("POST", "/api/v1/ask", {"question": QUESTION}).status_code == 404
    body = {"model": f"kb:{handbook['base']}", "messages": MESSAGES}
    assert send("POST", "/v1/chat/completions", body).status_code == 404


# -- bases


@pytest.mark.parametrize("header", HEADERS)
def test_a_base_outside_of_the_scope_is_not_there(
    key: Any, bob: Person, handbook: dict[str, str], drawer: dict[str, str], header: str
) -> None:
    send = key({"base_ids": [handbook["base"]]}, header)
    for names in listed(send):
        assert "kb:Bob's handbook" in names
        assert "kb:Bob's drawer" not in names
    base, document = drawer["base"], drawer["document"]
    file = {"data": {"file": (io.BytesIO(b"# New"), "new.md")}}
    own: list[tuple[str, str, Body | None]] = [
        ("GET", f"/bases/{base}", None),
        ("PATCH", f"/bases/{base}", {"name": "x"}),
        ("DELETE", f"/bases/{base}", None),
        ("GET", f"/bases/{base}/documents", None),
        ("POST", f"/bases/{base}/search", {"query": "drawer"}),
        ("GET", f"/documents/{document}", None),
        ("GET", f"/documents/{document}/pages/1", None),
        ("GET", f"/documents/{document}/original", None),
        ("POST", f"/documents/{document}/retry", {}),
        ("POST", f"/documents/{document}/cancel", {}),
        ("DELETE", f"/documents/{document}", None),
        ("POST", "/ask", {"question": "the drawer's code", "base_ids": [base]}),
        ("POST", "/ask", {"question": "the drawer's code", "base_ids": [handbook["base"], base]}),
        ("POST", "/search", {"query": "the drawer's code", "base_ids": [base]}),
    ]
    tries = [(method, "/api/v1" + path, body) for method, path, body in own]
    for method, path, body in tries + asked_of("kb:Bob's drawer") + asked_of(f"kb:{base}"):
        answer = send(method, path, body)
        assert answer.status_code == 404, (method, path, answer.get_data(as_text=True))
        assert "marzipan" not in answer.get_data(as_text=True)
    assert send("POST", f"/api/v1/bases/{base}/documents", **file).status_code == 404
    assert bob.get(f"/documents/{document}").get_json()["state"] == "ready"
    assert bob.get(f"/bases/{base}").get_json()["name"] == "Bob's drawer"


@pytest.mark.parametrize("header", HEADERS)
def test_a_base_within_the_scope_answers_and_nothing_else_is_searched(
    key: Any, handbook: dict[str, str], drawer: dict[str, str], header: str
) -> None:
    send = key({"base_ids": [handbook["base"]]}, header)
    for method, path, body in asked_of("kb:Bob's handbook"):
        assert send(method, path, body).status_code == 200, (method, path)
    base = handbook["base"]
    assert send("POST", f"/api/v1/bases/{base}/search", {"query": QUESTION}).get_json()["hits"]
    assert "6,000円" in send("POST", "/api/v1/ask", {"question": QUESTION}).get_data(as_text=True)
    for path, body in (("/ask", {"question": "the drawer's code"}), ("/search", {"query": "the drawer's code"})):
        found = send("POST", "/api/v1" + path, body)
        assert found.status_code == 200
        assert "marzipan" not in found.get_data(as_text=True)
    file = {"data": {"file": (io.BytesIO(f"# {header}".encode()), "added.md")}}
    added = send("POST", f"/api/v1/bases/{base}/documents", **file)
    assert added.status_code == 201
    assert send("DELETE", f"/api/v1/documents/{added.get_json()['id']}").status_code == 204


def test_a_key_for_certain_bases_gets_no_new_ones_and_no_conversations(
    key: Any, bob: Person, drawer: dict[str, str], handbook: dict[str, str]
) -> None:
    chat = bob.post("/chats", json={"base_ids": [drawer["base"]]}).get_json()["id"]
    for scope in ({"base_ids": [handbook["base"]]}, {"models": ["talker"]}):
        send = key(scope)
        for method, path in (
            ("GET", "/chats"),
            ("POST", "/chats"),
            ("GET", f"/chats/{chat}"),
            ("GET", f"/chats/{chat}/export"),
            ("POST", f"/chats/{chat}/messages"),
        ):
            answer = send(method, "/api/v1" + path, {})
            assert (answer.status_code, answer.get_json()["code"]) == (403, "HK-AUTH-009"), (method, path)
    send = key({"base_ids": [handbook["base"]]})
    assert send("POST", "/api/v1/bases", {"name": "mine"}).get_json()["code"] == "HK-AUTH-009"
    file = {"data": {"file": (io.BytesIO(b"# New"), "new.md")}}
    assert send("POST", "/api/v1/uploads", **file).status_code in (403, 404)
    assert key({})("GET", f"/api/v1/chats/{chat}").status_code == 200


def test_a_key_that_may_not_write_reads_and_asks_only(key: Any, handbook: dict[str, str]) -> None:
    send = key({"may_write": False})
    base, document = handbook["base"], handbook["document"]
    for method, path in (
        ("POST", "/bases"),
        ("PATCH", f"/bases/{base}"),
        ("DELETE", f"/bases/{base}"),
        ("POST", f"/bases/{base}/documents"),
        ("DELETE", f"/documents/{document}"),
        ("POST", "/uploads"),
    ):
        answer = send(method, "/api/v1" + path, {"name": "x"})
        assert (answer.status_code, answer.get_json()["code"]) == (403, "HK-AUTH-009"), (method, path)
    assert send("GET", f"/api/v1/bases/{base}").get_json()["writable"] is False
    assert send("GET", f"/api/v1/documents/{document}").status_code == 200


# -- dialects

ONE_OF_EACH: dict[str, tuple[str, str, Body | None]] = {
    "openai": ("POST", "/v1/chat/completions", {"model": "talker", "messages": MESSAGES}),
    "anthropic": ("POST", "/v1/messages", {"model": "talker", "messages": MESSAGES, "max_tokens": 9}),
    "ollama": ("POST", "/api/chat", {"model": "talker", "messages": MESSAGES, "stream": False}),
    "hako": ("GET", "/api/v1/bases", None),
}


@pytest.mark.parametrize("header", HEADERS)
@pytest.mark.parametrize("spoken", ONE_OF_EACH)
def test_a_key_speaks_the_dialects_of_its_scope_and_is_refused_in_the_others_words(
    key: Any, spoken: str, header: str
) -> None:
    send = key({"dialects": [spoken]}, header)
    codes: dict[str, Callable[[Body], str]] = {
        "openai": lambda body: body["error"]["hako_code"] if body["error"]["type"] == "permission_error" else "",
        "anthropic": lambda body: body["error"]["hako_code"] if body["error"]["type"] == "permission_error" else "",
        "ollama": lambda body: body["hako_code"] if isinstance(body["error"], str) else "",
        "hako": lambda body: body["code"],
    }
    for dialect, (method, path, body) in ONE_OF_EACH.items():
        answer = send(method, path, body)
        if dialect == spoken:
            assert answer.status_code == 200, (dialect, answer.get_data(as_text=True))
        else:
            assert (answer.status_code, codes[dialect](answer.get_json())) == (403, "HK-AUTH-009"), dialect
    shared = send("GET", "/v1/models").status_code
    assert shared == (200 if spoken in ("openai", "anthropic") else 403)


def test_every_route_that_knows_its_person_belongs_to_a_dialect(box: TestBox) -> None:
    table = box.app.extensions["hako-dialects"]
    homeless = [
        rule.rule
        for rule in box.app.url_map.iter_rules()
        if isinstance(routing.declared(box.app.view_functions[rule.endpoint]), Permission)
        and not key_limits.dialects_of(rule.rule, table)
    ]
    assert not homeless
    assert {name for names in table.values() for name in names} > set(ONE_OF_EACH)


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/v1/chat/completions", {"openai"}),
        ("/v1/messages", {"anthropic"}),
        ("/v1/messages/count_tokens", {"anthropic"}),
        ("/v1/messagesx", {"openai"}),
        ("/v1/models/a/b", {"openai", "anthropic"}),
        ("/v1/rerank", {"rerank"}),
        ("/rerank", {"rerank"}),
        ("/api/chat", {"ollama"}),
        ("/api/v0/models", {"lmstudio"}),
        ("/sign-in", set()),
    ],
)
def test_the_longest_path_says_the_dialect(path: str, expected: set[str]) -> None:
    assert key_limits.dialects_of(path, dialects.spoken_below()) == expected


# -- rights over models


def test_an_operators_key_names_and_removes_models_within_its_scope(box: TestBox, alice: Person) -> None:
    scripted.install(box.settings.models, "doomed", "chat")
    made = []

    def with_scope(**scope: Any) -> Send:
        answer = alice.post("/me/keys", json={"name": f"names {next(NUMBERS)}", "scope": scope}).get_json()
        made.append(answer["item"]["id"])
        assert answer["item"]["scope"]["model_rights"] == scope.get("model_rights", "none")
        return sender(box, answer["key"])

    plain, naming, removing = with_scope(), with_scope(model_rights="aliases"), with_scope(model_rights="remove")
    narrow = with_scope(model_rights="remove", models=["embedder"])

    def copied(send: Send, source: str, name: str) -> tuple[int, str]:
        answer = send("POST", "/api/copy", {"source": source, "destination": name})
        return answer.status_code, (answer.get_json() or {}).get("hako_code", "")

    def deleted(send: Send, name: str) -> tuple[int, str]:
        answer = send("DELETE", "/api/delete", {"model": name})
        return answer.status_code, (answer.get_json() or {}).get("hako_code", "")

    try:
        assert copied(plain, "talker", "renamed") == deleted(plain, "doomed") == (403, "HK-AUTH-009")
        assert copied(naming, "talker", "renamed") == (200, "")
        assert copied(narrow, "talker", "mine") == deleted(narrow, "renamed") == (404, "HK-MOD-001")
        assert deleted(narrow, "doomed") == (404, "HK-MOD-001")
        assert copied(narrow, "embedder", "renamed") == (403, "HK-AUTH-009"), "another model's name"
        assert deleted(naming, "renamed") == (200, "")
        assert deleted(naming, "doomed") == (403, "HK-AUTH-009")
        assert deleted(removing, "doomed") == (200, "")
        assert deleted(removing, "talker") == (409, "HK-MOD-011"), "the default"
        for send in (naming, removing):  # nothing else of an operator's
            assert send("POST", "/api/v1/models/talker/unload").status_code == 403
            assert send("DELETE", "/api/v1/models/embedder").status_code == 403
    finally:
        for key_id in made:
            alice.delete(f"/me/keys/{key_id}")


# -- time


def test_a_key_that_has_run_out_opens_nothing(
    box: TestBox, bob: Person, key: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = clock.now()
    by_header = [key({"expires_at": clock.iso(now + 600)}, header) for header in HEADERS]
    for send in by_header:
        assert send("GET", "/v1/models").status_code == 200
    monkeypatch.setattr(clock, "now", lambda: now + 601)
    for send in by_header:
        for method, path, body in ONE_OF_EACH.values():
            assert send(method, path, body).status_code == 401


def test_a_limit_a_minute_is_kept_and_told(key: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [clock.now()]
    monkeypatch.setattr(clock, "now", lambda: now[0])
    send = key({"requests_per_minute": 2})

    def told(answer: Any) -> tuple[str, ...]:
        names = ("limit", "remaining", "reset")
        return tuple(answer.headers[f"x-ratelimit-{name}-requests"] for name in names)

    assert told(send("GET", "/v1/models")) == ("2", "1", "30s")
    assert told(send(*ONE_OF_EACH["anthropic"])) == ("2", "0", "60s")
    types = {"openai": "rate_limit_error", "anthropic": "rate_limit_error"}
    for dialect, (method, path, body) in ONE_OF_EACH.items():
        answer = send(method, path, body)
        assert (answer.status_code, answer.headers["Retry-After"], told(answer)) == (429, "30", ("2", "0", "60s"))
        assert "HK-AUTH-010" in answer.get_data(as_text=True)
        if dialect in types:
            assert answer.get_json()["error"]["type"] == types[dialect]
    assert send(*ONE_OF_EACH["openai"]).get_json()["error"]["code"] == "rate_limit_exceeded"
    now[0] += 30
    assert send("GET", "/v1/models").status_code == 200
    assert send("GET", "/v1/models").status_code == 429


def test_a_limit_is_each_keys_own(key: Any, bob: Person) -> None:
    limited, free = key({"requests_per_minute": 1}), key({})
    assert limited("GET", "/v1/models").status_code == 200
    assert limited("GET", "/v1/models").status_code == 429
    assert key({"requests_per_minute": 1})("GET", "/v1/models").status_code == 200
    for answer in (free("GET", "/v1/models"), bob.get("//v1/models")):
        assert answer.status_code == 200
        assert "x-ratelimit-limit-requests" not in answer.headers


# -- who may change a scope


@pytest.mark.usefixtures("drawer")
def test_the_owner_changes_name_and_scope_and_what_is_not_given_stays(
    box: TestBox, bob: Person, handbook: dict[str, str]
) -> None:
    scope = {"models": ["talker"], "base_ids": [handbook["base"]], "dialects": ["openai"], "requests_per_minute": 90}
    made = bob.post("/me/keys", json={"name": "k", "scope": scope}).get_json()
    path = f"/me/keys/{made['item']['id']}"
    whole = scope | {"may_write": True, "model_rights": "none", "only_metrics": False, "expires_at": None}
    assert made["item"]["scope"] == whole
    assert bob.patch(path, json={"name": "renamed"}).get_json()["scope"] == whole
    narrower = bob.patch(path, json={"scope": {"may_write": False, "expires_at": "2100-01-02T03:04:05Z"}}).get_json()
    assert narrower["scope"] == whole | {"may_write": False, "expires_at": "2100-01-02T03:04:05.000Z"}
    assert (narrower["name"], "key" in narrower, made["key"] in str(narrower)) == ("renamed", False, False)
    send = sender(box, made["key"])
    assert send("GET", "/api/v1/bases").status_code == 403
    bob.patch(path, json={"scope": {"dialects": [], "base_ids": []}})
    assert len(send("GET", "/api/v1/bases").get_json()["items"]) > 1
    bob.patch(path, json={"scope": {"expires_at": "2001-01-01T00:00:00Z"}})
    assert send("GET", "/v1/models").status_code == 401
    assert bob.delete(path).status_code == 204


def test_nobody_else_and_no_key_widens_a_scope(
    box: TestBox, alice: Person, bob: Person, mallory: Person, handbook: dict[str, str]
) -> None:
    made = alice.post("/me/keys", json={"name": "k", "scope": {"models": ["talker"]}}).get_json()
    path = f"/me/keys/{made['item']['id']}"
    wish = {"name": "mine", "scope": {"models": []}}
    for person in (mallory, bob):
        assert person.patch(path, json=wish).status_code == 404
        assert person.delete(path).status_code == 404
    own = mallory.post("/me/keys", json={"name": "burglary"}).get_json()["key"]
    for secret in (made["key"], own):
        for header in HEADERS:
            send = sender(box, secret, header)
            assert send("PATCH", "/api/v1" + path, wish).status_code == 403
            assert send("POST", "/api/v1/me/keys", wish).status_code == 403
            assert send("GET", "/api/v1/me/keys").status_code == 403
    assert alice.get("/me/keys").get_json()["items"][0]["scope"]["models"] == ["talker"]
    alice.delete(path)


def test_a_scope_gives_nothing_that_its_owner_has_not(box: TestBox, mallory: Person, handbook: dict[str, str]) -> None:
    wish = {"name": "k", "scope": {"base_ids": [handbook["base"]]}}
    assert mallory.post("/me/keys", json=wish).status_code == 404
    made = mallory.post("/me/keys", json={"name": "k"}).get_json()
    path = f"/me/keys/{made['item']['id']}"
    assert mallory.patch(path, json=wish).status_code == 404
    assert sender(box, made["key"])("GET", f"/api/v1/bases/{handbook['base']}").status_code == 404
    mallory.delete(path)


def test_a_base_that_is_gone_leaves_a_scope_as_narrow_as_it_was(box: TestBox, bob: Person) -> None:
    base = bob.post("/bases", json={"name": "short lived"}).get_json()["id"]
    made = bob.post("/me/keys", json={"name": "k", "scope": {"base_ids": [base]}}).get_json()
    path = f"/me/keys/{made['item']['id']}"
    bob.delete(f"/bases/{base}")
    assert sender(box, made["key"])("GET", "/api/v1/bases").get_json()["items"] == []
    assert bob.patch(path, json={"scope": {"base_ids": [base]}}).get_json()["scope"]["base_ids"] == [base]
    bob.delete(path)


@pytest.mark.parametrize(
    ("scope", "status", "field"),
    [
        ({"dialects": ["klingon"]}, 400, "scope.dialects.0"),
        ({"model_rights": "all"}, 400, "scope.model_rights"),
        ({"model_rights": "aliases"}, 403, None),
        ({"only_metrics": True}, 403, None),
        ({"requests_per_minute": 0}, 400, "scope.requests_per_minute"),
        ({"expires_at": "2001-01-01T00:00:00Z"}, 400, "scope.expires_at"),
        ({"expires_at": "2100-01-01T00:00:00"}, 400, "scope.expires_at"),
        ({"expires_at": "9999-12-31T23:59:59Z"}, 400, "scope.expires_at"),
        ({"base_ids": ["everything"]}, 400, "scope.base_ids.0"),
        ({"is_operator": True}, 400, "scope.is_operator"),
        ({"models": ["none"]}, 404, None),
        ({"base_ids": ["base_0000000000"]}, 404, None),
    ],
)  # fmt: skip
def test_a_scope_that_means_nothing_is_refused(bob: Person, scope: Body, status: int, field: str | None) -> None:
    answer = bob.post("/me/keys", json={"name": "k", "scope": scope})
    assert (answer.status_code, answer.get_json()["params"].get("field")) == (status, field)
