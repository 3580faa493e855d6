"""The server-rendered pages: signing in, first set-up, and a sealed box."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.simulators.box import PASSPHRASE, PASSWORD, Keys, Person, TestBox

SAME = {"Sec-Fetch-Site": "same-origin"}


def sign_in(box: TestBox, name: str, password: str, **more: str):
    return box.app.test_client().post("/sign-in", data={"name": name, "password": password, **more}, headers=SAME)


def test_signing_in_leads_where_one_was_going(box: TestBox, bob: Person) -> None:
    answer = sign_in(box, "bob", PASSWORD, next="/docs/base_1?p=3")
    assert (answer.status_code, answer.location) == (303, "/docs/base_1?p=3")
    cookie = answer.headers["Set-Cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Lax" in cookie


@pytest.mark.parametrize("wish", ["//evil.example", "https://evil.example", "/\\evil.example", "/a\nb", "javascript:x"])
def test_signing_in_never_leads_to_another_site(box: TestBox, bob: Person, wish: str) -> None:
    assert sign_in(box, "bob", PASSWORD, next=wish).location == "/"


def test_a_wrong_name_and_a_wrong_password_look_alike(box: TestBox) -> None:
    box.person("caroline")
    known, unknown = sign_in(box, "caroline", "wrong"), sign_in(box, "nobody-here", "wrong")
    assert known.status_code == unknown.status_code == 401
    strip = lambda page: re.sub(r"caroline|nobody-here", "", page.get_data(as_text=True))  # noqa: E731
    assert strip(known) == strip(unknown)
    assert "HK-AUTH-002" in known.get_data(as_text=True)


def test_guessing_is_slowed_down(box: TestBox) -> None:
    box.person("erin")
    codes = [sign_in(box, "erin", f"guess {i}").status_code for i in range(7)]
    assert codes[0] == 401
    assert codes[-1] == 429
    assert sign_in(box, "erin", PASSWORD).status_code == 429


def test_a_page_is_shown_in_the_chosen_language(box: TestBox) -> None:
    client = box.app.test_client()
    assert 'lang="ja"' in client.get("/sign-in?lang=ja").get_data(as_text=True)
    assert "パスワード" in client.get("/sign-in").get_data(as_text=True)
    assert 'lang="en"' in client.get("/sign-in?lang=en").get_data(as_text=True)


def test_pages_hold_no_inline_script_or_style(box: TestBox) -> None:
    for path in ("/sign-in", "/no-such-page.html", "/setup"):
        html = box.app.test_client().get(path).get_data(as_text=True)
        assert not re.search(r"<script(?![^>]*(?:src=|application/json))", html)
        assert not re.search(r"\sstyle=|\son\w+=", html)


def test_who_is_not_signed_in_is_led_to_the_sign_in_page(box: TestBox) -> None:
    answer = box.app.test_client().get("/docs/base_1")
    assert (answer.status_code, answer.location) == (303, "/sign-in?next=/docs/base_1")


def test_signing_out_ends_the_session(box: TestBox) -> None:
    frank = box.person("frank")
    assert frank.get("/me").status_code == 200
    frank.post("//sign-out")
    assert frank.get("/me").status_code == 401


@pytest.fixture
def fresh(tmp_path: Path) -> Iterator[TestBox]:
    box = TestBox(tmp_path / "b")
    yield box
    box.close()


def test_first_set_up_from_link_to_confirmed_recovery_key(fresh: TestBox) -> None:
    from appliance.storage import settings_store
    from webui.pages.setup import SETTING, hash_token

    settings_store.put(fresh.services.database, SETTING, hash_token("the-token"))
    client = fresh.app.test_client()
    assert client.get("/setup?token=wrong").status_code == 403
    assert "日本語" in client.get("/setup?token=the-token").get_data(as_text=True)

    def step(**form: str):
        return client.post("/setup", data={"token": "the-token", **form}, headers=SAME)

    assert 'name="password"' in step(step="language", language="en").get_data(as_text=True)
    person = {"display_name": "Mori", "name": "mori"}
    weak = step(step="account", **person, password="short")
    assert (weak.status_code, "HK-AUTH-005" in weak.get_data(as_text=True)) == (422, True)
    shown = step(step="account", **person, password=PASSWORD).get_data(as_text=True)
    for group in Keys.RECOVERY.split("-"):
        assert group in shown
    asked = int(re.search(r"group (\d+)", step(step="recovery").get_data(as_text=True)).group(1))
    assert step(step="confirm", group="ZZZZZ").status_code == 422
    done = step(step="confirm", group=Keys.RECOVERY.split("-")[asked - 1].lower())
    assert (done.status_code, fresh.keys.confirmed) == (200, True)
    assert fresh.app.test_client().get("/setup?token=the-token").status_code == 403
    assert client.get("/api/v1/me").get_json()["user"]["role"] == "operator"


def test_a_sealed_box_shows_the_unlock_page_and_does_nothing_else(fresh: TestBox) -> None:
    fresh.seal()
    client = fresh.app.test_client()
    assert (client.get("/").status_code, client.get("/").location) == (303, "/unlock")
    assert client.get("/api/v1/bases").status_code == 423
    assert client.get("/v1/models").get_json()["error"]["hako_code"] == "HK-VLT-001"
    ollama = client.get("/api/tags")
    assert (ollama.status_code, ollama.get_json().keys()) == (423, {"error", "hako_code"})
    assert client.get("/api/v1/state").get_json()["vault"] == {"state": "sealed"}
    assert client.get("/unlock").status_code == 423
    wrong = client.post("/unlock", data={"passphrase": "no"}, headers=SAME)
    assert (wrong.status_code, "HK-VLT-002" in wrong.get_data(as_text=True)) == (423, True)
    assert client.post("/unlock", data={"passphrase": PASSPHRASE}, headers=SAME).status_code == 303
    assert client.get("/api/v1/bases").status_code == 401
