"""Chats over the API: asking, following, stopping, branching, two browsers, crashes."""

import json
import time
from typing import Any

import pytest

from tests.simulators.box import Person, TestBox, wait


def new_chat(person: Person, bases: list[str] | None = None) -> str:
    chat: dict[str, Any] = person.post("/chats", json={"base_ids": bases or []}).get_json()
    return str(chat["id"])


def ask(person: Person, chat: str, text: str, parent: str | None = None) -> dict[str, Any]:
    answer = person.post(f"/chats/{chat}/messages", json={"text": text, "parent_id": parent})
    assert answer.status_code == 201, answer.get_json()
    started: dict[str, Any] = answer.get_json()
    return started


def follow(person: Person, run_id: str, after: int = 0) -> list[tuple[int, str, dict[str, Any]]]:
    """All events of a run to its end."""
    stream = person.get(f"/runs/{run_id}/events?after={after}").get_data(as_text=True)
    events = []
    for block in stream.split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.split("\n") if ": " in line and not line.startswith(":"))
        if "event" in fields:
            events.append((int(fields["id"]), fields["event"], json.loads(fields["data"])))
    return events


def message(person: Person, chat: str, message_id: str) -> dict[str, Any]:
    messages = person.get(f"/chats/{chat}").get_json()["messages"]
    found: dict[str, Any] = next(item for item in messages if item["id"] == message_id)
    return found


def finished(person: Person, chat: str, started: dict[str, Any]) -> dict[str, Any]:
    look = lambda: message(person, chat, started["answer"]["id"])  # noqa: E731
    done: dict[str, Any] = wait(look, lambda seen: seen["state"] != "running")
    return done


def test_an_answer_is_streamed_in_numbered_events_and_stored(bob: Person) -> None:
    chat = new_chat(bob)
    started = ask(bob, chat, "[[words 5]] tell me")
    events = follow(bob, started["run_id"])
    assert [number for number, _kind, _data in events] == list(range(1, len(events) + 1))
    assert "".join(data["text"] for _n, kind, data in events if kind == "delta") == "word0 word1 word2 word3 word4"
    assert events[-1][1] == "done"
    stored = message(bob, chat, started["answer"]["id"])
    assert (stored["text"], stored["state"]) == ("word0 word1 word2 word3 word4", "done")
    assert stored["stats"]["tokens"] == 5
    assert stored["stats"]["ttft_ms"] >= 0


def test_a_reader_can_come_back_for_the_rest(bob: Person) -> None:
    chat = new_chat(bob)
    started = ask(bob, chat, "[[words 6]] go")
    whole = follow(bob, started["run_id"])
    assert follow(bob, started["run_id"], after=3) == whole[3:]


def test_an_answer_from_documents_cites_page_and_sentence(bob: Person, handbook: dict[str, str]) -> None:
    chat = new_chat(bob, [handbook["base"]])
    started = ask(bob, chat, "夜勤手当は1回につきいくらですか。")
    done = follow(bob, started["run_id"])[-1][2]["message"]
    assert done["verdict"] in ("answer", "perhaps")
    citation = done["citations"][0]
    assert (citation["document"], citation["page"]) == ("handbook.md", 1)
    page = bob.get(f"/documents/{citation['document_id']}/pages/{citation['page']}").get_json()
    assert page["text"][citation["start"] : citation["end"]] == citation["quote"]


def test_what_is_not_in_the_documents_is_said(bob: Person, handbook: dict[str, str]) -> None:
    chat = new_chat(bob, [handbook["base"]])
    started = ask(bob, chat, "Which volcano erupted on Iceland?")
    done = follow(bob, started["run_id"])[-1][2]["message"]
    assert (done["verdict"], done["mode"]) == ("none", "extractive")
    assert done["text"].startswith("Your documents don't say.")


