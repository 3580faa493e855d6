"""Every route: its permission is declared, and strangers, other people and used-up rights get nothing."""

import re

import pytest

from appliance.accounts.permissions import Permission
from tests.simulators.box import Person, TestBox
from webui import routing


def rules(box: TestBox) -> list[tuple[str, str, object]]:
    """(method, path with ids that nobody has, declared permission) of every route."""
    found = []
    for rule in box.app.url_map.iter_rules():
        path = re.sub(r"<(?:int:)(\w+)>", "1", rule.rule)
        path = re.sub(r"<(?:path:)?(\w+)>", "doc_0000000000", path)
        view = box.app.view_functions[rule.endpoint]
        found += [(method, path, routing.declared(view)) for method in sorted(rule.methods - {"HEAD", "OPTIONS"})]
    return found


def test_every_route_declares_its_permission(box: TestBox) -> None:
    undeclared = [(method, path) for method, path, permission in rules(box) if permission is None]
    assert not undeclared
    assert len(rules(box)) > 40


def test_public_are_only_the_pages_that_must_be(box: TestBox) -> None:
    public = {path for _method, path, permission in rules(box) if isinstance(permission, routing.Public)}
    assert public == {
        "/", "/doc_0000000000", "/setup", "/sign-in", "/sign-out", "/unlock", "/static/doc_0000000000",
        "/authority.crt", "/keep-network",
        "/api/v1/state", "/api/v1/unlock", "/api/v1/first-setup", "/wall", "/wall/open",
    }  # fmt: skip


def test_without_a_session_nothing_is_given(box: TestBox) -> None:
    client = box.app.test_client()
    for method, path, permission in rules(box):
        if isinstance(permission, Permission):
            answer = client.open(path, method=method, json={})
            assert answer.status_code == 401, (method, path)


@pytest.mark.parametrize(
    "headers",
    [
        {"Authorization": "Bearer hako_wrong"},
        {"Authorization": "Bearer ' or 1=1 --"},
        {"Authorization": "Basic YTpi"},
        {"X-Api-Key": "hako_wrong"},
        {"X-Api-Key": ""},
        {"Authorization": "Bearer a", "X-Api-Key": "b"},
        {"Authorization": "Bearer hako_wrong", "X-Api-Key": ""},
    ],
)
def test_a_wrong_key_opens_nothing_by_either_header(box: TestBox, bob: Person, headers: dict[str, str]) -> None:
    for client in (box.app.test_client(), bob):
        path = "/api/v1/bases" if client is not bob else "/bases"
        assert client.get(path, headers=headers).status_code == 401


def test_an_empty_header_beside_a_valid_key_is_none(box: TestBox, bob: Person) -> None:
    made = bob.post("/me/keys", json={"name": "beside"}).get_json()
    headers = {"Authorization": f"Bearer {made['key']}", "X-Api-Key": ""}
    try:
        assert box.app.test_client().get("/api/v1/bases", headers=headers).status_code == 200
        headers["X-Api-Key"] = "hako_another"
        assert box.app.test_client().get("/api/v1/bases", headers=headers).status_code == 401
    finally:
        bob.delete(f"/me/keys/{made['item']['id']}")


def test_members_get_no_operators_routes(box: TestBox, mallory: Person) -> None:
    operating = {
        Permission.MODELS_MANAGE, Permission.MODELS_ALIAS, Permission.USERS_MANAGE, Permission.BOX_MANAGE,
        Permission.AUDIT_READ, Permission.WALL_SEE, Permission.METRICS_READ,
    }  # fmt: skip
    tried = 0
    for method, path, permission in rules(box):
        if permission in operating:
            answer = mallory.open("/" + path, method=method, json={})
            assert answer.status_code == 403, (method, path)
            tried += 1
    assert tried >= 8


