"""Conversations: the tree of messages, titles, search, and what others get."""

import pytest

from appliance.apps.chats import Chats
from appliance.errors import ConflictError, NotFoundError
from appliance.storage.database import Database

People = dict[str, str]


@pytest.fixture
def chats(database: Database) -> Chats:
    return Chats(database)


def test_a_chat_appears_in_the_list_with_its_first_question(chats: Chats, people: People) -> None:
    chat = chats.create(people["alice"], "m", ["base_1"])
    assert chats.list(people["alice"]) == []
    chats.add_question(people["alice"], chat.id, "夜勤手当はいくらですか。\n詳しく", None)
    (listed,) = chats.list(people["alice"])
    assert (listed.title, listed.base_ids) == ("夜勤手当はいくらですか。", ("base_1",))


def test_a_long_english_title_is_cut_at_a_word(chats: Chats, people: People) -> None:
    chat = chats.create(people["alice"], "m", [])
    chats.add_question(people["alice"], chat.id, "What happens to the recovery key when the box is reset?", None)
    assert chats.get(people["alice"], chat.id).title == "What happens to the recovery key when…"


def test_a_title_given_by_hand_stays(chats: Chats, people: People) -> None:
    chat = chats.create(people["alice"], "m", [])
    chats.update(people["alice"], chat.id, title="Mine")
    chats.add_question(people["alice"], chat.id, "Something else", None)
    assert chats.get(people["alice"], chat.id).title == "Mine"


def test_editing_a_question_makes_a_branch(chats: Chats, people: People) -> None:
    alice = people["alice"]
    chat = chats.create(alice, "m", [])
    first, answer = chats.add_question(alice, chat.id, "one", None)
    chats.close_answer(answer.id, "eins", "done", {"mode": "chat"})
    chats.add_question(alice, chat.id, "two", answer.id)
    edited, other = chats.add_question(alice, chat.id, "one, but better", None)
    assert edited.parent_id is None
    assert [message.text for message in chats.path(alice, chats.message(alice, other.id))] == ["one, but better", ""]
    assert len(chats.messages(alice, chat.id)) == 6
    assert first.id != edited.id


def test_an_answer_can_be_written_again_beside_the_old_one(chats: Chats, people: People) -> None:
    alice = people["alice"]
    chat = chats.create(alice, "m", [])
    question, answer = chats.add_question(alice, chat.id, "one", None)
    again = chats.add_answer(alice, question)
    assert (again.parent_id, again.id != answer.id) == (question.id, True)


def test_two_browsers_cannot_follow_an_answer_that_is_still_written(chats: Chats, people: People) -> None:
    alice = people["alice"]
    chat = chats.create(alice, "m", [])
    _question, answer = chats.add_question(alice, chat.id, "one", None)
    with pytest.raises(ConflictError):
        chats.add_question(alice, chat.id, "two", answer.id)


def test_a_parent_from_another_chat_is_not_found(chats: Chats, people: People) -> None:
    alice = people["alice"]
    one, two = chats.create(alice, "m", []), chats.create(alice, "m", [])
    _question, answer = chats.add_question(alice, one.id, "one", None)
    chats.close_answer(answer.id, "eins", "done", {})
    with pytest.raises(NotFoundError):
        chats.add_question(alice, two.id, "two", answer.id)


def test_search_finds_titles_and_messages_literally(chats: Chats, people: People) -> None:
    alice = people["alice"]
    chat = chats.create(alice, "m", [])
    _question, answer = chats.add_question(alice, chat.id, "discount", None)
    chats.close_answer(answer.id, "It is 100% free", "done", {})
    assert [found.id for found in chats.list(alice, "100%")] == [chat.id]
    assert chats.list(alice, "1%0") == []
    assert chats.list(alice, "disc_unt") == []


def test_an_answer_that_ends_after_its_chat_was_deleted_is_dropped(chats: Chats, people: People) -> None:
    alice = people["alice"]
    chat = chats.create(alice, "m", [])
    _question, answer = chats.add_question(alice, chat.id, "one", None)
    chats.delete(alice, chat.id)
    assert chats.close_answer(answer.id, "eins", "done", {}) is None


def test_mallory_finds_nothing_of_alice(chats: Chats, people: People) -> None:
    alice, mallory = people["alice"], people["mallory"]
    chat = chats.create(alice, "m", [])
    question, answer = chats.add_question(alice, chat.id, "secret plans", None)
    assert chats.list(mallory, "secret") == []
    for attempt in (
        lambda: chats.get(mallory, chat.id),
        lambda: chats.messages(mallory, chat.id),
        lambda: chats.message(mallory, answer.id),
        lambda: chats.update(mallory, chat.id, title="x"),
        lambda: chats.delete(mallory, chat.id),
        lambda: chats.add_question(mallory, chat.id, "x", None),
        lambda: chats.add_answer(mallory, question),
        lambda: chats.reopen(mallory, answer),
    ):
        with pytest.raises(NotFoundError):
            attempt()
    assert chats.get(alice, chat.id).title == "secret plans"
