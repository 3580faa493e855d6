"""What programs asked and were answered: the chain of a conversation, its owner, its age and its number."""

from typing import Any

import pytest

from appliance import clock
from appliance.apps import responses
from appliance.apps.responses import Responses
from appliance.errors import BadInputError, NotFoundError
from appliance.storage.database import Database

People = dict[str, str]


@pytest.fixture
def kept(database: Database) -> Responses:
    return Responses(database)


def put(kept: Responses, owner: str, response_id: str, previous: str | None = None) -> None:
    item: dict[str, Any] = {"id": "msg_1", "text": "夜勤"}
    kept.put(owner, response_id, previous, [item], {"id": response_id, "output": []})


def test_a_response_comes_back_as_it_was_sent(kept: Responses, people: People) -> None:
    put(kept, people["alice"], "resp_1")
    found = kept.get(people["alice"], "resp_1")
    assert (found.input, found.answer) == ([{"id": "msg_1", "text": "夜勤"}], {"id": "resp_1", "output": []})


def test_mallory_can_not_read_delete_or_go_on_with_alices(kept: Responses, people: People) -> None:
    put(kept, people["alice"], "resp_1")
    for attempt in (kept.get, kept.delete, kept.conversation):
        with pytest.raises(NotFoundError):
            attempt(people["mallory"], "resp_1")
    assert kept.get(people["alice"], "resp_1").id == "resp_1"


def test_a_conversation_does_not_pass_through_anothers_response(kept: Responses, people: People) -> None:
    put(kept, people["alice"], "resp_1")
    put(kept, people["mallory"], "resp_2", "resp_1")
    with pytest.raises(NotFoundError):
        kept.conversation(people["mallory"], "resp_2")


def test_a_conversation_is_told_from_its_beginning_and_not_with_a_gap(kept: Responses, people: People) -> None:
    alice = people["alice"]
    for number in (1, 2, 3):
        put(kept, alice, f"resp_{number}", f"resp_{number - 1}" if number > 1 else None)
    assert [found.id for found in kept.conversation(alice, "resp_3")] == ["resp_1", "resp_2", "resp_3"]
    kept.delete(alice, "resp_2")
    with pytest.raises(NotFoundError):
        kept.conversation(alice, "resp_3")
    assert kept.get(alice, "resp_3").previous_id == "resp_2"


def test_a_conversation_has_an_end(kept: Responses, people: People, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(responses, "CHAIN", 2)
    for number in (1, 2, 3):
        put(kept, people["alice"], f"resp_{number}", f"resp_{number - 1}" if number > 1 else None)
    assert len(kept.conversation(people["alice"], "resp_2")) == 2
    with pytest.raises(BadInputError):
        kept.conversation(people["alice"], "resp_3")


def test_of_one_person_the_oldest_go_first(kept: Responses, people: People, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(responses, "KEEP", 2)
    put(kept, people["bob"], "resp_bob")
    for number in (1, 2, 3):
        put(kept, people["alice"], f"resp_{number}")
    with pytest.raises(NotFoundError):
        kept.get(people["alice"], "resp_1")
    assert kept.get(people["alice"], "resp_2").id == "resp_2"
    assert kept.get(people["bob"], "resp_bob").id == "resp_bob"


def test_pictures_count_by_their_bytes_and_the_newest_always_stays(
    kept: Responses, people: People, monkeypatch: pytest.MonkeyPatch
) -> None:
    alice, items = people["alice"], [{"type": "message", "content": "x" * 1000}]
    put(kept, people["bob"], "resp_bob")
    monkeypatch.setattr(responses, "KEEP_BYTES", 2500)
    for number in (1, 2, 3):
        kept.put(alice, f"resp_{number}", None, items, {"id": f"resp_{number}", "output": []})
    with pytest.raises(NotFoundError):
        kept.get(alice, "resp_1")
    assert kept.get(alice, "resp_2").input == items
    kept.put(alice, "resp_4", None, items * 5, {"id": "resp_4", "output": []})
    assert kept.get(alice, "resp_4").input == items * 5
    with pytest.raises(NotFoundError):
        kept.get(alice, "resp_3")
    assert kept.get(people["bob"], "resp_bob").id == "resp_bob"


def test_what_is_too_old_is_not_found_and_is_erased(
    kept: Responses, people: People, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(kept, people["alice"], "resp_old")
    later = clock.now() + responses.KEEP_S + 1
    monkeypatch.setattr(clock, "now", lambda: later)
    with pytest.raises(NotFoundError):
        kept.get(people["alice"], "resp_old")
    kept.sweep()
    with database.read() as connection:
        assert connection.execute("select count(*) from responses").get == 0


def test_nothing_is_kept_for_a_person_who_is_gone_and_nothing_stays(
    kept: Responses, people: People, database: Database
) -> None:
    put(kept, people["alice"], "resp_1")
    with database.write() as connection:
        connection.execute("delete from users where id = ?", (people["alice"],))
    put(kept, people["alice"], "resp_2")
    with database.read() as connection:
        assert connection.execute("select count(*) from responses").get == 0
