"""Model files from a browser and from a stick: pieces, breaks, the import out of them, and who may not."""

import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from appliance.inference.uploads import PIECE_BYTES
from tests.simulators import gguf
from tests.simulators.box import Person, TestBox


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return gguf.tiny_llama(tmp_path / "Uploaded.gguf", seed=21)


@pytest.fixture(scope="module")
def operator(box: TestBox) -> Iterator[Person]:
    with box.second_operator("imogen") as person:
        yield person


@pytest.fixture
def imogen(operator: Person) -> Iterator[Person]:
    """Another operator, with no uploads of her own before and after."""
    yield operator
    for item in operator.get("/models/uploads").get_json()["items"]:
        operator.delete(f"/models/uploads/{item['id']}")


@pytest.fixture
def stick(box: TestBox) -> Iterator[Path]:
    """A stick with a model on it."""
    folder = box.settings.storage.media[0] / "STICK"
    folder.mkdir(parents=True)
    yield gguf.tiny_llama(folder / "On Stick.gguf", seed=22)
    for path in folder.iterdir():
        path.unlink()
    folder.rmdir()


def begun(person: Person, name: str, size: int) -> str:
    answer = person.post("/models/uploads", json={"name": name, "size": size, "modified": 7})
    assert answer.status_code == 201, answer.get_json()
    upload_id: str = answer.get_json()["id"]
    return upload_id


def sent(person: Person, upload_id: str, at: int, piece: bytes) -> Any:
    return person.put(f"/models/uploads/{upload_id}?at={at}", data=piece)


def uploaded(person: Person, file: Path) -> str:
    upload_id = begun(person, file.name, file.stat().st_size)
    assert sent(person, upload_id, 0, file.read_bytes()).status_code == 200
    return upload_id


def remove(person: Person, model: str) -> None:
    assert person.delete(f"/models/{model}").status_code == 204


def test_a_file_that_comes_in_pieces_becomes_a_model_without_a_second_copy(
    box: TestBox, imogen: Person, file: Path
) -> None:
    content = file.read_bytes()
    half = len(content) // 2
    upload_id = begun(imogen, "../Somewhere/Uploaded.gguf", len(content))
    first = sent(imogen, upload_id, 0, content[:half]).get_json()
    assert (first["received"], first["name"], first["piece_bytes"]) == (half, "Uploaded.gguf", PIECE_BYTES)
    wish = {"upload": upload_id, "licence": "CC0-1.0"}
    assert imogen.post("/models/import", json={**wish, "dry_run": True}).status_code == 409
    assert sent(imogen, upload_id, 0, content[half:]).status_code == 409  # not where it left off
    there = imogen.get(f"/models/uploads/{upload_id}").get_json()["received"]
    assert sent(imogen, upload_id, there, content[half:]).get_json()["received"] == len(content)

    plan = imogen.post("/models/import", json={**wish, "dry_run": True}).get_json()["plan"]
    assert (plan["model"], plan["architecture"], plan["size_bytes"]) == ("uploaded", "llama", len(content))
    kept = box.settings.models / ".uploads" / upload_id / "file.gguf"
    bytes_of_it = kept.stat().st_ino
    answer = imogen.post("/models/import", json={**wish, "name": "Uploaded", "languages": ["en"]})
    assert (answer.status_code, answer.get_json()["model"]) == (201, "uploaded")
    assert (box.settings.models / "uploaded" / "uploaded.gguf").stat().st_ino == bytes_of_it
    assert not kept.parent.exists()
    assert imogen.get("/models/uploads").get_json() == {"items": []}
    assert imogen.get("/models/uploaded").get_json()["source"] == "Uploaded.gguf"
    assert ("model-imported", "uploaded") in {(entry.action, entry.target) for entry in box.services.audit.entries(5)}

    again = imogen.post("/models/import", json={"upload": uploaded(imogen, file), "licence": "CC0-1.0"})
    assert (again.status_code, again.get_json()["already_there"]) == (200, True)
    assert imogen.get("/models/uploads").get_json() == {"items": []}
    remove(imogen, "uploaded")


