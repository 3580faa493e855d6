"""An import with a smaller copy: offered, made and measured in the same go; the import stands without it too."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from appliance.errors import DiskFullError
from appliance.inference import requantise
from appliance.inference.quantisations import TARGETS
from tests.simulators import gguf
from tests.simulators.box import Person, TestBox
from tests.web.test_model_uploads import uploaded


@pytest.fixture(scope="module")
def operator(box: TestBox, alice: Person) -> Iterator[Person]:
    with box.second_operator("ines") as person:
        yield person


@pytest.fixture
def ines(box: TestBox, operator: Person) -> Iterator[Person]:
    """An operator whose uploads, and the models out of them, are removed afterwards."""
    yield operator
    for item in operator.get("/models/uploads").get_json()["items"]:
        operator.delete(f"/models/uploads/{item['id']}")
    for path in sorted(box.settings.models.glob("ir*")):
        operator.delete(f"/models/{path.name}")
    box.settings.model_figures.unlink(missing_ok=True)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return gguf.tiny_llama(tmp_path / "ir.gguf", seed=23, llama__context_length=4096)


def wish(person: Person, file: Path, **more: object) -> dict[str, Any]:
    return {"upload": uploaded(person, file), "licence": "CC0-1.0", **more}


def models(box: TestBox) -> list[str]:
    return sorted(path.name for path in box.settings.models.glob("ir*"))


def test_the_plan_says_which_smaller_forms_there_are(ines: Person, file: Path, tmp_path: Path) -> None:
    body = wish(ines, file, dry_run=True)
    assert ines.post("/models/import", json=body).get_json()["plan"]["smaller"] == list(TARGETS)
    small = gguf.tiny_llama(tmp_path / "ir-small.gguf", general__file_type=10)  # Q2_K
    assert ines.post("/models/import", json=wish(ines, small, dry_run=True)).get_json()["plan"]["smaller"] == []


def test_the_copy_is_made_and_measured_after_the_import(ines: Person, box: TestBox, file: Path) -> None:
    body = wish(ines, file, requantise="q8_0")
    answer = ines.post("/models/import", json=body, headers={"Accept": "text/event-stream"})
    frames = [frame.split("\n") for frame in answer.get_data(as_text=True).split("\n\n") if "data:" in frame]
    events = [(frame[0].removeprefix("event: "), json.loads(frame[-1].removeprefix("data: "))) for frame in frames]
    kinds = [kind for kind, _data in events]
    assert (kinds[0], kinds[-1]) == ("plan", "done")
    there = kinds.index("imported")
    assert events[there][1] == {"model": "ir", "name": "Tiny Llama", "already_there": False}
    assert set(kinds[there + 1 : -1]) == {"smaller"}
    inside = [data["kind"] for kind, data in events if kind == "smaller"]
    assert (inside[0], inside[-1]) == ("plan", "done")
    done = events[-1][1]
    assert (done["model"], done["not_smaller"]) == ("ir", None)
    assert (done["smaller"]["model"], done["smaller"]["original"]) == ("ir-q8_0", "ir")
    assert done["smaller"]["change"]["read"] > 0
    assert models(box) == ["ir", "ir-q8_0"]
    entries = {(entry.action, entry.target) for entry in box.services.audit.entries(20)}
    assert {("model-imported", "ir"), ("model-requantised", "ir-q8_0"), ("model-measured", "ir-q8_0")} <= entries


def test_the_import_stands_if_there_is_no_room_for_the_copy(
    ines: Person, box: TestBox, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_models: Path, _size: int) -> None:
        raise DiskFullError("no room")

    monkeypatch.setattr(requantise, "demand_room", full)
    answer = ines.post("/models/import", json=wish(ines, file, requantise="Q4_0"))
    done = answer.get_json()
    assert (answer.status_code, done["model"], done["smaller"]) == (201, "ir", None)
    assert (done["not_smaller"]["code"], bool(done["not_smaller"]["title"])) == (DiskFullError.code, True)
    assert models(box) == ["ir"]


def test_a_copy_that_can_not_be_is_refused_before_anything_is_brought(
    ines: Person, box: TestBox, file: Path, tmp_path: Path
) -> None:
    small = gguf.tiny_llama(tmp_path / "ir-small.gguf", general__file_type=2)  # Q4_0
    for path, more, status in (
        (file, {"requantise": "Q99"}, 400),
        (file, {"requantise": ""}, 400),
        (small, {"requantise": "Q8_0"}, 422),
    ):
        for dry in (True, False):
            answer = ines.post("/models/import", json=wish(ines, path, dry_run=dry, **more))
            assert answer.status_code == status, answer.get_json()
    assert models(box) == []