def test_a_stop_keeps_what_was_written(bob: Person) -> None:
    chat = new_chat(bob)
    started = ask(bob, chat, "[[words 500]] [[delay 20]] on and on")
    wait(lambda: bob.get(f"/chats/{chat}").get_json()["messages"], lambda seen: len(seen) == 2)
    time.sleep(0.3)
    assert bob.post(f"/runs/{started['run_id']}/stop").status_code == 204
    stopped = finished(bob, chat, started)
    assert stopped["state"] == "stopped"
    assert stopped["stats"]["finish"] == "cancelled"
    assert stopped["text"].startswith("word0 word1")
    assert "word499" not in stopped["text"]


def test_a_child_that_dies_in_the_middle_leaves_its_words_and_the_next_answer_works(bob: Person, box: TestBox) -> None:
    chat = new_chat(bob)
    started = ask(bob, chat, "[[words 9]] [[die 3]] [[delay 30]] oh")
    failed = finished(bob, chat, started)
    assert (failed["state"], failed["error"]["code"]) == ("failed", "HK-MOD-003")
    assert failed["text"].startswith("word0")
    box.services.gateway.load("talker")  # else the deaths of several tests would add up to a quarantine
    again = ask(bob, chat, "[[words 2]] and now", started["answer"]["id"])
    assert finished(bob, chat, again)["text"] == "word0 word1"


def test_two_browsers_on_one_chat_do_not_lose_a_word(bob: Person) -> None:
    chat = new_chat(bob)
    started = ask(bob, chat, "[[words 100]] [[delay 20]] slowly")
    refused = bob.post(f"/chats/{chat}/messages", json={"text": "me too", "parent_id": started["answer"]["id"]})
    assert (refused.status_code, refused.get_json()["code"]) == (409, "HK-BOX-009")
    assert message(bob, chat, started["answer"]["id"])["run_id"] == started["run_id"]
    bob.post(f"/runs/{started['run_id']}/stop")
    finished(bob, chat, started)


def test_an_edited_question_and_a_new_answer_are_branches(bob: Person) -> None:
    chat = new_chat(bob)
    first = ask(bob, chat, "[[words 1]] a")
    finished(bob, chat, first)
    edited = ask(bob, chat, "[[words 1]] b")
    finished(bob, chat, edited)
    again = bob.post(f"/messages/{first['answer']['id']}/regenerate").get_json()
    finished(bob, chat, again)
    messages = bob.get(f"/chats/{chat}").get_json()["messages"]
    assert [item["parent_id"] for item in messages].count(None) == 2
    assert [item["parent_id"] for item in messages].count(first["question"]["id"]) == 2


def test_only_an_answer_that_was_cut_can_be_continued(bob: Person) -> None:
    chat = new_chat(bob)
    started = ask(bob, chat, "[[words 2]] short")
    finished(bob, chat, started)
    assert bob.post(f"/messages/{started['answer']['id']}/continue").status_code == 400


def test_a_question_that_is_too_long_for_the_model_says_so(bob: Person) -> None:
    chat = new_chat(bob)
    started = ask(bob, chat, "word " * 6000)
    failed = finished(bob, chat, started)
    assert failed["error"]["code"] == "HK-MOD-005"
    assert "4096" in failed["error"]["title"]


def test_nobody_can_fill_the_box_with_answers_in_the_making(bob: Person) -> None:
    chats = [new_chat(bob) for _ in range(5)]
    started = []
    for chat in chats:
        answer = bob.post(f"/chats/{chat}/messages", json={"text": "[[words 300]] [[delay 20]] x", "parent_id": None})
        started.append((answer.status_code, answer.get_json()))
    assert [status for status, _body in started] == [201, 201, 201, 201, 503]
    for chat, (_status, body) in zip(chats, started[:4], strict=False):
        bob.post(f"/runs/{body['run_id']}/stop")
        finished(bob, chat, body)


def test_chats_are_listed_searched_renamed_exported_and_deleted(bob: Person) -> None:
    chat = new_chat(bob)
    finished(bob, chat, ask(bob, chat, "[[say The kettle whistles.]] about kettles"))
    bob.patch(f"/chats/{chat}", json={"title": "Kettles 100%"})
    assert [item["id"] for item in bob.get("/chats?query=100%25").get_json()["items"]] == [chat]
    exported = bob.get(f"/chats/{chat}/export")
    assert "# Kettles 100%" in exported.get_data(as_text=True)
    assert "The kettle whistles." in exported.get_data(as_text=True)
    assert bob.delete(f"/chats/{chat}").status_code == 204
    assert bob.get(f"/chats/{chat}").status_code == 404


