"""What every request goes through: foreign hosts, foreign sites, sizes, broken bodies, headers of the answer."""

import pytest

from tests.simulators.box import Person, TestBox
from webui import security


@pytest.mark.parametrize("host", ["evil.example", "localhost.evil.example", "", "127.0.0.1.nip.io", "[::1", "a b"])
def test_a_foreign_host_name_is_refused(box: TestBox, host: str) -> None:
    answer = box.app.test_client().get("/api/v1/state", headers={"Host": host})
    assert answer.status_code in (400, 421)


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1:4256", "[::1]:4256", "192.168.1.20", "localhost."])
def test_the_boxs_own_names_are_served(box: TestBox, host: str) -> None:
    assert box.app.test_client().get("/api/v1/state", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "cross-site", "Authorization": "Bearer x"},
    ],
)
def test_another_site_can_not_act_in_ones_name(bob: Person, headers: dict[str, str]) -> None:
    answer = bob.post("/bases", json={"name": "forged"}, headers=headers)
    assert (answer.status_code, answer.get_json()["code"]) == (403, "HK-AUTH-006")


def test_an_old_browser_is_judged_by_its_origin(box: TestBox) -> None:
    client = box.app.test_client()
    answer = client.post("/sign-in", data={"name": "a", "password": "b"}, headers={"Origin": "http://evil.example"})
    assert answer.status_code == 403


@pytest.mark.parametrize(
    ("body", "kind", "field"),
    [
        (b"{", "application/json", "body"),
        (b"[]", "application/json", "body"),
        (b'{"name": 3}', "application/json", "name"),
        (b'{"name": "x", "more": 1}', "application/json", "more"),
        (b'{"name": ""}', "application/json", "name"),
        (b'{"name": "a\\u0000b"}', "application/json", "name"),
        (b'{"name": "x"}', "text/plain", "content-type"),
        (b"\xff\xfe", "application/json", "body"),
        (b"[" * 100_000, "application/json", "body"),
    ],
)
def test_a_broken_body_is_a_400_that_names_the_field(bob: Person, body: bytes, kind: str, field: str) -> None:
    answer = bob.post("/bases", data=body, content_type=kind)
    problem = answer.get_json()
    assert (answer.status_code, problem["code"], problem["params"]["field"]) == (400, "HK-BOX-003", field)
    assert answer.mimetype == "application/problem+json"


def test_a_body_over_the_limit_is_a_413_that_says_the_limit(bob: Person) -> None:
    answer = bob.post("/bases", data=b"x" * (1024 * 1024 + 1), content_type="application/json")
    assert (answer.status_code, answer.get_json()["params"]) == (413, {"limit_mb": 1})


def test_errors_are_in_the_readers_language(bob: Person, box: TestBox) -> None:
    japanese = box.app.test_client().get("/api/v1/bases", headers={"Accept-Language": "ja"}).get_json()
    english = bob.get("/bases/base_0000").get_json()
    assert "サインイン" in japanese["title"]
    assert english["title"].startswith("Not found")


def test_programs_get_openais_error_shape(box: TestBox) -> None:
    error = box.app.test_client().get("/v1/models", headers={"Authorization": "Bearer no"}).get_json()["error"]
    assert (error["type"], error["hako_code"]) == ("authentication_error", "HK-AUTH-001")


@pytest.mark.parametrize("path", ["/", "/sign-in", "/api/v1/state", "/static/nothing.js", "/v1/models", "/chat/x"])
def test_every_answer_carries_the_policy(box: TestBox, path: str) -> None:
    answer = box.app.test_client().get(path)
    for name, value in security.HEADERS.items():
        assert answer.headers[name] == value, name
    assert "script-src 'self';" in answer.headers["Content-Security-Policy"]
    assert answer.headers["X-Request-Id"]


@pytest.mark.parametrize("path", ["/static/../box.py", "/static/%2e%2e/box.py", "/static/.vite/manifest.json"])
def test_no_path_leads_out_of_the_static_folder(box: TestBox, path: str) -> None:
    assert box.app.test_client().get(path).status_code == 404


def test_an_unexpected_method_is_a_405_with_the_allowed_ones(bob: Person) -> None:
    answer = bob.put("/bases", json={})
    assert answer.status_code == 405
    assert "POST" in answer.headers["Allow"]


@pytest.mark.parametrize("path", ["/api/v1/nothing", "/v1/nothing"])
def test_an_unknown_address_of_the_api_is_a_404_for_programs(bob: Person, path: str) -> None:
    answer = bob.get("/" + path)
    assert answer.status_code == 404
    assert answer.is_json
