"""Folders of ONNX models on sticks, brought by browser: looked at, imported, and never from anywhere else."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from appliance.inference import genai
from tests.simulators import genai as genai_folders
from tests.simulators import gguf, hugging_face
from tests.simulators.box import Person, TestBox


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An embedding model and a reranker, as their publishers write them."""
    folder = tmp_path_factory.mktemp("made")
    hugging_face.embedder(folder / "Stick E5")
    hugging_face.reranker(folder / "Judge")
    return folder


@pytest.fixture
def stick(box: TestBox, made: Path) -> Iterator[Path]:
    """A stick with both."""
    folder = box.settings.storage.media[0] / "FOLDERS"
    folder.mkdir(parents=True)
    for name in ("Stick E5", "Judge"):
        shutil.copytree(made / name, folder / name)
    yield folder
    shutil.rmtree(folder)


def listed(person: Person, name: str) -> dict[str, Any]:
    [item] = [one for one in person.get("/models/media").get_json()["items"] if one["name"] == name]
    return dict(item)


def plan(person: Person, name: str, **said: Any) -> Any:
    body = {"media": listed(person, name)["id"], "licence": "MIT", "dry_run": True, **said}
    return person.post("/models/import", json=body)


def test_an_embedding_model_on_a_stick_is_looked_at_and_imported_with_what_a_person_says(
    box: TestBox, alice: Person, stick: Path
) -> None:
    item = listed(alice, "Stick E5")
    size = sum(path.stat().st_size for path in (stick / "Stick E5").iterdir())
    assert (item["kind"], item["folder"], item["size_bytes"]) == ("folder", str(stick), size)
    found = plan(alice, "Stick E5").get_json()["plan"]
    assert (found["model"], found["kind"], found["engines"]) == ("stick-e5", "embedding", ["onnx"])
    assert (found["query_prefix"], found["passage_prefix"]) == ("query: ", "passage: ")
    assert not list(box.settings.models.glob("stick-e5*"))

    wish = {"media": item["id"], "licence": "MIT", "query_prefix": "q: ", "passage_prefix": "", "languages": ["ja"]}
    followed = alice.post("/models/import", json=wish, headers={"Accept": "text/event-stream"}).get_data(as_text=True)
    assert "event: done" in followed
    manifest = box.services.models.manifest("stick-e5")
    assert (manifest.query_prefix, manifest.passage_prefix, manifest.source) == ("q: ", "", "Stick E5")
    assert ("model-imported", "stick-e5") in {(entry.action, entry.target) for entry in box.services.audit.entries(5)}
    assert (stick / "Stick E5" / "model.onnx").exists()
    again = alice.post("/models/import", json=wish)
    assert (again.status_code, again.get_json()["already_there"]) == (200, True)
    assert alice.delete("/models/stick-e5").status_code == 204


def test_a_reranker_is_told_from_an_embedding_model_and_what_it_can_not_be_is_refused(
    alice: Person, stick: Path
) -> None:
    assert plan(alice, "Judge").get_json()["plan"]["kind"] == "reranker"
    assert plan(alice, "Judge", kind="reranker").status_code == 200
    assert plan(alice, "Stick E5", pooling="cls").status_code == 200
    for said, field in (({"engine": "ctransformers"}, "engine"), ({"link": True}, "link")):
        answer = plan(alice, "Judge", **said)
        assert (answer.status_code, answer.get_json()["params"]) == (400, {"field": field})
    (stick / "Judge" / "tokenizer.json").unlink()
    answer = plan(alice, "Judge")
    assert (answer.status_code, answer.get_json()["code"]) == (422, "HK-MOD-022")
    assert answer.get_json()["params"] == {"name": "Judge", "file": "tokenizer.json"}


def test_a_chat_model_on_onnx_is_known_by_its_settings(alice: Person, stick: Path) -> None:
    genai_folders.talker(stick / "On ONNX")
    answer = plan(alice, "On ONNX")
    if genai.version():
        found = answer.get_json()["plan"]
        assert (found["kind"], found["engines"]) == ("chat", ["genai"])
    else:
        assert (answer.status_code, answer.get_json()["code"]) == (503, "HK-MOD-034")
    answer = plan(alice, "On ONNX", pooling="cls")
    assert (answer.status_code, answer.get_json()["params"]) == (400, {"field": "pooling"})


def test_links_in_a_folder_are_refused_and_links_to_one_are_not_listed(
    alice: Person, stick: Path, made: Path, tmp_path: Path
) -> None:
    (stick / "Elsewhere").symlink_to(made / "Judge")
    names = {item["name"] for item in alice.get("/models/media").get_json()["items"]}
    assert {"Judge", "Stick E5"} <= names
    assert "Elsewhere" not in names
    vocabulary = stick / "Judge" / "tokenizer.json"
    vocabulary.unlink()
    vocabulary.symlink_to(made / "Judge" / "tokenizer.json")
    answer = plan(alice, "Judge")
    assert (answer.status_code, answer.get_json()["code"]) == (422, "HK-MOD-012")


def test_a_folder_of_the_box_is_taken_by_its_id_only(
    box: TestBox, alice: Person, mallory: Person, stick: Path, made: Path
) -> None:
    item = listed(alice, "Judge")
    for path in (str(stick / "Judge"), str(made / "Judge"), f"{stick}/../../../etc", "/etc"):
        answer = alice.post("/models/import", json={"path": path, "licence": "x", "dry_run": True})
        assert (answer.status_code, answer.get_json()["code"]) == (403, "HK-AUTH-003")
        answer = alice.post("/models/import", json={"media": path, "licence": "x", "dry_run": True})
        assert (answer.status_code, answer.get_json()["params"]) == (400, {"field": "media"})
    (stick / "Judge").rename(stick / "Judged")
    (stick / "Judge").symlink_to(made / "Judge")
    wish = {"media": item["id"], "licence": "x"}
    assert alice.post("/models/import", json=wish).status_code == 404
    moved = {"media": listed(alice, "Judged")["id"], "licence": "x"}
    for more in ({}, {"dry_run": True}):
        assert mallory.post("/models/import", json={**moved, **more}).status_code == 403
    secret = alice.post("/me/keys", json={"name": "folders"}).get_json()
    with_key = {"Authorization": f"Bearer {secret['key']}"}
    assert box.app.test_client().post("/api/v1/models/import", json=moved, headers=with_key).status_code == 403
    alice.delete(f"/me/keys/{secret['item']['id']}")
    assert not list(box.settings.models.glob("judge*"))


def test_a_folder_is_neither_a_projector_nor_does_a_file_have_what_folders_have(alice: Person, stick: Path) -> None:
    gguf.tiny_llama(stick / "beside.gguf", seed=61)
    assert listed(alice, "beside.gguf")["kind"] == "file"
    assert plan(alice, "beside.gguf").get_json()["plan"]["engines"][0] == "llama"
    answer = plan(alice, "beside.gguf", kind="embedding")
    assert (answer.status_code, answer.get_json()["params"]) == (400, {"field": "kind"})
    folder = listed(alice, "Judge")["id"]
    assert alice.post("/models/talker/projector", json={"media": folder, "dry_run": True}).status_code == 404
