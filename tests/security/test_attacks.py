"""Words that want to be code: markup, SQL, search syntax, paths, huge numbers. They stay words, everywhere."""

import io
import json
import re
import threading
from pathlib import Path
from typing import Any

import pytest

from appliance.storage import settings_store
from tests.security.conftest import SECRET, take_in
from tests.simulators.box import PASSWORD, Keys, Person, TestBox
from webui import routing
from webui.setup_link import SETTING, hash_token

MARKUP = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "</script><script>alert(1)</script>",
    '"><svg onload=alert(1)>',
    "' onmouseover='alert(1)",
    "javascript:alert(1)",
    "{{ 7*7 }}{% print(config) %}",
    "${7*7}<%= 7*7 %>",
    "]]><!--",
]
DANGEROUS = re.compile(r"<script>alert|<img src=x|<svg onload|onmouseover='alert|<!--$", re.MULTILINE)

CODE = [
    "'; drop table users; --",
    "' or '1'='1",
    '" or 1=1 --',
    "x' union select password_hash from users --",
    "%' or 1=1 --",
    'red safe" OR "',
    "NEAR(red safe, 5)",
    "body:red*",
    "* ^ : ( ) - + \" '",
    "base_1_text MATCH 'a'",
    "\\' \\\" \\\\",
    "%_%",
    "1; attach database '/tmp/x' as y",
    "\u2018 or 1=1 \u2019",
]

PATHS = [
    "../../../../etc/passwd",
    "..%2f..%2f..%2fetc%2fpasswd",
    "....//....//etc/passwd",
    "/etc/passwd",
    "..\\..\\windows\\win.ini",
    "%2e%2e/%2e%2e/vault.json",
    "talker/../../hako.db",
    "~/.ssh/id_rsa",
    "file:///etc/passwd",
    "talker/model.json",
    "CON",
    ".",
    "..",
]


# -- markup


@pytest.mark.parametrize("words", MARKUP)
def test_markup_in_names_titles_and_documents_is_given_back_as_it_is_in_json_and_harmless_in_pages(
    box: TestBox, alice: Person, words: str
) -> None:
    name = f"eve{MARKUP.index(words)}"
    created = alice.post("/users", json={"name": name, "display_name": words, "password": PASSWORD}).get_json()
    assert created["display_name"] == words
    eve = Person(box, created["id"], box.services.sessions.start(box.services.users.get(created["id"]), words))
    base = eve.post("/bases", json={"name": f"{words} {name}", "description": words}).get_json()
    assert (base["name"], base["description"]) == (f"{words} {name}", words)
    document = take_in(eve, base["id"], f"a{words.replace('/', '')}.txt", f"{words} is what it says here.".encode())
    chat = eve.post("/chats", json={"base_ids": [base["id"]]}).get_json()["id"]
    eve.patch(f"/chats/{chat}", json={"title": words})

    for path in (
        "/me", "/me/sessions", "/bases", f"/bases/{base['id']}", f"/bases/{base['id']}/documents", f"/chats/{chat}",
        f"/documents/{document['id']}", f"/documents/{document['id']}/pages/1", "//v1/models", "//api/tags",
    ):  # fmt: skip
        answer = eve.get(path)
        assert answer.status_code == 200
        assert answer.mimetype == "application/json"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert eve.get(f"/chats/{chat}").get_json()["title"] == words

    page = eve.get("//").get_data(as_text=True)
    assert not DANGEROUS.search(page)
    boot = re.search(r'<script type="application/json" id="boot">(.*?)</script>', page, re.DOTALL)
    assert boot
    assert json.loads(boot.group(1))["me"]["user"]["display_name"] == words

    exported = eve.get(f"/chats/{chat}/export")
    for download in (exported, eve.get(f"/documents/{document['id']}/original")):
        assert download.headers["Content-Disposition"].startswith("attachment; filename*=UTF-8''")
        assert not re.search(r"[<>\"'\r\n;]", download.headers["Content-Disposition"].split("UTF-8''")[1])
        assert "sandbox" in download.headers["Content-Security-Policy"]
        assert download.mimetype == "application/octet-stream"


