"""`/v1/completions`: a bare text goes on, whole and streamed; what the box doesn't do is refused by name."""

import json
from typing import Any

import pytest

from tests.simulators.box import Person, TestBox


def complete(person: Person, **body: Any) -> Any:
    return person.post("//v1/completions", json={"model": "talker", "prompt": "[[words 4]] once"} | body)


def chunks(answer: Any) -> list[dict[str, Any]]:
    parts = answer.get_data(as_text=True).strip().split("\n\n")
    assert parts[-1] == "data: [DONE]"
    return [json.loads(part.removeprefix("data: ")) for part in parts[:-1]]


def test_a_whole_completion_has_the_shape(bob: Person) -> None:
    answer = complete(bob).get_json()
    assert answer["object"] == "text_completion"
    assert answer["id"].startswith("cmpl")
    assert answer["choices"] == [
        {"index": 0, "text": "word0 word1 word2 word3", "logprobs": None, "finish_reason": "stop"}
    ]
    assert answer["usage"]["completion_tokens"] == 4
    assert answer["usage"]["total_tokens"] == answer["usage"]["prompt_tokens"] + 4


def test_a_list_of_one_prompt_is_a_prompt(bob: Person) -> None:
    assert complete(bob, prompt=["[[words 2]]"]).get_json()["choices"][0]["text"] == "word0 word1"


def test_it_writes_sixteen_tokens_unless_told_otherwise(bob: Person) -> None:
    prompt = "[[words 30]]"
    for wish, tokens in ((None, 16), (20, 20), (0, 1)):
        answer = complete(bob, prompt=prompt, max_tokens=wish).get_json()
        assert (answer["choices"][0]["finish_reason"], answer["usage"]["completion_tokens"]) == ("length", tokens)


def test_a_stream_has_one_id_and_counts_only_where_asked_for(bob: Person) -> None:
    plain = chunks(complete(bob, stream=True))
    counted = chunks(complete(bob, stream=True, stream_options={"include_usage": True}))
    for found in (plain, counted):
        assert len({(chunk["id"], chunk["created"], chunk["model"], chunk["object"]) for chunk in found}) == 1
        said = [choice for chunk in found for choice in chunk["choices"]]
        assert "".join(choice["text"] for choice in said) == "word0 word1 word2 word3"
        assert [choice["finish_reason"] for choice in said if choice["finish_reason"]] == ["stop"]
    assert all("usage" not in chunk for chunk in plain)
    assert counted[-1]["usage"]["completion_tokens"] == 4
    assert counted[-1]["choices"] == []


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"prompt": ["a", "b"]}, "prompt"),
        ({"prompt": [1, 2, 3]}, "prompt"),
        ({"prompt": [[1, 2]]}, "prompt"),
        ({"prompt": ""}, "prompt"),
        ({"prompt": None}, "prompt"),
        ({"echo": True}, "echo"),
        ({"logprobs": 0}, "logprobs"),
        ({"suffix": "the end"}, "suffix"),
        ({"best_of": 2}, "best_of"),
        ({"n": 2}, "n"),
        ({"max_tokens": -5}, "max_tokens"),
        ({"model": "kb:anything"}, "model"),
    ],
)  # fmt: skip
def test_what_it_does_not_do_is_refused_by_name(bob: Person, body: dict[str, Any], field: str) -> None:
    answer = complete(bob, **body)
    error = answer.get_json()["error"]
    assert (answer.status_code, error["type"]) == (400, "invalid_request_error")
    assert error["param"].split(".")[0] == field


def test_what_asks_for_nothing_is_no_reason_to_refuse(bob: Person) -> None:
    more = {"echo": False, "suffix": "", "best_of": 0, "n": 1, "user": "u", "logit_bias": {"50256": -100}}
    assert complete(bob, **more, seed=-9007199254740991, stop=None).status_code == 200


def test_an_embedding_model_an_unknown_one_and_too_long_a_prompt(bob: Person) -> None:
    assert complete(bob, model="embedder").get_json()["error"]["hako_code"] == "HK-MOD-008"
    assert complete(bob, model="gpt-9").get_json()["error"]["code"] == "model_not_found"
    assert complete(bob, prompt="word " * 6000).get_json()["error"]["code"] == "context_length_exceeded"


def test_a_child_that_dies_in_a_stream_becomes_an_error_event(bob: Person, box: TestBox) -> None:
    prompt = "[[words 9]] [[die 3]] [[delay 30]] oh"
    last = complete(bob, prompt=prompt, stream=True).get_data(as_text=True).strip().split("\n\n")[-1]
    assert json.loads(last.removeprefix("data: "))["error"]["hako_code"] == "HK-MOD-003"
    box.services.gateway.load("talker")  # else the deaths of several tests would add up to a quarantine
    assert complete(bob).status_code == 200