def test_mallory_finds_nothing_of_bob(bob: Person, mallory: Person, handbook: dict[str, str]) -> None:
    chat = bob.post("/chats", json={"base_ids": [handbook["base"]]}).get_json()
    started = bob.post(f"/chats/{chat['id']}/messages", json={"text": "夜勤手当はいくらですか。"}).get_json()
    base, document, message = handbook["base"], handbook["document"], started["answer"]["id"]
    for method, path, body in [
        ("GET", f"/bases/{base}", None),
        ("PATCH", f"/bases/{base}", {"name": "mine now"}),
        ("DELETE", f"/bases/{base}", None),
        ("GET", f"/bases/{base}/documents", None),
        ("POST", f"/bases/{base}/search", {"query": "夜勤"}),
        ("GET", f"/documents/{document}", None),
        ("GET", f"/documents/{document}/pages/1", None),
        ("GET", f"/documents/{document}/original", None),
        ("POST", f"/documents/{document}/retry", {}),
        ("POST", f"/documents/{document}/cancel", {}),
        ("DELETE", f"/documents/{document}", None),
        ("GET", f"/chats/{chat['id']}", None),
        ("PATCH", f"/chats/{chat['id']}", {"title": "x"}),
        ("DELETE", f"/chats/{chat['id']}", None),
        ("GET", f"/chats/{chat['id']}/export", None),
        ("POST", f"/chats/{chat['id']}/messages", {"text": "x"}),
        ("POST", f"/messages/{message}/regenerate", {}),
        ("POST", f"/messages/{message}/continue", {}),
        ("GET", f"/runs/{started['run_id']}/events", None),
        ("POST", f"/runs/{started['run_id']}/stop", {}),
        ("POST", "/chats", {"base_ids": [base]}),
        ("POST", "/ask", {"question": "夜勤手当は", "base_ids": [base]}),
    ]:
        answer = mallory.open(path, method=method, json=body)
        assert answer.status_code == 404, (method, path, answer.status_code)
        assert answer.get_json()["code"] == "HK-BOX-004"
    assert bob.get(f"/documents/{document}").status_code == 200


def test_an_unnamed_question_searches_only_what_one_may_read(
    bob: Person, mallory: Person, handbook: dict[str, str]
) -> None:
    question = {"question": "夜勤手当は1回につきいくらですか。"}
    assert "6,000円" in str(bob.post("/ask", json=question).get_json())
    assert "6,000円" not in str(mallory.post("/ask", json=question).get_json())


def test_a_base_that_was_closed_leaves_the_chats_that_used_it(bob: Person, box: TestBox) -> None:
    owner = box.person("olivia")
    base = owner.post("/bases", json={"name": "shared for a while", "visibility": "everyone"}).get_json()["id"]
    chat = bob.post("/chats", json={"base_ids": [base]}).get_json()
    assert chat["base_ids"] == [base]
    owner.patch(f"/bases/{base}", json={"visibility": "private"})
    assert bob.get(f"/chats/{chat['id']}").get_json()["base_ids"] == []


def test_a_disabled_account_loses_its_open_session_and_its_keys(box: TestBox, alice: Person) -> None:
    dave = box.person("dave")
    secret = dave.post("/me/keys", json={"name": "script"}).get_json()["key"]
    client = box.app.test_client()
    with_key = {"Authorization": f"Bearer {secret}"}
    assert client.get("/v1/models", headers=with_key).status_code == 200
    assert alice.patch(f"/users/{dave.id}", json={"disabled": True}).status_code == 200
    assert dave.get("/me").status_code == 401
    assert client.get("/v1/models", headers=with_key).status_code == 401


def test_a_key_can_neither_make_keys_nor_manage(box: TestBox, alice: Person) -> None:
    secret = alice.post("/me/keys", json={"name": "robot"}).get_json()["key"]
    client = box.app.test_client()
    with_key = {"Authorization": f"Bearer {secret}"}
    assert client.get("/api/v1/bases", headers=with_key).status_code == 200
    for path in ("/api/v1/me/keys", "/api/v1/me/sessions", "/api/v1/users"):
        assert client.get(path, headers=with_key).status_code == 403


def test_the_last_operator_can_not_be_taken_away(alice: Person) -> None:
    for body in ({"disabled": True}, {"role": "member"}):
        answer = alice.patch(f"/users/{alice.id}", json=body)
        assert (answer.status_code, answer.get_json()["code"]) == (409, "HK-AUTH-008")
    assert alice.delete(f"/users/{alice.id}").status_code == 409
