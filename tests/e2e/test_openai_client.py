"""The unmodified `openai` client against a served box with the real starter models."""

from typing import Any, Literal

import numpy as np
import openai
import pytest
from pydantic import BaseModel, ConfigDict

from tests.simulators.served import ServedBox

CHAT = "smollm2-135m-instruct"
EMBEDDING = "multilingual-e5-small"
pytestmark = [pytest.mark.models, pytest.mark.timeout(400)]


@pytest.fixture(scope="module")
def client(served: ServedBox, api_key: str) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{served.url}/v1", api_key=api_key, max_retries=0, timeout=120)


def test_the_models_are_listed(client: openai.OpenAI) -> None:
    ids = {model.id for model in client.models.list()}
    assert {CHAT, EMBEDDING} <= ids
    assert any(model.startswith("kb:") for model in ids)
    assert client.models.retrieve(CHAT).id == CHAT


def test_a_chat_answers_whole_and_streamed_alike(client: openai.OpenAI) -> None:
    messages = [{"role": "user", "content": "What is the capital of Japan? Answer in one word."}]
    options = {"model": CHAT, "messages": messages, "temperature": 0, "max_tokens": 24, "seed": 1}
    whole = client.chat.completions.create(**options)
    assert "Tokyo" in whole.choices[0].message.content
    assert whole.usage.completion_tokens > 0
    pieces = client.chat.completions.create(**options, stream=True, stream_options={"include_usage": True})
    text, usage = "", None
    for chunk in pieces:
        text += "".join(choice.delta.content or "" for choice in chunk.choices)
        usage = chunk.usage or usage
    assert text == whole.choices[0].message.content
    assert usage.completion_tokens == whole.usage.completion_tokens


def test_a_schema_is_kept(client: openai.OpenAI) -> None:
    schema = {
        "type": "object",
        "properties": {"city": {"type": "string", "enum": ["Tokyo", "Osaka"]}},
        "required": ["city"],
        "additionalProperties": False,
    }
    answer = client.chat.completions.create(
        model=CHAT,
        messages=[{"role": "user", "content": "The capital of Japan as JSON"}],
        response_format={"type": "json_schema", "json_schema": {"name": "city", "schema": schema, "strict": True}},
        max_tokens=40,
    )
    assert answer.choices[0].message.content.replace(" ", "").replace("\n", "") in (
        '{"city":"Tokyo"}',
        '{"city":"Osaka"}',
    )


class Weather(BaseModel):
    """The weather in a city."""

    model_config = ConfigDict(extra="forbid")

    city: Literal["Tokyo", "Osaka"]
    days: Literal[1, 2, 3]


class Clock(BaseModel):
    """The time in a city."""

    model_config = ConfigDict(extra="forbid")

    city: str


@pytest.mark.parametrize("wish", ["required", {"type": "function", "function": {"name": "Weather"}}])
def test_a_demanded_call_comes_whole_and_streamed_alike(client: openai.OpenAI, wish: Any) -> None:
    tools = [openai.pydantic_function_tool(tool) for tool in (Weather, Clock)]
    tools = tools if isinstance(wish, dict) else tools[:1]
    question = [{"role": "user", "content": "How is the weather in Osaka?"}]
    asked = {"model": CHAT, "messages": question, "tools": tools, "tool_choice": wish, "temperature": 0}
    (choice,) = client.chat.completions.parse(**asked).choices
    (call,) = choice.message.tool_calls
    assert (choice.finish_reason, call.function.name, choice.message.content) == ("tool_calls", "Weather", None)
    assert isinstance(call.function.parsed_arguments, Weather)
    with client.chat.completions.stream(**asked) as stream:
        told = [event for event in stream if event.type == "tool_calls.function.arguments.delta"]
        final = stream.get_final_completion().choices[0]
    assert len(told) > 1
    assert final.finish_reason == "tool_calls"
    assert final.message.tool_calls[0].function.arguments == call.function.arguments
    with pytest.raises(openai.BadRequestError) as refused:
        client.chat.completions.create(**asked | {"tool_choice": {"type": "function", "function": {"name": "Rain"}}})
    assert refused.value.param == "tool_choice"


def test_a_demanded_call_is_a_responses_only_item(client: openai.OpenAI) -> None:
    tools = [openai.pydantic_function_tool(tool)["function"] | {"type": "function"} for tool in (Clock, Weather)]
    wish = {"type": "function", "name": "Weather"}
    answer = client.responses.create(model=CHAT, input="Is it warm?", tools=tools, tool_choice=wish)
    (item,) = answer.output
    assert (answer.status, item.type, item.name) == ("completed", "function_call", "Weather")
    assert Weather.model_validate_json(item.arguments)


def test_log_probabilities_come_back(client: openai.OpenAI) -> None:
    answer = client.chat.completions.create(
        model=CHAT, messages=[{"role": "user", "content": "Say hi"}], max_tokens=4, logprobs=True, top_logprobs=2
    )
    assert all(len(token.top_logprobs) == 2 for token in answer.choices[0].logprobs.content)


def test_bare_texts_go_on_each_with_its_own_likelihoods(client: openai.OpenAI) -> None:
    prompts = ["The capital of Japan is", "日本の首都は"]
    options = {"model": CHAT, "temperature": 0, "max_tokens": 8, "seed": 1}
    answer = client.completions.create(prompt=prompts, logprobs=2, **options)
    assert [choice.index for choice in answer.choices] == [0, 1]
    for prompt, choice in zip(prompts, answer.choices, strict=True):
        told = choice.logprobs
        assert len(told.tokens) == len(told.token_logprobs) == len(told.text_offset) == len(told.top_logprobs) > 1
        assert all(number <= 0 for number in told.token_logprobs)
        assert all(1 <= len(tops) <= 2 for tops in told.top_logprobs)  # halves of a character look alike
        assert told.text_offset == sorted(told.text_offset)
        assert told.text_offset[-1] < len(choice.text)
        echoed = client.completions.create(prompt=prompt, echo=True, **options)
        assert echoed.choices[0].text == prompt + choice.text
    assert client.completions.create(prompt="x", logprobs=0, **options).choices[0].logprobs.top_logprobs is None
    with pytest.raises(openai.BadRequestError, match="echo"):
        client.completions.create(prompt="x", logprobs=1, echo=True, **options)


