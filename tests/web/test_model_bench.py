"""Measuring a model on this box, and what that means for people."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from appliance.gateway.figures import Figures, capacity
from tests.simulators.box import Person, TestBox

TEMPLATE = "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}"


@pytest.fixture
def alice_only(alice: Person, box: TestBox) -> Iterator[Person]:
    """The operator, on a box where nothing was measured yet."""
    box.settings.model_figures.unlink(missing_ok=True)
    yield alice
    box.settings.model_figures.unlink(missing_ok=True)


def figures(**more: Any) -> Figures:
    plain = {"sha256": "0", "measured_at": 0.0, "read_per_s": 0.0, "write_per_s": 0.0}
    return Figures(**(plain | {"together": 0, "together_per_s": 0.0, "passages_per_s": 0.0} | more))


def test_a_chat_model_is_measured_and_remembered(alice_only: Person) -> None:
    assert alice_only.get("/models/talker/bench").get_json() == {
        "figures": None, "capacity": None, "stale": False, "guesses": False,
    }  # fmt: skip
    measured = alice_only.post("/models/talker/bench").get_json()
    assert measured["figures"]["read_per_s"] > 0
    assert measured["figures"]["write_per_s"] > 0
    assert measured["capacity"]["at_once"] == 2
    assert measured["capacity"]["people"] >= 1
    assert alice_only.get("/models/talker/bench").get_json() == measured


def test_an_embedding_model_is_measured_in_passages(alice_only: Person) -> None:
    measured = alice_only.post("/models/embedder/bench").get_json()
    assert measured["figures"]["passages_per_s"] > 0
    assert measured["capacity"] is None


def test_the_overview_has_every_model_measured_or_not(alice_only: Person) -> None:
    alice_only.post("/models/talker/bench")
    items = {item["id"]: item for item in alice_only.get("/models/bench").get_json()["items"]}
    assert items["talker"] == {"id": "talker", "name": items["talker"]["name"], "kind": "chat"} | (
        alice_only.get("/models/talker/bench").get_json()
    )
    assert items["talker"]["capacity"]["long_tokens"] == 4000
    assert items["embedder"] == {
        "id": "embedder", "name": items["embedder"]["name"], "kind": "embedding", "figures": None, "capacity": None,
        "stale": False, "guesses": False,
    }  # fmt: skip


def test_what_guessing_gains_is_told_and_followed_where_that_is_left_to_the_box(
    alice_only: Person, box: TestBox
) -> None:
    alice_only.post("/models/talker/bench")
    assert alice_only.get("/models/talker/settings").get_json()["settings"]["speculation"] == "auto"
    stored = json.loads(box.settings.model_figures.read_text())
    assert (stored["talker"]["quoting_gain"], stored["talker"]["other_gain"]) == (0, 0)  # this engine doesn't guess
    for quoting, guesses, comes_to in ((1.6, True, "ngram"), (1.05, False, "off")):
        stored["talker"] |= {"quoting_gain": quoting, "other_gain": 0.98}
        box.settings.model_figures.write_text(json.dumps(stored))
        known = alice_only.get("/models/talker/bench").get_json()
        assert (known["figures"]["quoting_gain"], known["figures"]["other_gain"]) == (quoting, 0.98)
        assert (known["guesses"], known["stale"]) == (guesses, guesses)  # these speeds were measured without
        assert alice_only.get("/models/talker/settings").get_json()["box"]["speculation"] == comes_to


def test_the_stages_are_told(alice_only: Person) -> None:
    answer = alice_only.post("/models/talker/bench", headers={"Accept": "text/event-stream"})
    frames = [frame.split("\n") for frame in answer.get_data(as_text=True).split("\n\n") if "data:" in frame]
    events = [(frame[0].removeprefix("event: "), json.loads(frame[-1].removeprefix("data: "))) for frame in frames]
    assert [data["stage"] for kind, data in events if kind == "stage"] == ["loading", "alone", "long", "together"]
    assert events[-1][0] == "done"


def test_another_file_under_the_same_name_has_no_figures(alice_only: Person, box: TestBox) -> None:
    alice_only.post("/models/talker/bench")
    stored = json.loads(box.settings.model_figures.read_text())
    stored["talker"]["sha256"] = "of another file"
    box.settings.model_figures.write_text(json.dumps(stored))
    assert alice_only.get("/models/talker/bench").get_json()["figures"] is None


def test_figures_of_a_model_that_is_loaded_otherwise_now_are_out_of_date(alice_only: Person) -> None:
    alice_only.post("/models/talker/bench")
    try:
        for wish in ({"threads": 7}, {"context": 1024}, {"parallel": 5}, {"template": TEMPLATE}):
            assert alice_only.put("/models/talker/settings", json=wish).status_code == 200
            known = alice_only.get("/models/talker/bench").get_json()
            assert (known["stale"], known["capacity"]) == (True, None)
            assert known["figures"]["read_per_s"] > 0
        items = {item["id"]: item for item in alice_only.get("/models/bench").get_json()["items"]}
        assert items["talker"]["stale"]
    finally:
        alice_only.put("/models/talker/settings", json={})
    known = alice_only.get("/models/talker/bench").get_json()
    assert not known["stale"]
    assert known["capacity"]


def test_a_model_is_measured_as_it_is_set_to_be_loaded(alice_only: Person) -> None:
    try:
        alice_only.put("/models/talker/settings", json={"context": 1024, "parallel": 3})
        measured = alice_only.post("/models/talker/bench").get_json()
    finally:
        alice_only.put("/models/talker/settings", json={})
    assert (measured["stale"], measured["capacity"]["at_once"], measured["capacity"]["long_wait_s"]) == (False, 3, None)
    assert measured["figures"]["context"] == 1024
    assert 600 < measured["figures"]["long_tokens"] <= 1024


def test_what_an_earlier_release_measured_is_out_of_date(alice_only: Person, box: TestBox) -> None:
    alice_only.post("/models/talker/bench")
    stored = json.loads(box.settings.model_figures.read_text())
    for name in ("circumstances", "context", "long_tokens", "long_s"):
        del stored["talker"][name]
    box.settings.model_figures.write_text(json.dumps(stored))
    assert alice_only.get("/models/talker/bench").get_json()["stale"]


def test_a_damaged_file_of_figures_is_as_none(alice_only: Person, box: TestBox) -> None:
    box.settings.model_figures.write_text('{"talker": 5}')
    assert alice_only.get("/models/talker/bench").get_json()["figures"] is None
    assert alice_only.post("/models/talker/bench").status_code == 200


def test_nobody_else_measures_or_looks(mallory: Person) -> None:
    assert mallory.get("/models/talker/bench").status_code == 403
    assert mallory.post("/models/talker/bench").status_code == 403
    assert mallory.get("/models/bench").status_code == 403


def test_a_model_that_is_not_there_can_not_be_measured(alice: Person) -> None:
    assert alice.post("/models/none/bench").status_code == 404
    assert alice.get("/models/none/bench").status_code == 404


def test_capacity_counts_reading_and_writing() -> None:
    # 1,500 tokens at 150/s and 250 at 25/s are 20 s of work; in 70 % of 180 s six such questions are answered.
    speeds = {"read_per_s": 150.0, "write_per_s": 20.0, "together": 2, "together_per_s": 25.0}
    means = capacity(figures(**speeds))
    assert means is not None
    assert (means.people, means.at_once, means.each_per_s, means.long_wait_s) == (6, 2, 12.5, None)
    # A long question is read more slowly, and that is what counts as soon as one was measured.
    means = capacity(figures(**speeds, context=4096, long_tokens=3600, long_s=36.0))
    assert means is not None
    assert (means.people, means.long_wait_s) == (5, 40)
    means = capacity(figures(**speeds, context=2048, long_tokens=1800, long_s=18.0))
    assert means is not None
    assert means.long_wait_s is None
    assert capacity(figures(passages_per_s=30.0)) is None
