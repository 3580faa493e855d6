"""Adapters in a running box: brought from an upload, a stick or the terminal, listed and removed, written down."""

import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from appliance.inference.importing import Wish
from tests.simulators import gguf
from tests.simulators.box import Person, TestBox


@pytest.fixture
def based(box: TestBox, alice: Person, tmp_path: Path) -> Iterator[str]:
    """An imported model, removed afterwards."""
    path = gguf.tiny_llama(tmp_path / "based.gguf", seed=11)
    with box.services.models.begin(Wish(path=str(path), licence="CC0-1.0")) as incoming:
        list(incoming.copy())
        incoming.finish()
    yield "based"
    alice.delete("/models/based")


@pytest.fixture
def lora(tmp_path: Path) -> Path:
    return gguf.tiny_lora(tmp_path / "style.gguf")


def brought(box: TestBox, model: str, path: Path) -> Any:
    """By the operator on the admin socket."""
    ours, theirs = socket.socketpair(socket.AF_UNIX)
    with ours, theirs:
        return box.app.test_client().post(
            f"/api/v1/models/{model}/adapters",
            json={"path": str(path)},
            environ_overrides={"gunicorn.socket": ours},
            buffered=True,
        )


def test_an_adapter_is_brought_set_and_removed_with_its_setting(
    box: TestBox, alice: Person, based: str, lora: Path
) -> None:
    item = {"name": "style.lora.gguf", "size_bytes": lora.stat().st_size}
    answer = brought(box, based, lora)
    assert (answer.status_code, answer.get_json()) == (201, {"model": "based", **item})
    assert alice.get("/models/based/adapters").get_json() == {"items": [item]}
    wish = {"adapter": "style.lora.gguf", "adapter_scale": 0.5, "parallel": 2}
    assert alice.put("/models/based/settings", json=wish).status_code == 200
    assert alice.delete("/models/based/adapters/style.lora.gguf").status_code == 204
    left = alice.get("/models/based/settings").get_json()["settings"]
    assert (left["adapter"], left["adapter_scale"], left["parallel"]) == ("", 1.0, 2)
    assert alice.get("/models/based/adapters").get_json() == {"items": []}
    entries = {(entry.action, entry.target) for entry in box.services.audit.entries(20)}
    assert {("model-adapter-added", "based"), ("model-adapter-removed", "based")} <= entries


def test_what_is_not_there_or_does_not_fit_is_told(box: TestBox, alice: Person, based: str, tmp_path: Path) -> None:
    other = gguf.tiny_lora(tmp_path / "other.gguf", general__architecture="qwen2")
    refused = brought(box, based, other)
    assert (refused.status_code, refused.get_json()["code"]) == (422, "HK-MOD-017")
    assert brought(box, based, tmp_path / "none.gguf").get_json()["code"] == "HK-MOD-012"
    assert brought(box, "none", other).status_code == 404
    assert alice.delete("/models/based/adapters/none.lora.gguf").status_code == 404
    assert alice.delete("/models/based/adapters/based.gguf").status_code == 404
    assert alice.put("/models/based/settings", json={"adapter": "none.lora.gguf"}).status_code == 400


def test_a_path_of_the_box_is_for_its_terminal_and_adapters_for_operators(
    alice: Person, mallory: Person, based: str, lora: Path
) -> None:
    body = {"path": str(lora)}
    assert alice.post(f"/models/{based}/adapters", json=body).status_code == 403
    assert mallory.post(f"/models/{based}/adapters", json=body).status_code == 403
    assert mallory.get(f"/models/{based}/adapters").status_code == 403
    assert mallory.delete(f"/models/{based}/adapters/style.lora.gguf").status_code == 403


def uploaded(person: Person, path: Path) -> str:
    data = path.read_bytes()
    begun = person.post("/models/uploads", json={"name": path.name, "size": len(data)}).get_json()["id"]
    assert person.put(f"/models/uploads/{begun}?at=0", data=data).status_code == 200
    return str(begun)


def test_an_upload_is_tried_then_brought_without_a_second_copy(
    box: TestBox, alice: Person, based: str, lora: Path
) -> None:
    upload = uploaded(alice, lora)
    told = {"model": based, "name": "style.lora.gguf", "size_bytes": lora.stat().st_size}
    tried = alice.post(f"/models/{based}/adapters", json={"upload": upload, "dry_run": True})
    assert (tried.status_code, tried.get_json()) == (200, told)
    assert alice.get(f"/models/{based}/adapters").get_json() == {"items": []}
    bytes_of_it = (box.settings.models / ".uploads" / upload / "file.gguf").stat().st_ino
    answer = alice.post(f"/models/{based}/adapters", json={"upload": upload})
    assert (answer.status_code, answer.get_json()) == (201, told)
    assert (box.settings.models / based / "style.lora.gguf").stat().st_ino == bytes_of_it
    assert alice.get(f"/models/uploads/{upload}").status_code == 404
    again = uploaded(alice, lora)
    answer = alice.post(f"/models/{based}/adapters", json={"upload": again, "dry_run": True})
    assert (answer.status_code, answer.get_json()["code"]) == (409, "HK-BOX-009")
    assert alice.delete(f"/models/uploads/{again}").status_code == 204


def test_a_file_on_a_stick_is_copied_and_one_that_is_gone_is_not_found(
    box: TestBox, alice: Person, based: str, lora: Path
) -> None:
    stick = box.settings.storage.media[0] / "LORA"
    stick.mkdir(parents=True)
    path = stick / "on-stick.gguf"
    path.write_bytes(lora.read_bytes())
    try:
        [media] = [one["id"] for one in alice.get("/models/media").get_json()["items"] if one["name"] == path.name]
        assert alice.post(f"/models/{based}/adapters", json={"media": media}).status_code == 201
        assert path.exists()
    finally:
        path.unlink()
        stick.rmdir()
    assert alice.delete(f"/models/{based}/adapters/on-stick.lora.gguf").status_code == 204
    assert alice.post(f"/models/{based}/adapters", json={"media": media}).status_code == 404


def test_nobody_brings_another_operators_upload_nor_what_is_no_place(
    box: TestBox, alice: Person, mallory: Person, based: str, lora: Path
) -> None:
    upload = uploaded(alice, lora)
    with box.second_operator("ivan") as ivan:
        for more in ({}, {"dry_run": True}):
            assert ivan.post(f"/models/{based}/adapters", json={"upload": upload, **more}).status_code == 404
    assert mallory.post(f"/models/{based}/adapters", json={"upload": upload}).status_code == 403
    for body in ({}, {"upload": upload, "media": upload}, {"media": str(lora)}, {"upload": "../" + upload}):
        assert alice.post(f"/models/{based}/adapters", json=body).status_code == 400
    assert alice.get(f"/models/{based}/adapters").get_json() == {"items": []}
    assert alice.delete(f"/models/uploads/{upload}").status_code == 204
