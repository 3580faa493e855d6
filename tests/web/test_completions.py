"""`/v1/completions`: a bare text goes on, whole and streamed; what the box doesn't do is refused by name."""

import json
from typing import Any

import pytest

from appliance.errors import BadInputError
from tests.simulators.box import Person, TestBox
from webui.dialects.completions_request import CompletionBody
from webui.dialects.openai_completions import Completion


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
        ({"prompt": []}, "prompt"),
        ({"prompt": ["a", ""]}, "prompt"),
        ({"prompt": ["a", 1]}, "prompt"),
        ({"prompt": ["a"] * 65}, "prompt"),
        ({"prompt": [1, -1]}, "prompt"),
        ({"prompt": [1, 2, 3]}, "prompt"),
        ({"prompt": [[1, 2]]}, "prompt"),
        ({"prompt": ""}, "prompt"),
        ({"prompt": None}, "prompt"),
        ({"logprobs": 0}, "logprobs"),
        ({"logprobs": 6}, "logprobs"),
        ({"suffix": "the end"}, "suffix"),
        ({"best_of": 2}, "best_of"),
        ({"best_of": 2, "n": 3}, "best_of"),
        ({"n": 0}, "n"),
        ({"n": 33, "prompt": ["a", "b"]}, "n"),
        ({"stop": ["x"] * 17}, "stop"),
        ({"logit_bias": {"5": 101}}, "logit_bias"),
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


def test_each_prompt_of_a_list_has_its_own_choices(bob: Person) -> None:
    answer = complete(bob, prompt=["[[words 2]]", "[[say one more]]"], n=2, best_of=2, seed=7).get_json()
    assert [choice["index"] for choice in answer["choices"]] == [0, 1, 2, 3]
    assert [choice["text"] for choice in answer["choices"]] == ["word0 word1"] * 2 + ["one more"] * 2
    assert {choice["finish_reason"] for choice in answer["choices"]} == {"stop"}
    single = complete(bob, prompt="[[words 2]]").get_json()["usage"]
    assert answer["usage"]["completion_tokens"] == 8
    assert answer["usage"]["prompt_tokens"] > 2 * single["prompt_tokens"]


def test_a_stream_of_several_prompts_numbers_its_chunks(bob: Person) -> None:
    wish = {"prompt": ["[[words 2]]", "[[words 3]]"], "stream": True, "stream_options": {"include_usage": True}}
    *found, last = chunks(complete(bob, **wish))
    said = [choice for chunk in found for choice in chunk["choices"]]
    for index, text in enumerate(("word0 word1", "word0 word1 word2")):
        own = [choice for choice in said if choice["index"] == index]
        assert "".join(choice["text"] for choice in own) == text
        assert [choice["finish_reason"] for choice in own if choice["finish_reason"]] == ["stop"]
    assert last["usage"]["completion_tokens"] == 5


def test_an_echo_puts_the_prompt_in_front(bob: Person) -> None:
    prompts = ["[[words 2]] a", "[[words 2]] b"]
    texts = [f"{prompt}word0 word1" for prompt in prompts]
    whole = complete(bob, prompt=prompts, echo=True).get_json()
    assert [choice["text"] for choice in whole["choices"]] == texts
    said = [
        choice for chunk in chunks(complete(bob, prompt=prompts, echo=True, stream=True)) for choice in chunk["choices"]
    ]
    assert ["".join(choice["text"] for choice in said if choice["index"] == index) for index in (0, 1)] == texts


def test_each_choice_of_one_prompt_has_a_seed_of_its_own() -> None:
    asked = CompletionBody(model="m", prompt="x", n=3, seed=5, logit_bias={"7": 2, "word": 1}, logprobs=0).as_engine()
    assert [body["seed"] for body in asked] == [5, 6, 7]
    assert asked[0]["logit_bias"] == [[7, 2.0]]
    assert (asked[0]["logprobs"], asked[0]["n_probs"]) == (0, 1)


@pytest.mark.parametrize("prompt", [[1, 2], [[1, 2], [3]]])
def test_numbers_of_tokens_go_to_engines_that_know_them(prompt: Any) -> None:
    body = CompletionBody(model="m", prompt=prompt)
    body.check("llama")
    assert [asked["prompt"] for asked in body.as_engine()] == (prompt if isinstance(prompt[0], list) else [prompt])
    for wish in ({"echo": True}, {"echo": True, "logprobs": 1, "prompt": "x"}):
        with pytest.raises(BadInputError) as refused:
            CompletionBody.model_validate({"model": "m", "prompt": prompt, **wish}).check("llama")
        assert refused.value.params["field"] == "echo"


def told(text: str, entries: list[tuple[str, bytes]], finish: str | None = None) -> dict[str, Any]:
    """A chunk of llama.cpp's server, which tells likelihoods as chats do."""
    content = [
        {
            "token": token,
            "bytes": list(spelled),
            "logprob": -0.5,
            "top_logprobs": [{"token": token, "logprob": -0.5}, {"token": "?", "logprob": -2.0}],
        }
        for token, spelled in entries
    ]
    choice = {"index": 0, "text": text, "logprobs": {"content": content} if content else None, "finish_reason": finish}
    return {"choices": [choice]}


def test_how_likely_tokens_were_is_told_in_the_older_form() -> None:
    given = [
        told("a", [("a", b"a")]),
        told("\u591c", [("\ufffd", b"\xe5\xa4"), ("\ufffd", b"\x9c")]),
        told("b", [("b", b"b")]),
        told("", [], "length"),
    ]
    completion = Completion(CompletionBody(model="m", prompt="x", logprobs=1))
    told_first, *_others = completion.chunks(given)
    assert told_first["choices"][0]["logprobs"] == {
        "tokens": ["a"],
        "token_logprobs": [-0.5],
        "top_logprobs": [{"a": -0.5}],
        "text_offset": [0],
    }
    whole = completion.whole(())["choices"][0]
    assert (whole["text"], whole["finish_reason"]) == ("a\u591cb", "length")
    assert whole["logprobs"]["text_offset"] == [0, 1, 2, 2]
    assert whole["logprobs"]["tokens"] == ["a", "\ufffd", "\ufffd", "b"]
    bare = Completion(CompletionBody(model="m", prompt="x", logprobs=0))
    told_none = bare.whole(bare.chunks(given))["choices"][0]["logprobs"]
    assert (told_none["top_logprobs"], len(told_none["token_logprobs"])) == (None, 4)


def test_a_server_elsewhere_may_tell_the_older_form_itself() -> None:
    older = {"tokens": ["a"], "token_logprobs": [-1.0], "top_logprobs": None, "text_offset": [0]}
    completion = Completion(CompletionBody(model="m", prompt="x", logprobs=0))
    chunk = {"choices": [{"index": 0, "text": "a", "logprobs": older, "finish_reason": "stop"}]}
    assert completion.whole(completion.chunks([chunk]))["choices"][0]["logprobs"] == older


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
