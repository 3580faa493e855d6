"""A model that doesn't answer as it did is never served, until its operator accepts what it answers now."""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance.errors import ModelChangedError, ModelDamagedError
from appliance.inference.client import InferenceClient
from appliance.inference.engines import scripted
from tests.simulators.box import PASSWORD, Person, TestBox


@pytest.fixture
def spare(box: TestBox) -> Iterator[Path]:
    """The folder of a scripted model that was loaded once and changed since, digests in its manifest included."""
    folder = scripted.install(box.settings.models, "spare", "chat")
    client = InferenceClient(box.settings.inference_socket)
    client.lease("spare").close()
    client.unload("spare")
    (folder / "script").write_bytes(b"drift!")
    write_digest(folder, b"drift!")
    yield folder
    write_digest(folder, (folder / "script").read_bytes())
    box.services.models.remove("spare")


def write_digest(folder: Path, content: bytes) -> None:
    manifest = json.loads((folder / "model.json").read_text("utf-8"))
    manifest["files"]["script"]["sha256"] = hashlib.sha256(content).hexdigest()
    (folder / "model.json").write_text(json.dumps(manifest), "utf-8")


def test_it_is_refused_with_its_reason_and_served_again_once_accepted(alice: Person, box: TestBox, spare: Path) -> None:
    client = InferenceClient(box.settings.inference_socket)
    for _ in range(2):
        with pytest.raises(ModelChangedError):
            client.lease("spare")
    state = client.status()["spare"]
    assert (state["state"], state["error"]) == ("failed", {"code": "HK-MOD-018", "params": {"name": "spare"}})
    answer = alice.post("/models/spare/load", json={})
    assert (answer.status_code, answer.get_json()["code"]) == (500, "HK-MOD-018")
    shown = next(item for item in alice.get("/models").get_json()["items"] if item["id"] == "spare")
    assert shown["error"] == alice.get("/models/spare").get_json()["error"]
    assert (shown["error"]["code"], shown["error"]["params"]) == ("HK-MOD-018", {"name": "spare"})
    assert shown["error"]["title"] == answer.get_json()["title"]
    for password in ("", "not-my-password"):
        refused = alice.post("/models/spare/renew", json={"password": password})
        assert (refused.status_code, refused.get_json()["code"]) == (401, "HK-AUTH-002")
    with pytest.raises(ModelChangedError):
        client.lease("spare")
    assert alice.post("/models/spare/renew", json={"password": PASSWORD}).get_json() == {"had_record": True}
    client.lease("spare").close()
    assert client.status()["spare"]["state"] == "loaded"
    assert alice.get("/models/spare").get_json()["error"] is None
    assert ("model-golden-renewed", "spare") in [(seen.action, seen.target) for seen in box.services.audit.entries(10)]


def test_answers_of_damaged_files_cannot_be_accepted(alice: Person, spare: Path) -> None:
    write_digest(spare, b"answer")
    answer = alice.post("/models/spare/renew", json={"password": PASSWORD})
    assert answer.get_json()["code"] == ModelDamagedError.code
    assert (spare / "golden.json").exists()


def test_only_an_operator_may_accept(mallory: Person, spare: Path) -> None:
    assert mallory.post("/models/spare/renew", json={"password": PASSWORD}).status_code == 403
    assert (spare / "golden.json").exists()
