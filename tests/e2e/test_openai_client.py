"""The unmodified `openai` client against a served box with the real starter models."""

import numpy as np
import openai
import pytest

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


def test_log_probabilities_come_back(client: openai.OpenAI) -> None:
    answer = client.chat.completions.create(
        model=CHAT, messages=[{"role": "user", "content": "Say hi"}], max_tokens=4, logprobs=True, top_logprobs=2
    )
    assert all(len(token.top_logprobs) == 2 for token in answer.choices[0].logprobs.content)


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