@pytest.mark.parametrize("words", MARKUP)
def test_markup_sent_to_a_page_without_an_account_is_not_markup_in_it(box: TestBox, words: str) -> None:
    stranger = box.app.test_client()
    answers = [
        stranger.post("/sign-in", data={"name": words, "password": words, "next": words}),
        stranger.get("/sign-in", query_string={"next": words, "lang": words}),
        stranger.get("/setup", query_string={"token": words}),
        stranger.post("/setup", data={"token": words, "step": words, "name": words, "display_name": words}),
        stranger.get("/unlock", query_string={"with": words, "next": words}),
        stranger.get("/" + words, headers={"Accept": "text/html", "User-Agent": words, "Referer": words}),
        stranger.get("/static/" + words, headers={"Accept": "text/html"}),
        stranger.get("/", headers={"Host": words, "Accept": "text/html"}),
        stranger.get("/", headers={"Accept-Language": words, "Cookie": f"hako-language={words}"}),
    ]
    for answer in answers:
        assert answer.status_code < 500
        assert not DANGEROUS.search(answer.get_data(as_text=True))
        location = answer.headers.get("Location", "/")
        assert location.startswith("/")
        assert not location.startswith("//")


# -- code


def tables(box: TestBox) -> int:
    with box.services.database.read() as connection:
        return int(connection.execute("select count(*) from sqlite_schema").get)


@pytest.mark.parametrize("words", CODE)
def test_code_in_a_search_is_only_words(
    box: TestBox, bob: Person, mallory: Person, safe: dict[str, str], words: str
) -> None:
    before = tables(box)
    answers = [
        mallory.get("/chats", query_string={"query": words}),
        mallory.post("/search", json={"query": words}),
        mallory.post("/ask", json={"question": words}),
        bob.post(f"/bases/{safe['base_id']}/search", json={"query": words}),
    ]
    assert [answer.status_code for answer in answers] == [200] * 4
    assert answers[0].get_json()["items"] == []
    assert not any(SECRET in answer.get_data(as_text=True) for answer in answers[:3])
    assert tables(box) == before
    assert box.services.users.count() >= 2


@pytest.mark.parametrize("words", CODE)
def test_code_in_a_name_finds_nobody_and_nothing(box: TestBox, mallory: Person, words: str) -> None:
    stranger = box.app.test_client()
    messages = [{"role": "user", "content": "x"}]
    for refused in (
        mallory.post("//v1/chat/completions", json={"model": f"kb:{words}", "messages": messages}),
        mallory.post("//v1/chat/completions", json={"model": words, "messages": messages}),
        mallory.get(f"//v1/models/{words}"),
        mallory.get(f"/bases/{words}"),
        mallory.get(f"/documents/{words}"),
        mallory.get(f"/chats/{words}"),
        mallory.get(f"/runs/{words}/events"),
        mallory.delete(f"/me/keys/{words}"),
        mallory.delete(f"/me/sessions/{words}"),
        mallory.post("/chats", json={"base_ids": [words]}),
        mallory.post("/ask", json={"question": "x", "base_ids": [words]}),
    ):
        assert refused.status_code in (400, 404, 405), refused.get_data(as_text=True)  # with a slash it is no id at all
    for header in ({"Authorization": f"Bearer {words}"}, {"X-Api-Key": words}, {"Cookie": f"hako={words}"}):
        latin = {name: value.encode("latin-1", "replace").decode("latin-1") for name, value in header.items()}
        assert stranger.get("/api/v1/me", headers=latin).status_code == 401
    signed_in = stranger.post("/sign-in", data={"name": words, "password": words})
    assert signed_in.status_code in (401, 429)
    assert "hako=" not in signed_in.headers.get("Set-Cookie", "")


# -- paths


@pytest.mark.parametrize("path", PATHS)
def test_a_path_in_a_name_leads_nowhere(box: TestBox, alice: Person, mallory: Person, path: str) -> None:
    before = {file for file in box.settings.data_dir.rglob("*") if "blobs" not in file.parts}
    messages = [{"role": "user", "content": "x"}]
    answers = [
        alice.post(f"/models/{path}/load"),
        alice.post(f"/models/{path}/unload"),
        alice.delete(f"/models/{path}"),
        alice.post(f"/models/{path}/verify"),
        alice.put(f"/models/aliases/{path}", json={"model": path}),
        mallory.post("/chats", json={"model": path}),
        mallory.get(f"/help/{path}"),
        mallory.get(f"//v1/models/{path}"),
        mallory.get(f"//static/{path}"),
        mallory.get(f"//static/dist/{path}"),
        mallory.post("//v1/embeddings", json={"model": path, "input": "x"}),
        mallory.post("//v1/chat/completions", json={"model": path, "messages": messages}),
        mallory.post("//v1/chat/completions", json={"model": f"kb:{path}", "messages": messages}),
        mallory.post("//api/show", json={"model": path}),
        mallory.delete("//api/delete", json={"model": path}),
        mallory.get(f"//api/blobs/sha256:{path}"),
    ]
    for number, answer in enumerate(answers):
        assert answer.status_code in (301, 303, 308, 400, 403, 404, 405, 501), (number, answer.status_code, answer.data)
        assert b"root:" not in answer.data
        assert b"hako-vault" not in answer.data
        assert b'"files"' not in answer.data
    assert {file for file in box.settings.data_dir.rglob("*") if "blobs" not in file.parts} == before
    assert (box.settings.models / "talker" / "model.json").is_file()


