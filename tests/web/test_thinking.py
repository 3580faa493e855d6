"""Models that think before they answer: how each dialect asks for it or against it, and where the thoughts come."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from appliance.inference.load_settings import LoadSettings
from tests.simulators.box import Person, TestBox
from webui.dialects import anthropic_request, lmstudio_request, ollama_request, openai_request, responses_request

Json = dict[str, Any]
Wish = dict[str, Any]
ASKED = "[[reason hm so]] hi"
MESSAGES = [{"role": "user", "content": ASKED}]
NO = {"enable_thinking": False, "thinking": False}
YES = {"enable_thinking": True, "thinking": True}
BUDGETS = {anthropic_request.PromptBody: 50, anthropic_request.MessagesBody: 50}
OPENAI, RESPONSES, ANTHROPIC = "/v1/chat/completions", "/v1/responses", "/v1/messages"
OLLAMA, GENERATE, LMSTUDIO = "/api/chat", "/api/generate", "/api/v1/chat"
SMALLEST: dict[str, Json] = {
    OPENAI: {"messages": MESSAGES},
    RESPONSES: {"input": ASKED, "store": False},
    ANTHROPIC: {"messages": MESSAGES, "max_tokens": 20},
    OLLAMA: {"messages": MESSAGES, "stream": False},
    GENERATE: {"prompt": ASKED, "stream": False},
    LMSTUDIO: {"input": ASKED, "store": False},
}
ANSWER: dict[str, Callable[[Json], tuple[str, str]]] = {
    OPENAI: lambda said: _of_message(said["choices"][0]["message"], "reasoning_content", "content"),
    RESPONSES: lambda said: _of_parts(
        [(item["type"], item["content"][0]["text"]) for item in said["output"]], "reasoning", "message"
    ),
    ANTHROPIC: lambda said: _of_parts(
        [(block["type"], block[block["type"]]) for block in said["content"]], "thinking", "text"
    ),
    OLLAMA: lambda said: _of_message(said["message"], "thinking", "content"),
    GENERATE: lambda said: _of_message(said, "thinking", "response"),
    LMSTUDIO: lambda said: _of_parts(
        [(part["type"], part["content"]) for part in said["output"]], "reasoning", "message"
    ),
}
"""Thoughts and text of a whole answer."""
OFF: list[tuple[str, Wish]] = [
    (OPENAI, {"reasoning_effort": "none"}),
    (OPENAI, {"reasoning_effort": "minimal"}),
    (OPENAI, {"chat_template_kwargs": {"enable_thinking": False}}),
    (OPENAI, {"reasoning_effort": "high", "chat_template_kwargs": {"enable_thinking": False}}),
    (RESPONSES, {"reasoning": {"effort": "none"}}),
    (ANTHROPIC, {"thinking": {"type": "disabled"}}),
    (OLLAMA, {"think": False}),
    (GENERATE, {"think": False}),
    (LMSTUDIO, {"reasoning": "off"}),
]
ON: list[tuple[str, Wish]] = [
    *((path, {}) for path in SMALLEST),
    (OPENAI, {"reasoning_effort": None, "chat_template_kwargs": None}),
    (OPENAI, {"reasoning_effort": "low"}),
    (RESPONSES, {"reasoning": {"effort": "medium", "summary": "auto"}}),
    (RESPONSES, {"reasoning": {"summary": "auto"}}),
    (ANTHROPIC, {"thinking": {"type": "enabled", "budget_tokens": 1024}}),
    (ANTHROPIC, {"thinking": {"type": "adaptive"}}),
    (OLLAMA, {"think": True}),
    (OLLAMA, {"think": "high"}),
    (GENERATE, {"think": True}),
    (LMSTUDIO, {"reasoning": "on"}),
    (LMSTUDIO, {"reasoning": "high"}),
]


def _of_message(message: Json, thoughts: str, text: str) -> tuple[str, str]:
    return message.get(thoughts, ""), message[text]


def _of_parts(parts: list[tuple[str, str]], thoughts: str, text: str) -> tuple[str, str]:
    assert [kind for kind, _ in parts] in ([thoughts, text], [text])
    return dict(parts).get(thoughts, ""), dict(parts)[text]


def ask(person: Person, path: str, wish: Wish) -> Any:
    at = person.at("lmstudio") if path == LMSTUDIO else person
    return at.post(f"/{path}", json={"model": "talker", **SMALLEST[path], **wish})


@pytest.fixture
def thinker(box: TestBox) -> Iterator[str]:
    """The box's model as one that thinks, which an operator's template tells as the model's own does."""
    settings = box.services.gateway.load_settings
    settings.put("talker", LoadSettings(template="<think>{{ messages[-1].content }}"))
    yield "talker"
    settings.forget("talker")


@pytest.mark.parametrize(("path", "wish"), ON, ids=str)
def test_thoughts_stand_apart_from_the_answer(bob: Person, thinker: str, path: str, wish: Wish) -> None:
    assert thinker == "talker"
    answer = ask(bob, path, wish)
    assert answer.status_code == 200, answer.get_data(as_text=True)
    assert ANSWER[path](answer.get_json()) == ("hm so", "hi")


@pytest.mark.parametrize(("path", "wish"), OFF, ids=str)
def test_a_model_can_be_told_not_to_think(bob: Person, path: str, wish: Wish) -> None:
    assert ANSWER[path](ask(bob, path, wish).get_json()) == ("", "hi")


