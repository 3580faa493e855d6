"""A projector for a model that is on the box: tried, brought from an upload or a stick, counted, and taken away."""

import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from appliance.inference.importing import Wish
from tests.simulators import gguf, vision
from tests.simulators.box import Person, TestBox


@pytest.fixture
def blind(box: TestBox, alice: Person, tmp_path: Path) -> Iterator[str]:
    """An imported model that sees nothing, removed afterwards."""
    path = gguf.tiny_llama(tmp_path / "blind.gguf", seed=12)
    with box.services.models.begin(Wish(path=str(path), licence="CC0-1.0")) as incoming:
        list(incoming.copy())
        incoming.finish()
    yield "blind"
    box.drop_model("blind")


def uploaded(person: Person, path: Path) -> str:
    data = path.read_bytes()
    begun = person.post("/models/uploads", json={"name": path.name, "size": len(data)}).get_json()["id"]
    answer = person.put(f"/models/uploads/{begun}?at=0", data=data, content_type="application/octet-stream")
    assert answer.get_json()["received"] == len(data)
    return str(begun)


def at_the_terminal(box: TestBox, path: Path, **more: Any) -> Any:
    ours, theirs = socket.socketpair(socket.AF_UNIX)
    with ours, theirs:
        return box.app.test_client().post(
            "/api/v1/models/blind/projector",
            json={"path": str(path), **more},
            environ_overrides={"gunicorn.socket": ours},
            buffered=True,
        )


def test_an_upload_is_tried_then_brought_then_taken_away(
    box: TestBox, alice: Person, blind: str, tmp_path: Path
) -> None:
    path = vision.tiny_projector(tmp_path / "mmproj-any.gguf")
    upload = uploaded(alice, path)
    plain = alice.get("/models/blind").get_json()
    tried = alice.post("/models/blind/projector", json={"upload": upload, "dry_run": True})
    told = tried.get_json()
    assert tried.status_code == 200
    assert (told["name"], told["kind"], told["width"], told["picture_pixels"]) == ("mmproj-any.gguf", "mlp", 32, 32)
    assert told["size_bytes"] == path.stat().st_size
    assert told["estimate"]["needed_bytes"] > plain["estimate"]["needed_bytes"]
    assert alice.get("/models/blind").get_json()["projector"] is None, "a dry run brings nothing"

    assert alice.post("/models/blind/projector", json={"upload": upload}).status_code == 201
    model = alice.get("/models/blind").get_json()
    assert (model["projector"], model["vision"]) == ("mmproj-blind.gguf", True)
    assert model["size_bytes"] == plain["size_bytes"] + path.stat().st_size
    assert alice.post("/models/blind/verify").get_json()["files"] == 2
    assert upload not in {one["id"] for one in alice.get("/models/uploads").get_json()["items"]}
    again = alice.post("/models/blind/projector", json={"upload": uploaded(alice, path), "dry_run": True})
    assert (again.status_code, again.get_json()["code"]) == (409, "HK-MOD-040")

    assert alice.delete("/models/blind/projector").status_code == 204
    model = alice.get("/models/blind").get_json()
    assert (model["projector"], model["vision"]) == (None, False)
    assert {file.name for file in (box.settings.models / "blind").iterdir() if file.suffix == ".gguf"} == {"blind.gguf"}
    assert alice.delete("/models/blind/projector").status_code == 404
    entries = {(entry.action, entry.target) for entry in box.services.audit.entries(20)}
    assert {("model-projector-added", "blind"), ("model-projector-removed", "blind")} <= entries
    for one in alice.get("/models/uploads").get_json()["items"]:
        alice.delete(f"/models/uploads/{one['id']}")


def test_a_file_on_a_stick_and_one_named_at_the_terminal_are_copied(
    box: TestBox, alice: Person, blind: str, tmp_path: Path
) -> None:
    (stick,) = box.settings.storage.media
    stick.mkdir(exist_ok=True)
    path = vision.tiny_projector(stick / "mmproj-stick.gguf")
    try:
        (media,) = (
            one["id"] for one in alice.get("/models/media").get_json()["items"] if one["name"] == "mmproj-stick.gguf"
        )
        assert alice.post("/models/blind/projector", json={"media": media}).status_code == 201
        assert path.exists()
    finally:
        path.unlink()
    assert alice.delete("/models/blind/projector").status_code == 204
    assert alice.post("/models/blind/projector", json={"media": media}).status_code == 404
    named = vision.tiny_projector(tmp_path / "named.gguf")
    assert at_the_terminal(box, named, dry_run=True).status_code == 200
    assert at_the_terminal(box, named).status_code == 201


def test_what_is_none_or_another_models_is_refused_and_leaves_nothing(
    box: TestBox, alice: Person, blind: str, tmp_path: Path
) -> None:
    wide = vision.tiny_projector(tmp_path / "wide.gguf", width=48)
    for path, status, code in (
        (wide, 422, "HK-MOD-027"),
        (gguf.tiny_llama(tmp_path / "model.gguf"), 422, "HK-MOD-026"),
        (gguf.tiny_lora(tmp_path / "lora.gguf"), 422, "HK-MOD-026"),
        (tmp_path / "none.gguf", 422, "HK-MOD-012"),
    ):
        for dry in (True, False):
            answer = at_the_terminal(box, path, dry_run=dry)
            assert (answer.status_code, answer.get_json()["code"]) == (status, code)
    (tmp_path / "cut.gguf").write_bytes(wide.read_bytes()[:900])
    assert at_the_terminal(box, tmp_path / "cut.gguf").get_json()["code"] == "HK-MOD-009"
    stored = {path.name for path in (box.settings.models / "blind").iterdir()}
    assert not {name for name in stored if name.startswith("mmproj")}
    good = uploaded(alice, vision.tiny_projector(tmp_path / "good.gguf"))
    assert alice.post("/models/talker/projector", json={"upload": good}).get_json()["code"] == "HK-MOD-008"
    assert alice.post("/models/none/projector", json={"upload": good}).get_json()["code"] == "HK-MOD-001"
    for body in ({}, {"upload": good, "media": good}, {"upload": "x"}):
        assert alice.post("/models/blind/projector", json=body).status_code == 400
    alice.delete(f"/models/uploads/{good}")


def test_projectors_are_for_operators_and_uploads_for_their_owners(
    box: TestBox, alice: Person, bob: Person, mallory: Person, blind: str, tmp_path: Path
) -> None:
    path = vision.tiny_projector(tmp_path / "mine.gguf")
    upload = uploaded(alice, path)
    for person in (bob, mallory):
        assert person.post("/models/blind/projector", json={"upload": upload}).status_code == 403
        assert person.delete("/models/blind/projector").status_code == 403
    with box.second_operator("ada-sees") as ada:
        assert ada.post("/models/blind/projector", json={"upload": upload}).status_code == 404
    assert alice.post("/models/blind/projector", json={"path": str(path)}).status_code == 403
    alice.delete(f"/models/uploads/{upload}")
