"""Chats of the pages that outgrow their model: what the operator chose holds, and people are told."""

from collections.abc import Iterator
from typing import Any

import pytest

from appliance.inference.engines import scripted
from tests.simulators.box import Person, TestBox
from tests.web.test_chats import ask, finished

ROUNDS = 5


@pytest.fixture
def narrow(box: TestBox) -> Iterator[str]:
    """A scripted model that is nobody's default."""
    scripted.install(box.settings.models, "narrow", "chat")
    yield "narrow"
    box.drop_model("narrow")


def talk(alice: Person, bob: Person, model: str, last: str = "[[say fine]]", **settings: Any) -> dict[str, Any]:
    """The last answer of a chat that doesn't fit into the 256 tokens of its model any more."""
    wish = {"context": 256, **settings}
    assert alice.put(f"/models/{model}/settings", json=wish).status_code == 200
    chat = bob.post("/chats", json={"model": model, "base_ids": []}).get_json()["id"]
    parent = None
    for turn in [f"[[say answer {i}]] question {i} " + "word " * 60 for i in range(ROUNDS)] + [last]:
        done = finished(bob, chat, ask(bob, chat, turn, parent))
        if done["state"] == "failed":
            return done
        parent = done["id"]
    return done


@pytest.mark.parametrize("policy", [None, "rolling", "middle"])
def test_a_long_chat_goes_on_and_its_answer_says_what_was_left_out(
    alice: Person, bob: Person, narrow: str, policy: str | None
) -> None:
    done = talk(alice, bob, narrow, **({"overflow": policy} if policy else {}))
    assert (done["state"], done["text"]) == ("done", "fine")
    assert done["stats"]["left_out"] in (6, 8)
    assert done["stats"]["left_out"] % 2 == 0


def test_a_long_chat_is_refused_with_what_to_do_where_nothing_may_be_left_out(
    alice: Person, bob: Person, narrow: str
) -> None:
    done = talk(alice, bob, narrow, overflow="stop")
    assert (done["state"], done["error"]["code"]) == ("failed", "HK-MOD-052")
    assert done["error"]["params"]["limit"] == 256
    assert done["error"]["params"]["tokens"] > 256


def test_a_question_that_is_too_long_by_itself_is_told_as_that(alice: Person, bob: Person, narrow: str) -> None:
    done = talk(alice, bob, narrow, "word " * 300)
    assert (done["state"], done["error"]["code"]) == ("failed", "HK-MOD-005")


def test_a_question_that_just_fits_is_answered_also_where_little_room_is_left(
    alice: Person, bob: Person, narrow: str
) -> None:
    done = talk(alice, bob, narrow, "[[say fine]] " + "word " * 235)
    assert (done["state"], done["stats"]["left_out"]) == ("done", 2 * ROUNDS)
