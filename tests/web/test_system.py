"""The system below the box over the API: who may, what an operator is told, and that going back asks for a password."""

from collections.abc import Iterator
from typing import Any

import pytest

from appliance.bundle.update.system import Room
from appliance.bundle.update.system_state import Ended, Other, Standing, SystemPlaces
from appliance.storage import settings_store
from tests.simulators.box import PASSWORD, Person, TestBox
from tests.simulators.two_slots import own

ENDED = Ended(id="one", number=3, version="0.1.0", kept=False, reason="boots", at=1_800_000_000.0)


@pytest.fixture
def places(box: TestBox) -> Iterator[SystemPlaces]:
    """As on a machine of an image; the box is shared, so nothing of it stays."""
    places = box.services.bundles.systems.places
    say(places)
    yield places
    for path in places.folder.iterdir():
        path.unlink()
    places.folder.rmdir()
    settings_store.delete(box.services.database, "system_recorded")


def say(places: SystemPlaces, **changes: Any) -> None:
    said = {"slot": "b", "running": own(2), "room": Room(root=1, tree=1, esp=1, kept=1), **changes}
    places.say(Standing.model_validate(said))


def test_mallory_can_do_nothing_with_the_system(mallory: Person, bob: Person, places: SystemPlaces) -> None:
    say(places, other=Other(number=1, version="0.1.0"))
    for person in (mallory, bob):
        answers = [person.get("/update/system"), person.post("/update/system/back", json={"password": PASSWORD})]
        assert [answer.status_code for answer in answers] == [403, 403]
    assert not places.wants_back()


def test_an_operator_sees_both_systems_and_how_the_last_one_ended(alice: Person, places: SystemPlaces) -> None:
    say(places, other=Other(number=1, version="0.1.0"), ended=ENDED)
    seen = alice.get("/update/system").get_json()["system"]
    assert (seen["slot"], seen["running"], seen["other"]) == (
        "b", {"number": 2, "version": "0.1.0"}, {"number": 1, "version": "0.1.0"},
    )  # fmt: skip
    assert (seen["phase"], seen["can_go_back"], seen["wanted"]) == ("idle", True, None)
    assert (seen["last"]["number"], seen["last"]["kept"], seen["last"]["reason"]) == (3, False, "boots")
    for _ in range(2):
        alice.get("/update/system")
    entries = alice.get("/audit?group=bundles").get_json()["items"]
    assert [entry["action"] for entry in entries].count("system-taken-back") == 1


def test_where_the_machine_runs_no_image_there_is_nothing_to_see(alice: Person) -> None:
    assert alice.get("/update/system").get_json() == {"system": None}
    refused = alice.post("/update/system/back", json={"password": PASSWORD})
    assert (refused.status_code, refused.get_json()["code"]) == (409, "HK-IMG-005")


def test_going_back_asks_for_the_password_once_more_and_is_roots_to_do(alice: Person, places: SystemPlaces) -> None:
    say(places, other=Other(number=1, version="0.1.0"))
    for password in ("", "wrong horse"):
        assert alice.post("/update/system/back", json={"password": password}).status_code in (401, 403)
    answer = alice.post("/update/system/back", json={"password": PASSWORD})
    assert answer.get_json()["code"] == "HK-BOX-040"  # no helper on this machine
    assert not places.wants_back()
