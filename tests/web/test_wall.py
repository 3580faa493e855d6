"""The wall display: who opens it, what it tells, and that its cookie is good for nothing else."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
from flask.testing import FlaskClient

from appliance.accounts.permissions import Permission
from appliance.health import lamps
from tests.simulators.box import Person, TestBox
from webui import routing

SAME_SITE = {"Sec-Fetch-Site": "same-origin"}


@pytest.fixture
def link(alice: Person) -> Iterator[dict[str, Any]]:
    made = alice.post("/wall/links", json={"name": "Entrance"}).get_json()
    yield {"id": made["item"]["id"], "secret": made["path"].removeprefix("/wall#")}
    alice.delete(f"/wall/links/{made['item']['id']}")


@pytest.fixture
def display(box: TestBox, link: dict[str, Any]) -> FlaskClient:
    """The browser of a display that was opened by the link; nobody is signed in there."""
    box.services.throttle.clear("wall-from:127.0.0.1")
    client = box.app.test_client()
    answer = client.post("/wall/open", data={"key": link["secret"]}, headers=SAME_SITE)
    assert (answer.status_code, answer.headers["Location"]) == (303, "/wall")
    return client


def test_a_display_sees_six_lamps_and_the_gap_and_no_names(display: FlaskClient) -> None:
    told = display.get("/api/v1/wall").get_json()
    assert [lamp["name"] for lamp in told["lamps"]] == list(lamps.LAMPS)
    assert len(told["lamps"]) == 6
    assert {lamp["state"] for lamp in told["lamps"]} <= {"ok", "unknown", "warning", "error"}
    assert set(told) == {"state", "lamps", "verdict", "gap", "at"}
    assert set(told["gap"]) == {"state", "sent"}


def test_the_page_is_there_for_the_display_and_keeps_its_way_in(display: FlaskClient, link: dict[str, Any]) -> None:
    page = display.get("/wall")
    assert page.status_code == 200
    assert 'data-lamp="backup"' in page.get_data(as_text=True)
    assert link["secret"] not in page.get_data(as_text=True)
    cookie = page.headers["Set-Cookie"]
    assert cookie.startswith(f"hako-wall={link['secret']};")
    assert all(word in cookie for word in ("HttpOnly", "SameSite=Lax", "Max-Age=34560000"))


def test_the_cookie_over_tls_is_tied_to_the_box(box: TestBox, link: dict[str, Any]) -> None:
    client = box.app.test_client()
    answer = client.post("/wall/open", data={"key": link["secret"]}, headers=SAME_SITE, base_url="https://localhost")
    assert answer.headers["Set-Cookie"].startswith("__Host-hako-wall=")
    assert "Secure" in answer.headers["Set-Cookie"]


def test_the_cookie_can_do_nothing_else(box: TestBox, display: FlaskClient) -> None:
    tried = 0
    for rule in box.app.url_map.iter_rules():
        permission = routing.declared(box.app.view_functions[rule.endpoint])
        if permission is Permission.WALL_SEE or not isinstance(permission, Permission):
            continue
        path = re.sub(r"<(?:int:|path:)?(\w+)>", "1", rule.rule)
        for method in sorted(rule.methods - {"HEAD", "OPTIONS"}):
            assert display.open(path, method=method, json={}, headers=SAME_SITE).status_code == 401, (method, path)
            tried += 1
    assert tried > 100
    for path in ("/", "/chat", "/operate"):
        assert display.get(path).headers["Location"].startswith("/sign-in"), path
    assert display.get("/sign-in").status_code == 200
    nobody = box.app.test_client().get("/api/v1/state").get_json()
    told = display.get("/api/v1/state").get_json()
    assert set(told) == set(nobody)
    assert set(told["gap"]) == set(nobody["gap"])


def test_a_revoked_link_is_worth_nothing_on_any_display(
    box: TestBox, alice: Person, display: FlaskClient, link: dict[str, Any]
) -> None:
    assert alice.delete(f"/wall/links/{link['id']}").status_code == 204
    assert display.get("/api/v1/wall").status_code == 401
    assert "data-lamp" not in display.get("/wall").get_data(as_text=True)
    again = box.app.test_client().post("/wall/open", data={"key": link["secret"]}, headers=SAME_SITE)
    assert again.status_code == 401
    assert "Set-Cookie" not in again.headers
    assert alice.delete(f"/wall/links/{link['id']}").status_code == 404


@pytest.mark.parametrize("said", ["", "guess", "a" * 65, "' or 1=1 --", "\0"])
def test_a_guess_opens_nothing(box: TestBox, said: str) -> None:
    box.services.throttle.clear("wall-from:127.0.0.1")
    client = box.app.test_client()
    assert client.post("/wall/open", data={"key": said}, headers=SAME_SITE).status_code == 401
    client.set_cookie("hako-wall", said or "x")
    assert client.get("/api/v1/wall").status_code == 401


def test_guesses_are_slowed_down(box: TestBox) -> None:
    box.services.throttle.clear("wall-from:127.0.0.1")
    client = box.app.test_client()
    answers = [client.post("/wall/open", data={"key": "guess"}, headers=SAME_SITE).status_code for _ in range(12)]
    box.services.throttle.clear("wall-from:127.0.0.1")
    assert (answers[:10], answers[-1]) == ([401] * 10, 429)


def test_another_site_cannot_open_a_display(box: TestBox, link: dict[str, Any]) -> None:
    answer = box.app.test_client().post(
        "/wall/open", data={"key": link["secret"]}, headers={"Sec-Fetch-Site": "cross-site"}
    )
    assert answer.status_code == 403


def test_operators_see_the_wall_without_a_link_and_members_do_not(alice: Person, mallory: Person) -> None:
    assert alice.get("/wall").status_code == 200
    assert "data-lamp" in alice.get("//wall").get_data(as_text=True)
    assert mallory.get("/wall").status_code == 403
    assert "data-lamp" not in mallory.get("//wall").get_data(as_text=True)


def test_a_member_at_a_display_sees_what_the_display_may(box: TestBox, mallory: Person, link: dict[str, Any]) -> None:
    client = box.app.test_client()
    client.set_cookie("hako", mallory._token)
    client.set_cookie("hako-wall", link["secret"])
    assert client.get("/api/v1/wall").status_code == 200
    assert "data-lamp" in client.get("/wall").get_data(as_text=True)
    assert client.get("/api/v1/wall/links").status_code == 403
    assert client.get("/api/v1/health").status_code == 403


def test_mallory_makes_lists_and_revokes_no_links(alice: Person, mallory: Person, link: dict[str, Any]) -> None:
    assert mallory.get("/wall/links").status_code == 403
    assert mallory.post("/wall/links", json={"name": "Mine"}).status_code == 403
    assert mallory.delete(f"/wall/links/{link['id']}").status_code == 403
    assert link["id"] in [item["id"] for item in alice.get("/wall/links").get_json()["items"]]


def test_links_are_listed_without_their_secret_and_recorded(
    alice: Person, display: FlaskClient, link: dict[str, Any]
) -> None:
    display.get("/api/v1/wall")
    listed = alice.get("/wall/links")
    item = next(item for item in listed.get_json()["items"] if item["id"] == link["id"])
    assert (item["name"], item["seen_at"] is not None) == ("Entrance", True)
    assert link["secret"] not in listed.get_data(as_text=True)
    for action in ("wall-link-made", "wall-link-opened"):
        entries = alice.get(f"/audit?action={action}&limit=1")
        assert entries.get_json()["items"][0]["target"] == "Entrance"
        assert link["secret"] not in entries.get_data(as_text=True)


def test_a_link_needs_a_name(alice: Person) -> None:
    for body in ({}, {"name": ""}, {"name": " "}, {"name": "x" * 121}, {"name": "x", "id": "wall_1"}):
        assert alice.post("/wall/links", json=body).status_code == 400


def test_a_key_never_sees_the_wall(box: TestBox, alice: Person) -> None:
    made = alice.post("/me/keys", json={"name": "wall"}).get_json()
    client = box.app.test_client()
    answer = client.get("/api/v1/wall", headers={"Authorization": f"Bearer {made['key']}"})
    alice.delete(f"/me/keys/{made['item']['id']}")
    assert answer.status_code == 403


def test_a_sealed_box_shows_that_it_is_sealed(tmp_path_factory: pytest.TempPathFactory) -> None:
    box = TestBox(tmp_path_factory.mktemp("s"))
    try:
        box.seal()
        client = box.app.test_client()
        page = client.get("/wall", headers={"Accept-Language": "en"})
        assert page.status_code == 200
        assert "The vault is sealed." in page.get_data(as_text=True)
        answer = client.get("/api/v1/wall")
        assert (answer.status_code, answer.get_json()["code"]) == (423, "HK-VLT-001")
    finally:
        box._inference.stop()