@pytest.mark.parametrize("text", ["", "  \n", "a\u0000b"])
def test_a_question_without_words_is_refused(bob: Person, text: str) -> None:
    answer = bob.post(f"/chats/{new_chat(bob)}/messages", json={"text": text})
    assert (answer.status_code, answer.get_json()["params"]["field"]) == (400, "text")


def test_an_unknown_model_is_refused(bob: Person) -> None:
    assert bob.post("/chats", json={"model": "../../etc/passwd"}).status_code == 404
    assert bob.post("/chats", json={"model": "embedder"}).get_json()["code"] == "HK-MOD-008"


PRESET = {"name": "Brief", "system": "Be brief.", "sampling": {"max_tokens": 3, "temperature": 0.1}}


def test_a_chat_follows_a_preset_and_says_what_is_in_force(bob: Person) -> None:
    preset = bob.post("/presets", json=PRESET).get_json()["id"]
    chat = bob.post("/chats", json={"preset_id": preset}).get_json()
    in_force = {"id": preset, **PRESET, "state": "same"}
    assert chat["preset"] == in_force
    answer = finished(bob, chat["id"], ask(bob, chat["id"], "[[words 9]] go"))
    assert (answer["text"], answer["stats"]["finish"]) == ("word0 word1 word2", "length")
    assert "> Be brief." in bob.get(f"/chats/{chat['id']}/export").get_data(as_text=True)
    assert bob.patch(f"/chats/{chat['id']}", json={"title": "Mine"}).get_json()["preset"] == in_force
    assert bob.patch(f"/chats/{chat['id']}", json={"preset_id": None}).get_json()["preset"] is None
    free = finished(bob, chat["id"], ask(bob, chat["id"], "[[words 9]] go"))
    assert free["stats"]["tokens"] == 9
    bob.delete(f"/presets/{preset}")


def test_a_preset_that_is_changed_or_deleted_later_leaves_the_chat_as_it_was(bob: Person) -> None:
    preset = bob.post("/presets", json=PRESET).get_json()["id"]
    chat = new_chat(bob)
    bob.patch(f"/chats/{chat}", json={"preset_id": preset})
    bob.patch(f"/presets/{preset}", json={"system": "Be long.", "sampling": {}})
    assert bob.get(f"/chats/{chat}").get_json()["preset"] == {"id": preset, **PRESET, "state": "changed"}
    bob.delete(f"/presets/{preset}")
    assert bob.get(f"/chats/{chat}").get_json()["preset"] == {"id": preset, **PRESET, "state": "gone"}
    assert finished(bob, chat, ask(bob, chat, "[[words 9]] go"))["text"] == "word0 word1 word2"


def test_a_preset_of_somebody_else_is_not_there_but_a_shared_one(alice: Person, bob: Person, mallory: Person) -> None:
    own = bob.post("/presets", json=PRESET).get_json()["id"]
    assert mallory.post("/chats", json={"preset_id": own}).status_code == 404
    chat = mallory.post("/chats", json={}).get_json()["id"]
    assert mallory.patch(f"/chats/{chat}", json={"title": "x", "preset_id": own}).status_code == 404
    seen = mallory.get(f"/chats/{chat}").get_json()
    assert (seen["preset"], seen["title"]) == (None, "")
    shared = alice.post("/presets", json={**PRESET, "shared": True}).get_json()["id"]
    assert mallory.patch(f"/chats/{chat}", json={"preset_id": shared}).get_json()["preset"]["name"] == "Brief"
    alice.patch(f"/presets/{shared}", json={"shared": False})  # it is Alice's own now
    assert mallory.get(f"/chats/{chat}").get_json()["preset"]["state"] == "gone"
    for person, preset in ((bob, own), (alice, shared)):
        person.delete(f"/presets/{preset}")
