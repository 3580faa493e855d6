"""The support kit over the API: what is in it, who gets it, and that nothing of what people brought is."""

import io
import json
import socket
import threading
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest

from appliance.errors import SealedError
from appliance.health import registry
from appliance.health.box.parts import Plain
from appliance.health.finding import Finding, Look
from appliance.health.host import Host
from appliance.health.kit import kit, machine
from appliance.health.turns import looked
from tests.simulators.box import PASSWORD, Person, TestBox, add
from webui import locales

MARK = "zanzibar"
ALWAYS = [
    "README.txt", "versions.json", "settings.json", "checks.json", "findings.json", "history.csv", "models.json",
    "database.json", "airgap.json",
]  # fmt: skip


def unpacked(content: bytes) -> dict[str, str]:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        assert archive.testzip() is None
        return {name.removeprefix("hako-support/"): archive.read(name).decode() for name in archive.namelist()}


def taken(person: Person) -> dict[str, str]:
    answer = person.get("/health/kit/file")
    assert answer.status_code == 200
    assert answer.headers["Content-Disposition"] == 'attachment; filename="hako-support.zip"'
    return unpacked(answer.data)


@contextmanager
def health_process(box: TestBox) -> Iterator[None]:
    """What answers on the health process's socket, for as long as it is asked."""
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(box.settings.health_socket))
        server.listen()

        def serve() -> None:
            with suppress(OSError):
                while True:
                    connection, _ = server.accept()
                    with connection:
                        if connection.recv(8) == machine.ASK:
                            connection.sendall(json.dumps(machine.collected(box.settings, Host())).encode())

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield
        finally:
            server.shutdown(socket.SHUT_RDWR)
            thread.join()
            box.settings.health_socket.unlink()


def test_the_list_and_the_file_hold_the_same_in_a_fixed_order(box: TestBox, alice: Person) -> None:
    listed = [file["name"] for file in alice.get("/health/kit").get_json()["files"]]
    assert listed == ALWAYS
    assert list(taken(alice)) == ALWAYS
    with health_process(box):
        shown = alice.get("/health/kit").get_json()["files"]
        whole = [file["name"] for file in shown]
        assert [file["name"] for file in shown if not file["about"] or file["about"].startswith("export.")] == []
    assert whole == [
        "README.txt", "versions.json", "settings.json", "hardware.json", "units.json", "checks.json", "findings.json",
        "history.csv", "models.json", "database.json", "airgap.json", "log.jsonl",
    ]  # fmt: skip


def test_what_somebody_who_helps_needs_is_there(box: TestBox, alice: Person) -> None:
    keeper = box.services.health
    found = Finding("backup", "never", "warning", "HK-HLT-045")  # whatever backups others have made on the shared box
    never = Look("backup", "never", "by_hand", {"hours": 0}, (found,))
    fresh = [
        looked(check, lambda each: never if each.name == "backup" else each.look(keeper.parts))
        for check in registry.BOX
    ]
    keeper.store.keep(fresh, registry.order(box.settings))
    files = taken(alice)
    words = files["README.txt"]
    for language in ("ja", "en"):
        assert locales.t("export.kit.title", language) in words
        assert locales.t("export.kit.file.database", language) in words
    assert words.count("- log.jsonl") == 2  # told as missing: no health process runs here
    assert json.loads(files["versions.json"])["packages"]["apsw-sqlite3mc"]
    database = json.loads(files["database.json"])
    assert database["migration_level"] == database["migrations_known"]
    assert database["tables"]["documents"] > 0
    talker = next(model for model in json.loads(files["models.json"]) if model["id"] == "talker")
    assert all(len(file["sha256"]) == 64 for file in talker["files"])
    seen = {check["check"]: check for check in json.loads(files["checks.json"])}
    assert {"backup", "models", "audit"} <= seen.keys()
    assert "backup" in [found["check"] for found in json.loads(files["findings.json"])]
    assert "answers.waiting," in files["history.csv"]
    airgap = json.loads(files["airgap.json"])
    assert airgap["verdict"]
    assert airgap["record"]["entries"] > 0
    keeper.store.keep([], [])
    entry = alice.get("/audit?action=support-kit-taken&limit=1").get_json()["items"][0]
    assert (entry["actor"], entry["action"]) == ("alice", "support-kit-taken")