def test_a_files_name_is_never_where_it_is_stored(box: TestBox, bob: Person) -> None:
    base = bob.post("/bases", json={"name": "names of files"}).get_json()["id"]
    for path in PATHS:
        content = f"This is the one that was called {path}.".encode()
        bob.post(f"/bases/{base}/documents", data={"file": (io.BytesIO(content), f"{path}.txt")})
    stored = [file for file in (box.settings.data_dir / "blobs").rglob("*") if file.is_file()]
    assert all(re.fullmatch(r"[0-9a-f]{64}", file.name) for file in stored)
    assert not Path("/etc/passwd.txt").exists()
    bob.delete(f"/bases/{base}")


# -- numbers and sizes


@pytest.mark.parametrize("number", ["0", "-1", "1e9", "999999999999999999999999", "9" * 4000, "٣", "0x10", "NaN"])
def test_a_number_of_any_size_is_no_mistake_of_the_box(bob: Person, safe: dict[str, str], number: str) -> None:
    for answer in (
        bob.get(f"/documents/{safe['document_id']}/pages/{number}"),
        bob.get(f"/runs/{safe['run_id']}/events?after={number}"),
        bob.get(f"/runs/{safe['run_id']}/events", headers={"Last-Event-Id": number.encode().decode("latin-1")}),
        bob.post("/search", data=f'{{"query": "x", "k": {number}}}', content_type="application/json"),
        bob.post("//v1/chat/completions", json=chat_with(logit_bias={number: 1}, max_tokens=1)),
        bob.post("//v1/chat/completions", json=chat_with(stop=[number] * 100, max_tokens=1)),
    ):
        assert answer.status_code in (200, 400, 404), answer.get_data(as_text=True)


def chat_with(**more: Any) -> dict[str, Any]:
    return {"model": "talker", "messages": [{"role": "user", "content": "[[words 1]] x"}], **more}


@pytest.mark.parametrize("number", [-1, -(2**31), 2**31, 2**63, 10**30, 1e308])
def test_a_parameter_of_any_size_is_refused_or_harmless(bob: Person, number: float) -> None:
    names = (
        "max_tokens",
        "seed",
        "top_k",
        "top_logprobs",
        "n",
        "temperature",
        "n_discard",
        "n_predict",
        "cache_prompt",
    )
    for name in names:
        answer = bob.post("//v1/chat/completions", json=chat_with(**{name: number}))
        assert answer.status_code in (200, 400), (name, answer.get_data(as_text=True))


def test_the_same_base_a_thousand_times_is_kept_once(bob: Person, safe: dict[str, str]) -> None:
    base = safe["base_id"]
    assert bob.post("/chats", json={"base_ids": [base] * 150}).get_json()["base_ids"] == [base]
    assert bob.post("/chats", json={"base_ids": [base] * 1000}).status_code == 400


def test_a_stranger_may_send_little_and_of_a_known_length(box: TestBox) -> None:
    stranger = box.app.test_client()
    large = b"x" * 70_000
    json_type, form = "application/json", "application/x-www-form-urlencoded"
    for path, kind in (("/sign-in", form), ("/setup", form), ("/unlock", form), ("/api/v1/unlock", json_type)):
        assert stranger.post(path, data=large, content_type=kind).status_code == 413
        chunked = {"Transfer-Encoding": "chunked"}
        answer = stranger.post(path, input_stream=io.BytesIO(b"a=b"), headers=chunked, content_type=kind)
        assert answer.status_code == 413


