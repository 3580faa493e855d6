"""A smaller model made in a running box: followed, measured, written down, and for operators only."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from appliance.gateway.figures import Change, Figures, change
from appliance.inference.importing import Wish
from tests.simulators import gguf
from tests.simulators.box import Person, TestBox

STREAM = {"Accept": "text/event-stream"}


@pytest.fixture
def tiny(box: TestBox, alice: Person, tmp_path: Path) -> Iterator[str]:
    """An imported model that llama.cpp really runs; it and what was made of it are removed afterwards."""
    with box.services.models.begin(
        Wish(path=str(gguf.tiny_llama(tmp_path / "rq.gguf", llama__context_length=4096)), licence="CC0-1.0")
    ) as incoming:
        list(incoming.copy())
        incoming.finish()
    yield "rq"
    for path in sorted(box.settings.models.glob("rq*")):
        alice.delete(f"/models/{path.name}")
    box.settings.model_figures.unlink(missing_ok=True)


def followed(person: Person, model: str, body: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    answer = person.post(f"/models/{model}/requantise", json=body, headers=STREAM)
    frames = [frame.split("\n") for frame in answer.get_data(as_text=True).split("\n\n") if "data:" in frame]
    return [(frame[0].removeprefix("event: "), json.loads(frame[-1].removeprefix("data: "))) for frame in frames]


def test_a_smaller_model_is_made_followed_and_both_are_measured(alice: Person, box: TestBox, tiny: str) -> None:
    events = followed(alice, tiny, {"to": "q8_0"})
    kinds = [kind for kind, _data in events]
    assert (kinds[0], kinds[-1]) == ("plan", "done")
    assert [data["stage"] for kind, data in events if kind == "progress"][::-1][0] == "storing"
    measured = [(data["model"], data["stage"]) for kind, data in events if kind == "stage"]
    assert measured == [
        (model, stage) for model in ("rq", "rq-q8_0") for stage in ("loading", "quoting", "alone", "long", "together")
    ]
    done = events[-1][1]
    assert (done["model"], done["original"], done["quantization"]) == ("rq-q8_0", "rq", "Q8_0")
    assert done["size_bytes"] < done["original_size_bytes"]
    for side in ("before", "after"):
        assert done[side]["read_per_s"] > 0
    assert done["change"]["read"] == round(done["after"]["read_per_s"] / done["before"]["read_per_s"], 1)
    assert alice.get("/models/rq-q8_0/bench").get_json()["figures"] == done["after"]
    entries = {(entry.action, entry.target) for entry in box.services.audit.entries(20)}
    assert {("model-requantised", "rq-q8_0"), ("model-measured", "rq"), ("model-measured", "rq-q8_0")} <= entries
    seen = alice.get("/models/rq-q8_0").get_json()
    assert seen["source"].startswith("rq sha256:")


def test_what_it_would_come_to_is_told_and_nothing_is_made(alice: Person, box: TestBox, tiny: str) -> None:
    answer = alice.post(f"/models/{tiny}/requantise?dry=1", json={"to": "Q8_0"})
    assert answer.status_code == 200
    plan = answer.get_json()
    assert [path.name for path in box.settings.models.glob("rq*")] == [tiny]
    made = alice.post(f"/models/{tiny}/requantise", json={"to": "Q8_0", "measure": False}).get_json()
    assert (plan["model"], plan["size_bytes"]) == (made["model"], made["size_bytes"])
    assert plan["estimate"]["weights_bytes"] == plan["size_bytes"] < plan["original_size_bytes"]
    assert plan["estimate"] == {
        **alice.get(f"/models/{made['model']}").get_json()["estimate"],
        "available_bytes": plan["estimate"]["available_bytes"],
        "verdict": plan["estimate"]["verdict"],
    }
    again = alice.post(f"/models/{tiny}/requantise?dry=1", json={"to": "Q8_0"})
    assert (again.status_code, again.get_json()["code"]) == (409, "HK-BOX-009")


def test_it_comes_as_one_answer_too_and_unmeasured_if_so_wished(alice: Person, tiny: str) -> None:
    answer = alice.post(f"/models/{tiny}/requantise", json={"to": "Q4_0", "measure": False})
    assert answer.status_code == 201
    done = answer.get_json()
    assert (done["model"], done["before"], done["change"]) == ("rq-q4_0", None, None)
    again = alice.post(f"/models/{tiny}/requantise", json={"to": "Q4_0", "measure": False})
    assert (again.status_code, again.get_json()["code"]) == (409, "HK-BOX-009")
    coarse = alice.post("/models/rq-q4_0/requantise", json={"to": "Q8_0"})
    assert (coarse.status_code, coarse.get_json()["code"]) == (422, "HK-MOD-016")


def test_a_model_that_can_not_be_measured_is_made_all_the_same(alice: Person, box: TestBox, tmp_path: Path) -> None:
    short = gguf.tiny_llama(tmp_path / "rq-short.gguf", llama__context_length=256)
    with box.services.models.begin(Wish(path=str(short), licence="CC0-1.0")) as incoming:
        list(incoming.copy())
        incoming.finish()
    done = alice.post("/models/rq-short/requantise", json={"to": "Q8_0"}).get_json()
    assert (done["model"], done["change"], done["not_measured"]["code"]) == ("rq-short-q8_0", None, "HK-MOD-005")
    for model in ("rq-short", "rq-short-q8_0"):
        assert alice.delete(f"/models/{model}").status_code == 204


def test_what_can_not_be_made_is_refused_before_it_begins(alice: Person, tiny: str, box: TestBox) -> None:
    before = sorted(path.name for path in box.settings.models.iterdir())
    for model, body, status in (
        (tiny, {"to": "Q99"}, 400),
        (tiny, {}, 400),
        (tiny, {"to": "Q8_0", "more": 1}, 400),
        ("none", {"to": "Q8_0"}, 404),
        ("talker", {"to": "Q8_0"}, 400),
    ):
        answer = alice.post(f"/models/{model}/requantise", json=body, headers=STREAM)
        assert answer.status_code == status, answer.get_json()
    assert sorted(path.name for path in box.settings.models.iterdir()) == before


def test_nobody_else_makes_models(mallory: Person, box: TestBox, tiny: str) -> None:
    for query in ("", "?dry=1"):
        assert mallory.post(f"/models/{tiny}/requantise{query}", json={"to": "Q8_0"}).status_code == 403
    assert not (box.settings.models / "rq-q8_0").exists()


def test_who_leaves_in_the_middle_leaves_no_model(alice: Person, box: TestBox, tiny: str) -> None:
    making = box.services.models.requantise(tiny, "Q8_0")
    with making:
        next(making.run())
    assert [path.name for path in box.settings.models.glob("rq*")] == [tiny]


def test_the_change_is_how_many_times_as_fast() -> None:
    def figures(read: float, write: float) -> Figures:
        return Figures("0", 0.0, read, write, 2, 1.0, 0.0)

    assert change(figures(100.0, 40.0), figures(155.0, 38.0)) == Change(read=1.6, write=0.9)
    assert change(figures(0.0, 0.0), figures(1.0, 1.0)) is None