def test_nothing_that_people_brought_said_or_named_is_in_it(box: TestBox, alice: Person) -> None:
    """A mark in every place where somebody can put words, also in those that the kit reads."""
    operator = box.services.users.create(f"{MARK}-user", f"{MARK} name", "operator", PASSWORD, "en")
    person = Person(box, operator.id, box.services.sessions.start(operator, f"{MARK}-browser"))
    base = person.post("/bases", json={"name": f"{MARK}-base", "description": f"{MARK}-description"}).get_json()["id"]
    add(person, base, f"{MARK}-file.txt", f"The {MARK} document holds the {MARK} sentence.".encode())
    add(person, base, f"{MARK}.pdf", f"%PDF-1.7 {MARK}".encode())
    chat = person.post("/chats", json={}).get_json()["id"]
    person.post(f"/chats/{chat}/messages", json={"text": f"{MARK}-question"})
    key = person.post("/me/keys", json={"name": f"{MARK}-key"}).get_json()
    link = person.post("/wall/links", json={"name": f"{MARK}-wall"}).get_json()
    person.post("/presets", json={"name": f"{MARK}-preset", "system": f"{MARK}-system"})
    destination = {
        "name": MARK,
        "url": f"http://{MARK}.example/v1",
        "address": "10.9.8.7",
        "private": True,
        "key": MARK,
        "password": PASSWORD,
    }
    assert person.post("/destinations", json=destination).status_code == 201
    log = box.settings.data_dir / "log" / "hako.log"
    log.parent.mkdir()
    line = {"event": "request_failed", "level": "warning", "timestamp": "2026-11-26T09:00:00Z", "code": "HK-BOX-004"}
    log.write_text(json.dumps({**line, "detail": MARK, "user": MARK, "rule": f"/{MARK}", "address": "10.9.8.7"}) + "\n")
    try:
        with health_process(box):
            files = taken(person)
        assert "HK-BOX-004" in files["log.jsonl"]
        whole = "\n".join(files.values()).lower()
        secrets = (
            MARK,
            PASSWORD,
            key["key"],
            link["path"].partition("#")[2],
            "10.9.8.7",
            "127.0.0.1 ",
            operator.id,
            base,
        )
        assert [secret for secret in secrets if secret.lower() in whole] == []
        assert json.loads(files["airgap.json"])["destinations"]["named_count"] == 1
    finally:
        log.unlink()
        log.parent.rmdir()
        alice.delete(f"/destinations/{MARK}")
        person.delete(f"/bases/{base}")
        alice.delete(f"/wall/links/{link['item']['id']}")
        box.services.users.delete(operator.id)


def test_mallory_and_keys_get_none(box: TestBox, alice: Person, mallory: Person) -> None:
    made = alice.post("/me/keys", json={"name": "kit"}).get_json()
    client = box.app.test_client()
    for path in ("/health/kit", "/health/kit/file"):
        assert mallory.get(path).status_code == 403
        assert client.get(f"/api/v1{path}").status_code == 401
        assert client.get(f"/api/v1{path}", headers={"Authorization": f"Bearer {made['key']}"}).status_code == 403
    alice.delete(f"/me/keys/{made['item']['id']}")


def test_a_part_that_fails_is_told_and_takes_no_other_along(
    box: TestBox, alice: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_arguments: object) -> None:
        raise OSError

    monkeypatch.setattr(kit.box, "database", broken)
    files = taken(alice)
    assert list(files) == [name for name in ALWAYS if name != "database.json"]
    assert files["README.txt"].count("- database.json") == 2


def test_without_keys_there_is_what_the_machine_shows(box: TestBox) -> None:
    def sealed() -> None:
        raise SealedError

    plain = Plain(box.settings, sealed, 1)  # type: ignore[arg-type]
    made = kit.of_machine_alone(plain, Host(), lambda language, key: locales.t(key, locales.choose(language)))
    assert [name for name, _content in made.files] == [
        "README.txt", "versions.json", "settings.json", "hardware.json", "units.json", "checks.json", "models.json",
        "log.jsonl",
    ]  # fmt: skip
    checks = {check["check"]: check for check in json.loads(dict(made.files)["checks.json"])}
    assert checks["disk"]["measures"]["disk.used"] > 0
    assert (checks["keys"]["state"], checks["keys"]["note"]) == ("unknown", "crashed")
