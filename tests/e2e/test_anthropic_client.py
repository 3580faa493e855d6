"""The unmodified `anthropic` client, and openai's older completions, against a served box with the starter models."""

import anthropic
import openai
import pytest
from pydantic import BaseModel

from tests.simulators.served import ServedBox

CHAT = "smollm2-135m-instruct"
EMBEDDING = "multilingual-e5-small"
QUESTION = [{"role": "user", "content": "What is the capital of Japan? Answer in one word."}]
TOOL = {
    "name": "get_weather",
    "description": "The weather in a city",
    "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}
SURE = {"extra_body": {"temperature": 0}}
"""The same words each time; this client has no name for it any more."""
pytestmark = [pytest.mark.models, pytest.mark.timeout(400)]


class City(BaseModel):
    """What a structured answer is parsed into."""

    city: str


@pytest.fixture(scope="module")
def client(served: ServedBox, api_key: str) -> anthropic.Anthropic:
    return anthropic.Anthropic(base_url=served.url, api_key=api_key, max_retries=0, timeout=120)


@pytest.fixture(scope="module")
def openai_client(served: ServedBox, api_key: str) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{served.url}/v1", api_key=api_key, max_retries=0, timeout=120)


# -- messages


def test_a_message_answers_whole_and_streamed_alike(client: anthropic.Anthropic) -> None:
    options = {"model": CHAT, "messages": QUESTION, "max_tokens": 24, "system": "Be brief.", **SURE}
    whole = client.messages.create(**options)
    assert "Tokyo" in whole.content[0].text
    assert whole.stop_reason in ("end_turn", "max_tokens")
    assert whole.usage.output_tokens > 0
    assert whole._request_id
    with client.messages.stream(**options) as stream:
        text = "".join(stream.text_stream)
        final = stream.get_final_message()
    assert text == whole.content[0].text
    assert (final.stop_reason, final.usage.output_tokens) == (whole.stop_reason, whole.usage.output_tokens)
    assert final.usage.input_tokens == whole.usage.input_tokens > 10


def test_the_events_of_a_stream_keep_their_order(client: anthropic.Anthropic) -> None:
    told = [event.type for event in client.messages.create(model=CHAT, messages=QUESTION, max_tokens=6, stream=True)]
    told = [kind for kind in told if kind != "ping"]  # some releases of the client keep pings to themselves
    assert told[:3] == ["message_start", "content_block_start", "content_block_delta"]
    assert told[-3:] == ["content_block_stop", "message_delta", "message_stop"]


def test_length_and_stop_sequences_are_told(client: anthropic.Anthropic) -> None:
    count = [{"role": "user", "content": "Count from one to ten in words."}]
    short = client.messages.create(model=CHAT, messages=count, max_tokens=3, **SURE)
    assert (short.stop_reason, short.usage.output_tokens) == ("max_tokens", 3)
    whole = client.messages.create(model=CHAT, messages=count, max_tokens=40, **SURE).content[0].text
    word = whole.split()[2]
    cut = client.messages.create(model=CHAT, messages=count, max_tokens=40, stop_sequences=["never", word], **SURE)
    assert (cut.stop_reason, cut.stop_sequence) == ("stop_sequence", word)
    assert cut.content[0].text == whole[: whole.index(word)]
    assert 0 < cut.usage.output_tokens < 40


def test_a_begun_answer_goes_on(client: anthropic.Anthropic) -> None:
    begun = [*QUESTION, {"role": "assistant", "content": "The capital of Japan is"}]
    answer = client.messages.create(model=CHAT, messages=begun, max_tokens=4, **SURE)
    assert "Tokyo" in answer.content[0].text


def test_tools_and_their_results_are_taken(client: anthropic.Anthropic) -> None:
    messages = [
        {"role": "user", "content": "What is the weather in Paris?"},
        {
            "role": "assistant",
            "content": [{"type": "tool_use", "id": "toolu_1", "name": "get_weather", "input": {"city": "Paris"}}],
        },
        {
            "role": "user",
            "content": [
                {"type": "tool_result", "tool_use_id": "toolu_1", "content": "sunny"},
                {"type": "text", "text": "So?"},
            ],
        },
    ]
    answer = client.messages.create(model=CHAT, messages=messages, tools=[TOOL], max_tokens=8)
    assert {block.type for block in answer.content} <= {"text", "tool_use"}


@pytest.mark.parametrize("wish", [{"type": "any"}, {"type": "tool", "name": "get_weather"}])
def test_a_demanded_call_comes_whole_and_streamed_alike(client: anthropic.Anthropic, wish: dict[str, str]) -> None:
    other = {"name": "get_time", "input_schema": {"type": "object", "properties": {}}}
    tools = [TOOL, other] if wish["type"] == "tool" else [TOOL]
    question = [{"role": "user", "content": "What is the weather in Paris?"}]
    asked = {"model": CHAT, "messages": question, "tools": tools, "tool_choice": wish}
    counted = client.messages.count_tokens(**asked).input_tokens
    answer = client.messages.create(**asked, max_tokens=200, **SURE)
    (block,) = answer.content
    assert (answer.stop_reason, block.type, block.name) == ("tool_use", "tool_use", "get_weather")
    assert isinstance(block.input["city"], str)
    assert answer.usage.input_tokens == counted
    with client.messages.stream(**asked, max_tokens=200, **SURE) as stream:
        pieces = [event.partial_json for event in stream if event.type == "input_json"]
        final = stream.get_final_message()
    assert len(pieces) > 1
    assert (final.stop_reason, final.content[0].input) == ("tool_use", block.input)


def test_a_schema_is_kept(client: anthropic.Anthropic) -> None:
    question = [{"role": "user", "content": "The capital of Japan as JSON"}]
    answer = client.messages.parse(model=CHAT, messages=question, max_tokens=40, output_format=City, **SURE)
    assert answer.parsed_output.city


def test_tokens_are_counted_as_they_are_used(client: anthropic.Anthropic) -> None:
    prompt = {"model": CHAT, "messages": QUESTION, "system": "Be brief."}
    counted = client.messages.count_tokens(**prompt).input_tokens
    assert counted == client.messages.create(**prompt, max_tokens=1).usage.input_tokens


def test_a_base_is_asked_as_a_model(client: anthropic.Anthropic) -> None:
    base = next(model.id for model in client.models.list() if model.id.startswith("kb:"))
    question = [{"role": "user", "content": "回復キーは、いつ必要ですか。"}]
    answer = client.messages.create(model=base, messages=question, max_tokens=500)
    assert "[1]" in answer.content[0].text
    citations = answer.model_extra["citations"]
    assert citations[0]["document"] == "security.ja.md"
    events = list(client.messages.create(model=base, messages=question, max_tokens=500, stream=True))
    last = next(event for event in events if event.type == "message_delta")
    assert last.model_extra["citations"] == citations


# -- models and refusals


def test_the_models_are_listed(client: anthropic.Anthropic) -> None:
    page = client.models.list(limit=1000)
    assert not page.has_more
    found = {model.id: model for model in page}
    assert found[CHAT].display_name
    assert EMBEDDING not in found
    assert client.models.retrieve(CHAT).max_input_tokens > 1000


def test_a_wrong_key_is_an_authentication_error_by_either_header(served: ServedBox) -> None:
    for given in ({"api_key": "hako_no"}, {"auth_token": "hako_no"}):
        stranger = anthropic.Anthropic(base_url=served.url, max_retries=0, **given)
        with pytest.raises(anthropic.AuthenticationError) as refused:
            stranger.messages.create(model=CHAT, messages=QUESTION, max_tokens=5)
        assert refused.value.body["error"]["type"] == "authentication_error"


@pytest.mark.parametrize(
    ("model", "error", "kind"),
    [
        ("claude-9", anthropic.NotFoundError, "not_found_error"),
        (EMBEDDING, anthropic.BadRequestError, "invalid_request_error"),
    ],
)
def test_refusals_are_the_clients_own_errors(
    client: anthropic.Anthropic, model: str, error: type[anthropic.APIStatusError], kind: str
) -> None:
    with pytest.raises(error) as refused:
        client.messages.create(model=model, messages=QUESTION, max_tokens=5)
    assert refused.value.body["error"]["type"] == kind
    assert refused.value.request_id


def test_too_long_a_prompt_is_told_before_anything_is_written(client: anthropic.Anthropic) -> None:
    long = [{"role": "user", "content": "word " * 9000}]
    assert client.messages.count_tokens(model=CHAT, messages=long).input_tokens > 9000
    with pytest.raises(anthropic.BadRequestError, match="prompt is too long"):
        client.messages.create(model=CHAT, messages=long, max_tokens=5)
    with pytest.raises(anthropic.BadRequestError), client.messages.stream(model=CHAT, messages=long, max_tokens=5):
        pass


# -- openai's older completions


def test_a_completion_goes_on_whole_and_streamed_alike(openai_client: openai.OpenAI) -> None:
    options = {"model": CHAT, "prompt": "The capital of Japan is", "temperature": 0, "max_tokens": 8, "seed": 1}
    whole = openai_client.completions.create(**options)
    assert whole.choices[0].text.startswith(" Tokyo")
    assert whole.choices[0].finish_reason in ("stop", "length")
    chunks = list(openai_client.completions.create(**options, stream=True, stream_options={"include_usage": True}))
    assert "".join(choice.text for chunk in chunks for choice in chunk.choices) == whole.choices[0].text
    assert chunks[-1].usage == whole.usage


def test_a_completion_stops_where_it_is_told_and_refuses_what_it_can_not(openai_client: openai.OpenAI) -> None:
    prompt = "One, two, three, four"
    answer = openai_client.completions.create(model=CHAT, prompt=[prompt], temperature=0, max_tokens=30, stop=[" six"])
    assert answer.choices[0].text == ", five,"
    assert answer.choices[0].finish_reason == "stop"
    for refused in ({"echo": True, "logprobs": 1}, {"echo": True, "prompt": [[1, 2]]}, {"suffix": "x"}, {"best_of": 2}):
        with pytest.raises(openai.BadRequestError):
            openai_client.completions.create(**{"model": CHAT, "prompt": prompt, **refused})
