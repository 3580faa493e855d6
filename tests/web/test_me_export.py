"""One's own data as a ZIP: all of it, nothing of anybody else's, for who gives the password, and on no disk."""

import io
import json
import os
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.simulators.box import PASSWORD, Person, TestBox, add, wait
from webui import tickets

SECRET = "The combination of Carol's drawer is 4711-walnut."


@pytest.fixture(scope="module")
def carol(box: TestBox) -> Iterator[Person]:
    """Somebody with a chat, a kept response, presets, a key, and a base whose names want to climb out."""
    carol = box.person("carol")
    base = carol.post("/bases", json={"name": "../../Carol's: drawer"}).get_json()["id"]
    add(carol, base, "drawer.md", f"# Drawer\n\n{SECRET}\n".encode())
    add(carol, base, "base.json", b"named like ours\n")
    chat = carol.post("/chats", json={"base_ids": [base]}).get_json()["id"]
    carol.post(f"/chats/{chat}/messages", json={"text": "What is the combination of the drawer?"})
    wait(lambda: carol.get(f"/chats/{chat}").get_json()["messages"][-1], lambda seen: seen["state"] != "running")
    carol.post("//v1/responses", json={"model": "talker", "input": "for the record"})
    carol.post("/presets", json={"name": "a/b", "system": "Be brief."})
    carol.post("/presets", json={"name": "A\\B", "system": "Be kind."})
    yield carol
    carol.delete(f"/bases/{base}")
    box.services.users.delete(carol.id)


def ticket(person: Person) -> str:
    answer = person.post("/me/export", json={"password": PASSWORD})
    assert answer.status_code == 201
    return str(answer.get_json()["ticket"])


def taken(person: Person) -> dict[str, bytes]:
    """What is in it, by name."""
    answer = person.get(f"/me/export/{ticket(person)}")
    assert answer.status_code == 200
    with zipfile.ZipFile(io.BytesIO(answer.data)) as archive:
        assert archive.testzip() is None
        return {info.filename: archive.read(info) for info in archive.infolist()}


def told(files: dict[str, bytes], start: str) -> list[Any]:
    return [json.loads(content) for name, content in files.items() if name.startswith(start) and name[-4:] == "json"]


def test_it_holds_everything_of_ones_own(carol: Person, box: TestBox) -> None:
    secret = carol.post("/me/keys", json={"name": "Carol's script"}).get_json()["key"]
    files = taken(carol)
    account = json.loads(files["account.json"])
    assert (account["name"], account["role"]) == ("carol", "member")
    assert account["sessions"]
    assert "Carol's script" in [key["name"] for key in json.loads(files["api-keys.json"])]
    (chat,) = told(files, "chats/")
    assert [message["role"] for message in chat["messages"]] == ["user", "assistant"]
    (text,) = (content.decode() for name, content in files.items() if name.startswith("chats/") and name[-2:] == "md")
    assert "What is the combination of the drawer?" in text
    assert SECRET in text
    (response,) = told(files, "responses/")
    assert "for the record" in json.dumps(response["input"])
    assert {(preset["name"], preset["system"]) for preset in told(files, "presets/")} == {
        ("a/b", "Be brief."),
        ("A\\B", "Be kind."),
    }
    folder = "documents/_.._Carol's_ drawer"
    assert SECRET.encode() in files[f"{folder}/drawer.md"]
    assert files[f"{folder}/base (2).json"] == b"named like ours\n"
    assert json.loads(files[f"{folder}/base.json"])["name"].startswith("../../")
    assert "not-readable.json" not in files
    assert files["README.txt"].startswith("The data of “carol”".encode())
    whole = b"".join(files.values())
    with box.services.database.read() as connection:
        password = connection.execute("select password_hash from users where id = ?", (carol.id,)).get
    for hidden in (secret, password):
        assert str(hidden).encode() not in whole


def test_it_holds_nothing_of_anybody_elses(carol: Person, bob: Person, alice: Person, handbook: dict[str, Any]) -> None:
    shared = alice.post("/presets", json={"name": "Everybody's", "system": "shared words", "shared": True}).get_json()
    open_base = bob.post("/bases", json={"name": "Bob's open shelf", "visibility": "everyone"}).get_json()["id"]
    add(bob, open_base, "open.md", b"# Bob's\n\nBob wrote this for everybody.\n")
    try:
        whole = b"".join(content + name.encode() for name, content in taken(carol).items())
        for others in (b"shared words", b"Bob", "夜勤手当".encode(), b"alice"):
            assert others not in whole
        assert not {name for name in taken(bob) if "Carol" in name}
        assert "documents/Bob's handbook/handbook.md" in taken(bob)
    finally:
        bob.delete(f"/bases/{open_base}")
        alice.delete(f"/presets/{shared['id']}")