@pytest.mark.parametrize(
    ("path", "wish", "field"),
    [
        (OPENAI, {"reasoning_effort": "a lot"}, "reasoning_effort"),
        (OPENAI, {"chat_template_kwargs": {"messages": []}}, "chat_template_kwargs.messages"),
        (OPENAI, {"chat_template_kwargs": {"enable_thinking": {"a": 1}}}, "chat_template_kwargs.enable_thinking"),
        (OPENAI, {"chat_template_kwargs": {"reasoning_effort": "x" * 9}}, "chat_template_kwargs.reasoning_effort"),
        (RESPONSES, {"reasoning": {"effort": "a lot"}}, "reasoning.effort"),
        (ANTHROPIC, {"thinking": {"type": "perhaps"}}, "thinking.type"),
        (ANTHROPIC, {"thinking": {}}, "thinking.type"),
        (ANTHROPIC, {"thinking": {"type": "enabled", "budget_tokens": 0}}, "thinking.budget_tokens"),
        (OLLAMA, {"think": "a lot"}, "think"),
        (LMSTUDIO, {"reasoning": "a lot"}, "reasoning"),
    ],
)
def test_a_wish_that_no_dialect_knows_is_refused_by_name(bob: Person, path: str, wish: Wish, field: str) -> None:
    answer = ask(bob, path, wish)
    assert (answer.status_code, field in answer.get_data(as_text=True)) == (400, True), answer.get_json()


def test_templates_are_told_of_the_wish_and_of_nothing_else() -> None:
    def kwargs(body: Any, *more: Any) -> Any:
        asked = body.as_engine(*more)
        told = asked.get("chat_template_kwargs")
        switched_off = (told or {}).get("enable_thinking") is False
        assert asked.get("thinking_budget_tokens") == (1 if switched_off else BUDGETS.get(type(body)))
        return told

    def openai(**wish: Any) -> Any:
        return kwargs(openai_request.ChatBody.model_validate({"model": "m", "messages": MESSAGES, **wish}))

    assert openai() is None
    assert openai(reasoning_effort="none") == NO
    assert openai(reasoning_effort="low") == {**YES, "reasoning_effort": "low"}
    assert openai(reasoning_effort="xhigh") == {**YES, "reasoning_effort": "high"}
    assert openai(reasoning_effort="none", chat_template_kwargs={"thinking": True}) == {**NO, "thinking": True}
    assert openai(reasoning_effort="none", chat_template_kwargs=YES) == YES
    own = {"enable_thinking": True, "reasoning_effort": "medium"}
    assert openai(chat_template_kwargs={**own, "thinking": None}) == own
    spoken = {"model": "m", "messages": MESSAGES, "thinking": {"type": "enabled", "budget_tokens": 50}}
    for shape, more in ((anthropic_request.PromptBody, {}), (anthropic_request.MessagesBody, {"max_tokens": 5})):
        assert kwargs(shape.model_validate({**spoken, **more})) == YES  # what is counted is what is asked
    chat = {"model": "m", "messages": MESSAGES, "think": "high"}
    assert kwargs(ollama_request.ChatBody.model_validate(chat)) == {**YES, "reasoning_effort": "high"}
    lmstudio = lmstudio_request.ChatBody.model_validate({"model": "m", "input": "hi", "reasoning": "on"})
    assert kwargs(lmstudio, MESSAGES) == YES
    asked = {"model": "m", "input": "hi", "reasoning": {"effort": "minimal"}}
    responses = responses_request.ResponsesBody.model_validate(asked)
    assert kwargs(responses, responses.items()) == NO
    assert responses.echo()["reasoning"] == {"effort": "minimal", "summary": None}


@pytest.mark.parametrize("path", [OLLAMA, GENERATE])
@pytest.mark.parametrize("wish", [True, "low"])
def test_ollama_refuses_thoughts_of_a_model_that_has_none(bob: Person, path: str, wish: Any) -> None:
    answer = ask(bob, path, {"think": wish})
    assert (answer.status_code, answer.get_json()["hako_code"]) == (400, "HK-MOD-041")
    assert "does not support thinking" in answer.get_json()["error"]


def test_lists_say_which_model_thinks(bob: Person, thinker: str, box: TestBox) -> None:
    def told() -> tuple[bool, bool, Any]:
        shown = bob.post("//api/show", json={"model": thinker}).get_json()["capabilities"]
        listed = bob.at("lmstudio").get("//api/v1/models").get_json()["models"]
        (entry,) = [model for model in listed if model["key"] == thinker]
        (own,) = [model for model in bob.get("/models").get_json()["items"] if model["id"] == thinker]
        return "thinking" in shown, own["thinking"], entry["capabilities"].get("reasoning")

    assert told() == (True, True, {"allowed_options": ["off", "on"], "default": "on"})
    box.services.gateway.load_settings.forget(thinker)
    assert told() == (False, False, None)


def test_a_chat_tells_thoughts_while_it_is_written_and_keeps_none(bob: Person) -> None:
    chat = bob.post("/chats", json={"model": "talker", "base_ids": []}).get_json()
    started = bob.post(f"/chats/{chat['id']}/messages", json={"text": ASKED, "parent_id": None}).get_json()
    text = bob.get(f"/runs/{started['run_id']}/events").get_data(as_text=True)
    found = [
        (kind.removeprefix("event: "), json.loads(data.removeprefix("data: ")))
        for kind, data in (block.split("\n")[-2:] for block in text.split("\n\n") if "event: " in block)
    ]
    kinds = [kind for kind, _ in found]
    assert kinds.index("thinking") < kinds.index("delta")
    assert "".join(data["text"] for kind, data in found if kind == "thinking") == "hm so"
    assert "".join(data["text"] for kind, data in found if kind == "delta") == "hi"
    assert {"stage": "thinking"} in [data for kind, data in found if kind == "stage"]
    answer = bob.get(f"/chats/{chat['id']}").get_json()["messages"][-1]
    assert (answer["text"], answer["stats"]["tokens"], answer["stats"]["thought_tokens"]) == ("hi", 1, 2)
    assert "hm" not in json.dumps(answer)