def test_what_holds_a_thread_for_long_needs_a_place_and_gives_it_back(box: TestBox, bob: Person) -> None:
    taken = [box.box.places.take(bob.id) for _ in range(box.box.places.per_person)]
    large = {"model": "talker", "messages": [{"role": "user", "content": "word " * 20_000}]}
    for path, body in (
        ("/ask", {"question": "x"}),
        ("/search", {"query": "x"}),
        ("//v1/embeddings", {"model": "embedder", "input": "x"}),
        ("//v1/chat/completions", chat_with()),
        ("//api/embed", {"model": "embedder", "input": "x"}),
        ("//v1/messages/count_tokens", chat_with()),
    ):
        answer = bob.post(path, json=body)
        assert (answer.status_code, answer.headers["Retry-After"].isdigit()) == (503, True), path
    for place in taken:
        place.close()
    reading = [box.box.readers.take(bob.id) for _ in range(box.box.readers.per_person)]
    assert bob.post("/uploads", data={"file": (io.BytesIO(b"x"), "a.txt")}).status_code == 503
    assert bob.post("//v1/chat/completions", json=large).status_code == 503
    assert bob.post("/search", json={"query": "x"}).status_code == 200
    for place in reading:
        place.close()
    assert bob.post("//v1/chat/completions", json=large).status_code == 400  # too long for the model
    assert box.box.places.taken == box.box.readers.taken == 0


def test_asking_only_for_the_head_of_a_stream_takes_no_place(box: TestBox, bob: Person, safe: dict[str, str]) -> None:
    for rule in box.app.url_map.iter_rules():
        if "HEAD" in rule.methods and not isinstance(
            routing.declared(box.app.view_functions[rule.endpoint]), routing.Public
        ):
            path = re.sub(r"<(?:int:|path:)?(\w+)>", lambda found: safe.get(found.group(1), "1"), rule.rule)
            assert bob.head("/" + path).status_code < 500
    assert box.box.places.taken == 0


# -- first set-up and unlocking


def test_a_set_up_link_used_twice_at_once_makes_one_account(tmp_path: Path) -> None:
    box = TestBox(tmp_path / "b")
    try:
        settings_store.put(box.services.database, SETTING, hash_token("the-token"))
        together = threading.Barrier(4)
        statuses: list[int] = []

        def submit(number: int) -> None:
            form = {"token": "the-token", "step": "account", "name": f"op{number}", "display_name": "Op"}
            together.wait(20)
            answer = box.app.test_client().post("/setup", data=form | {"password": PASSWORD})
            statuses.append(answer.status_code)

        threads = [threading.Thread(target=submit, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        assert sorted(statuses) == [200, 403, 403, 403]
        assert box.services.users.count() == 1
    finally:
        box.close()


def test_the_passphrase_of_an_open_box_can_not_be_guessed_at(box: TestBox, monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[str] = []
    monkeypatch.setattr(Keys, "unlock", lambda _self, passphrase: tried.append(passphrase))
    monkeypatch.setattr(Keys, "recover", lambda _self, recovery_key: tried.append(recovery_key))
    stranger = box.app.test_client()
    for secret in ("guess", "correct horse battery"):
        answers = [
            stranger.post("/unlock", data={"passphrase": secret}).status_code,
            stranger.post("/unlock", data={"recovery_key": secret}).status_code,
            stranger.post("/api/v1/unlock", json={"passphrase": secret}).status_code,
        ]
        assert answers == [303, 303, 204]  # alike for right and wrong
    assert tried == []


def test_who_guesses_at_a_name_does_not_keep_its_owner_out(box: TestBox) -> None:
    box.person("grace")

    def sign_in(password: str, address: str) -> int:
        form = {"name": "grace", "password": password}
        return box.app.test_client().post("/sign-in", data=form, environ_overrides={"REMOTE_ADDR": address}).status_code

    assert [sign_in(f"guess {i}", "192.0.2.66") for i in range(6)][-1] == 429
    assert sign_in(PASSWORD, "192.0.2.66") == 429
    assert sign_in(PASSWORD, "192.0.2.7") == 303


def test_guessing_at_a_name_from_many_addresses_is_slowed_down_too(box: TestBox) -> None:
    for _ in range(60):  # as from a dozen addresses
        box.services.throttle.take("sign-in-as:heidi", 60, 3600.0)
    form, address = {"name": "heidi", "password": "x"}, {"REMOTE_ADDR": "192.0.2.99"}
    assert box.app.test_client().post("/sign-in", data=form, environ_overrides=address).status_code == 429