def test_numbers_of_tokens_go_on_and_biases_count(client: openai.OpenAI) -> None:
    options = {"model": CHAT, "temperature": 0, "max_tokens": 4}
    answer = client.completions.create(prompt=[[504, 3575], [504]], **options)  # "The capital", "The"
    assert [bool(choice.text) for choice in answer.choices] == [True, True]
    assert answer.usage.completion_tokens <= 8
    biased = client.completions.create(prompt="The capital of Japan is", logit_bias={"504": 100}, **options)
    assert biased.choices[0].text == "The" * 4
    with pytest.raises(openai.BadRequestError, match="prompt"):
        client.completions.create(prompt=[2**30], **options)


def test_near_meanings_have_near_vectors_across_languages(client: openai.OpenAI) -> None:
    texts = [
        "query: 日本の首都は",
        "passage: Tokyo is the capital of Japan.",
        "passage: Curry is cooked for two hours.",
    ]
    question, near, far = (
        np.array(item.embedding) for item in client.embeddings.create(model=EMBEDDING, input=texts).data
    )
    assert question @ near > question @ far + 0.05


def test_a_base_is_asked_as_a_model(client: openai.OpenAI) -> None:
    base = next(model.id for model in client.models.list() if model.id.startswith("kb:"))
    answer = client.chat.completions.create(
        model=base, messages=[{"role": "user", "content": "回復キーは、いつ必要ですか。"}]
    )
    citation = answer.model_extra["citations"][0]
    assert citation["document"] == "security.ja.md"
    assert "回復キーは" in citation["quote"]
    assert citation["page"] >= 1


class City(BaseModel):
    """What a parsed response is asked for."""

    model_config = ConfigDict(extra="forbid")

    city: Literal["Tokyo", "Osaka"]


def test_a_response_is_the_same_whole_streamed_and_retrieved(client: openai.OpenAI) -> None:
    asked = {"model": CHAT, "input": "What is the capital of Japan? Answer in one word.", "temperature": 0}
    whole = client.responses.create(**asked, max_output_tokens=24)
    assert "Tokyo" in whole.output_text
    assert whole.usage.output_tokens_details.reasoning_tokens == 0
    with client.responses.stream(**asked, max_output_tokens=24) as stream:
        pieces = "".join(event.delta for event in stream if event.type == "response.output_text.delta")
    assert pieces == whole.output_text
    kept = client.responses.retrieve(whole.id)
    assert (kept.output_text, kept.usage) == (whole.output_text, whole.usage)
    assert client.responses.input_items.list(whole.id).data[0].content[0].text == asked["input"]
    client.responses.delete(whole.id)
    with pytest.raises(openai.NotFoundError):
        client.responses.retrieve(whole.id)


def test_a_stream_that_is_run_to_its_end_gives_the_final_response(client: openai.OpenAI) -> None:
    with client.responses.stream(model=CHAT, input="The capital of Japan as JSON", text_format=City) as stream:
        final = stream.get_final_response()
    assert final.status == "completed"
    assert final.output_parsed.city in ("Tokyo", "Osaka")


def test_a_parsed_response_keeps_to_its_schema(client: openai.OpenAI) -> None:
    parsed = client.responses.parse(model=CHAT, input="The capital of Japan as JSON", text_format=City)
    assert isinstance(parsed.output_parsed, City)


def test_a_response_goes_on_from_the_one_before(client: openai.OpenAI) -> None:
    first = client.responses.create(model=CHAT, input="My name is Alice.", max_output_tokens=8)
    second = client.responses.create(
        model=CHAT, input="What is my name?", max_output_tokens=8, previous_response_id=first.id
    )
    assert second.previous_response_id == first.id
    assert second.usage.input_tokens > first.usage.input_tokens + 8


def test_a_base_is_asked_by_a_response(client: openai.OpenAI) -> None:
    base = next(model.id for model in client.models.list() if model.id.startswith("kb:"))
    answer = client.responses.create(model=base, input="回復キーは、いつ必要ですか。")
    assert answer.model_extra["citations"][0]["document"] == "security.ja.md"
    (annotation, *_) = answer.output[0].content[0].annotations
    assert (annotation.type, annotation.filename) == ("file_citation", "security.ja.md")


@pytest.mark.parametrize(
    ("model", "error"),
    [("gpt-9", openai.NotFoundError), (EMBEDDING, openai.BadRequestError)],
)
def test_refusals_are_the_clients_own_errors(client: openai.OpenAI, model: str, error: type[Exception]) -> None:
    with pytest.raises(error):
        client.chat.completions.create(model=model, messages=[{"role": "user", "content": "x"}])


def test_a_wrong_key_is_an_authentication_error(served: ServedBox) -> None:
    with pytest.raises(openai.AuthenticationError):
        openai.OpenAI(base_url=f"{served.url}/v1", api_key="hako_no", max_retries=0).models.list()


def test_too_long_a_prompt_has_the_code_that_frameworks_look_for(client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as refused:
        client.chat.completions.create(model=CHAT, messages=[{"role": "user", "content": "word " * 9000}])
    assert refused.value.code == "context_length_exceeded"