def test_a_model_does_not_get_a_name_by_which_the_api_means_something_else(imogen: Person, file: Path) -> None:
    for name in ("media", "uploads", "running", "aliases", "import"):
        upload_id = uploaded(imogen, file.rename(file.with_name(f"{name}.gguf")))
        plan = imogen.post("/models/import", json={"upload": upload_id, "licence": "x", "dry_run": True}).get_json()
        assert plan["plan"]["model"] == f"{name}-2"
        file = file.with_name(f"{name}.gguf")


def test_an_import_that_is_refused_keeps_the_upload(imogen: Person, box: TestBox) -> None:
    upload_id = begun(imogen, "no-model.gguf", 9)
    sent(imogen, upload_id, 0, b"no model!")
    answer = imogen.post("/models/import", json={"upload": upload_id, "licence": "x"})
    assert (answer.status_code, answer.get_json()["code"]) == (422, "HK-MOD-009")
    assert answer.get_json()["params"] == {"name": "no-model.gguf"}
    assert imogen.get(f"/models/uploads/{upload_id}").get_json()["received"] == 9
    assert imogen.delete(f"/models/uploads/{upload_id}").status_code == 204
    assert imogen.get(f"/models/uploads/{upload_id}").status_code == 404
    assert not list(box.settings.models.glob("*.incoming"))


def test_a_model_on_a_stick_is_listed_looked_at_and_imported(imogen: Person, stick: Path) -> None:
    [item] = imogen.get("/models/media").get_json()["items"]
    assert (item["name"], item["folder"], item["size_bytes"]) == (
        "On Stick.gguf",
        str(stick.parent),
        stick.stat().st_size,
    )
    wish = {"media": item["id"], "licence": "CC0-1.0"}
    assert imogen.post("/models/import", json={**wish, "dry_run": True}).get_json()["plan"]["model"] == "on-stick"
    followed = imogen.post("/models/import", json=wish, headers={"Accept": "text/event-stream"}).get_data(as_text=True)
    events = [part for part in followed.split("\n\n") if part.startswith("event: ")]
    assert [part.split("\n")[0] for part in (events[0], events[-1])] == ["event: plan", "event: done"]
    assert json.loads(events[-1].split("data: ", 1)[1])["model"] == "on-stick"
    assert stick.exists()
    remove(imogen, "on-stick")


def test_a_file_that_was_pulled_out_or_changed_is_not_found(imogen: Person, stick: Path) -> None:
    [item] = imogen.get("/models/media").get_json()["items"]
    wish = {"media": item["id"], "licence": "CC0-1.0"}
    stick.write_bytes(b"GGUF and something else")
    assert imogen.post("/models/import", json=wish).status_code == 404
    stick.unlink()
    assert imogen.post("/models/import", json=wish).status_code == 404
    assert imogen.get("/models/media").get_json() == {"items": [], "folders": [str(stick.parent.parent)]}


@pytest.mark.parametrize(
    ("field", "body"),
    [
        ("body", {"licence": "x"}),
        ("body", {"licence": "x", "path": "/etc/passwd", "upload": "0" * 32}),
        ("body", {"licence": "x", "media": "0" * 32, "upload": "0" * 32}),
        ("upload", {"licence": "x", "upload": "../../etc/passwd"}),
        ("media", {"licence": "x", "media": "/etc/passwd"}),
        ("media", {"licence": "x", "media": "0" * 33}),
        ("link", {"licence": "x", "media": "0" * 32, "link": True}),
    ],
)
def test_a_wish_that_names_no_place_or_two_or_a_path_is_refused(
    imogen: Person, field: str, body: dict[str, Any]
) -> None:
    answer = imogen.post("/models/import", json=body)
    assert (answer.status_code, answer.get_json()["params"]) == (400, {"field": field})