def test_every_name_stays_in_the_folder_that_it_is_unpacked_to(carol: Person, tmp_path: Path) -> None:
    for name in taken(carol):
        assert not name.startswith("/")
        assert ".." not in name.split("/")
        assert not set(name) & set('\\:*?"<>|')
    answer = carol.get(f"/me/export/{ticket(carol)}")
    with zipfile.ZipFile(io.BytesIO(answer.data)) as archive:
        archive.extractall(tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_the_password_is_asked_for_and_the_answer_is_a_download_that_is_recorded(carol: Person, box: TestBox) -> None:
    wrong = carol.post("/me/export", json={"password": "not-my-password-at-all"})
    assert (wrong.status_code, wrong.get_json()["code"]) == (401, "HK-AUTH-002")
    assert carol.post("/me/export", json={}).status_code == 400
    answer = carol.get(f"/me/export/{ticket(carol)}")
    assert answer.headers["Content-Disposition"].startswith("attachment; filename*=UTF-8''hako-carol-")
    assert answer.headers["Cache-Control"] == "no-store"
    entry = box.services.audit.entries()[0]
    assert (entry.actor, entry.action, entry.target) == (carol.id, "account-exported", carol.id)


def test_a_ticket_is_good_once_for_its_session_and_not_for_long(
    carol: Person, mallory: Person, alice: Person, box: TestBox, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = ticket(carol)
    for other in (mallory, alice):
        answer = other.get(f"/me/export/{given}")
        assert (answer.status_code, answer.get_json()["code"]) == (404, "HK-BAK-008")
    again = box.services.sessions.start(box.services.users.get(carol.id), "another browser")
    elsewhere = Person(box, carol.id, again)
    assert elsewhere.get(f"/me/export/{given}").status_code == 404
    assert carol.get(f"/me/export/{given}").status_code == 200
    assert carol.get(f"/me/export/{given}").status_code == 404
    assert carol.get("/me/export/").status_code == 404
    first, second = ticket(carol), ticket(carol)
    assert carol.get(f"/me/export/{first}").status_code == 404
    monkeypatch.setattr(tickets, "monotonic", lambda: 1e12)
    assert carol.get(f"/me/export/{second}").status_code == 404


def test_a_key_takes_nothing(carol: Person, box: TestBox) -> None:
    key = carol.post("/me/keys", json={"name": "thief"}).get_json()["key"]
    client, headers = box.app.test_client(), {"Authorization": f"Bearer {key}"}
    assert client.post("/api/v1/me/export", json={"password": PASSWORD}, headers=headers).status_code == 403
    assert client.get(f"/api/v1/me/export/{ticket(carol)}", headers=headers).status_code == 403


def test_while_it_is_sent_nothing_of_it_is_on_a_disk_and_its_place_is_given_back(carol: Person, box: TestBox) -> None:
    base = carol.post("/bases", json={"name": "Carol's pictures"}).get_json()["id"]
    picture = os.urandom(200_000) + SECRET.encode()  # no document that the box can read; it is kept all the same
    add(carol, base, "picture.pdf", picture)
    try:
        answer = carol.get(f"/me/export/{ticket(carol)}", buffered=False)
        begun = next(answer.iter_encoded())
        assert begun.startswith(b"PK")
        assert box.box.places.taken == 1
        held = [path.read_bytes() for path in box.settings.data_dir.rglob("*") if path.is_file()]
        assert not any(SECRET.encode() in content for content in held)
        answer.close()
        assert box.box.places.taken == 0
        assert taken(carol)["documents/Carol's pictures/picture.pdf"] == picture
        assert box.box.places.taken == 0
    finally:
        carol.delete(f"/bases/{base}")


def test_what_is_damaged_on_the_box_is_named_and_keeps_nothing_else_back(carol: Person, box: TestBox) -> None:
    base = carol.post("/bases", json={"name": "Carol's broken box"}).get_json()["id"]
    document = add(carol, base, "broken.md", b"# Broken\n\nThis one will be.\n")["id"]
    with box.services.database.read() as connection:
        blob = connection.execute("select blob_id from documents where id = ?", (document,)).get
    (path,) = box.settings.blobs_dir.glob(f"??/{blob}")
    path.write_bytes(path.read_bytes()[:-4] + b"oops")
    try:
        files = taken(carol)
        name = "documents/Carol's broken box/broken.md"
        assert [each["file"] for each in json.loads(files["not-readable.json"])] == [name]
        assert name not in files
        assert SECRET.encode() in b"".join(files.values())
    finally:
        carol.delete(f"/bases/{base}")