@pytest.mark.parametrize(
    ("field", "body"),
    [
        ("size", {"name": "a.gguf", "size": 0}),
        ("size", {"name": "a.gguf", "size": 1 << 50}),
        ("name", {"name": "", "size": 1}),
        ("file", {"name": "..", "size": 1}),
        ("modified", {"name": "a.gguf", "size": 1, "modified": -1}),
        ("path", {"name": "a.gguf", "size": 1, "path": "/etc"}),
    ],
)
def test_an_upload_that_can_not_be_is_refused(imogen: Person, field: str, body: dict[str, Any]) -> None:
    answer = imogen.post("/models/uploads", json=body)
    assert (answer.status_code, answer.get_json()["params"]) == (400, {"field": field})


def test_a_piece_is_bounded_and_in_its_place(imogen: Person, box: TestBox) -> None:
    upload_id = begun(imogen, "a.gguf", PIECE_BYTES * 2)
    assert sent(imogen, upload_id, 0, bytes(PIECE_BYTES + 1)).status_code == 413
    for at in ("", "-1", "x", str(1 << 60)):
        assert imogen.put(f"/models/uploads/{upload_id}?at={at}", data=b"x").status_code == 400
    assert imogen.put(f"/models/uploads/{upload_id}", data=b"x").status_code == 400
    assert sent(imogen, upload_id, 1, b"x").status_code == 409
    assert sent(imogen, upload_id, 0, b"x").get_json()["received"] == 1
    small = begun(imogen, "b.gguf", 2)
    assert sent(imogen, small, 0, b"xyz").status_code == 400
    assert imogen.get(f"/models/uploads/{small}").get_json()["received"] == 0
    assert box.box.readers.taken == 0


def test_one_operators_upload_is_not_there_for_another_nor_for_the_terminal(
    box: TestBox, alice: Person, imogen: Person, file: Path
) -> None:
    upload_id = uploaded(imogen, file)
    ours, theirs = socket.socketpair(socket.AF_UNIX)
    client = box.app.test_client()

    def terminal(path: str, **options: Any) -> Any:
        return client.open("/api/v1/" + path, environ_overrides={"gunicorn.socket": ours}, buffered=True, **options)

    with ours, theirs:
        for send in (lambda path, **options: alice.open("/" + path, **options), terminal):
            assert send("models/uploads", method="GET").get_json() == {"items": []}
            for method in ("GET", "DELETE"):
                assert send(f"models/uploads/{upload_id}", method=method).status_code == 404
            assert send(f"models/uploads/{upload_id}?at=0", method="PUT", data=b"x").status_code == 404
            wish = {"upload": upload_id, "licence": "x"}
            for more in ({}, {"dry_run": True}):
                assert send("models/import", method="POST", json={**wish, **more}).status_code == 404
    assert imogen.get(f"/models/uploads/{upload_id}").status_code == 200


ROUTES = [
    ("GET", "/models/media", {}),
    ("GET", "/models/uploads", {}),
    ("POST", "/models/uploads", {"json": {"name": "a.gguf", "size": 1}}),
    ("GET", "/models/uploads/UPLOAD", {}),
    ("PUT", "/models/uploads/UPLOAD?at=0", {"data": b"x"}),
    ("DELETE", "/models/uploads/UPLOAD", {}),
    ("POST", "/models/import", {"json": {"upload": "0" * 32, "licence": "x"}}),
    ("POST", "/models/import", {"json": {"media": "0" * 32, "licence": "x", "dry_run": True}}),
]


@pytest.mark.parametrize(("method", "path", "options"), ROUTES)
def test_neither_a_member_nor_a_key_of_an_operator_brings_a_file(
    box: TestBox, imogen: Person, mallory: Person, method: str, path: str, options: dict[str, Any]
) -> None:
    path = path.replace("UPLOAD", begun(imogen, "hers.gguf", 5))
    assert mallory.open(path, method=method, **options).status_code == 403
    secret = imogen.post("/me/keys", json={"name": "models"}).get_json()
    with_key = {"Authorization": f"Bearer {secret['key']}"}
    answer = box.app.test_client().open("/api/v1" + path, method=method, headers=with_key, **options)
    assert answer.status_code == 403
    assert box.app.test_client().open("/api/v1" + path, method=method, **options).status_code == 401
