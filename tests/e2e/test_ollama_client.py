"""The unmodified `ollama` client against a served box with the real starter models."""

import json
from collections.abc import Iterator

import numpy as np
import ollama
import pytest

from tests.simulators.served import ServedBox

CHAT = "smollm2-135m-instruct"
EMBEDDING = "multilingual-e5-small"
QUESTION = "What is the capital of Japan? Answer in one word."
OPTIONS = {"temperature": 0, "num_predict": 24, "seed": 1}
pytestmark = [pytest.mark.models, pytest.mark.timeout(400)]


@pytest.fixture(scope="module")
def client(served: ServedBox, api_key: str) -> Iterator[ollama.Client]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OLLAMA_API_KEY", api_key)  # as its users set it
        with ollama.Client(host=served.url, timeout=120) as made:
            yield made


def test_models_and_bases_are_listed_and_shown(client: ollama.Client) -> None:
    models = {model.model: model for model in client.list().models}
    assert {f"{CHAT}:latest", f"{EMBEDDING}:latest"} <= models.keys()
    assert any(name.startswith("kb:") for name in models)
    details = models[f"{CHAT}:latest"].details
    assert (details.format, details.parameter_size, details.quantization_level) == ("gguf", "134.52M", "Q4_1")
    shown = client.show(CHAT)
    assert shown.capabilities == ["completion"]
    assert shown.modelinfo["llama.context_length"] > 1000
    assert client.show(EMBEDDING).modelinfo["onnx.embedding_length"] == 384


def test_a_chat_answers_whole_and_streamed_alike(client: ollama.Client) -> None:
    messages = [{"role": "user", "content": QUESTION}]
    whole = client.chat(CHAT, messages, options=OPTIONS)
    assert "Tokyo" in whole.message.content
    assert (whole.done, whole.done_reason) == (True, "stop")
    assert whole.eval_count > 0
    assert 0 < whole.prompt_eval_duration + whole.eval_duration <= whole.total_duration
    pieces = list(client.chat(CHAT, messages, options=OPTIONS, stream=True))
    assert "".join(piece.message.content for piece in pieces) == whole.message.content
    assert [piece.done for piece in pieces] == [False] * (len(pieces) - 1) + [True]
    assert pieces[-1].eval_count == whole.eval_count


def test_what_answered_is_loaded(client: ollama.Client) -> None:
    assert client.generate(CHAT).done_reason == "load"
    loaded = {model.model: model for model in client.ps().models}
    assert loaded[f"{CHAT}:latest"].size > 10_000_000
    assert loaded[f"{CHAT}:latest"].expires_at.year > 2100


def test_a_prompt_is_answered_whole_and_streamed_alike(client: ollama.Client) -> None:
    whole = client.generate(CHAT, QUESTION, system="You know geography.", options=OPTIONS)
    assert "Tokyo" in whole.response
    pieces = client.generate(CHAT, QUESTION, system="You know geography.", options=OPTIONS, stream=True)
    assert "".join(piece.response for piece in pieces) == whole.response


def test_a_stop_word_and_a_length_end_the_answer(client: ollama.Client) -> None:
    cut = client.generate(CHAT, "Count from one to twenty in words.", options=OPTIONS | {"num_predict": 3})
    assert (cut.done_reason, cut.eval_count) == ("length", 3)
    stopped = client.generate(CHAT, QUESTION, options=OPTIONS | {"stop": ["kyo"]})
    assert "kyo" not in stopped.response


def test_a_schema_is_kept(client: ollama.Client) -> None:
    schema = {
        "type": "object",
        "properties": {"city": {"type": "string", "enum": ["Tokyo", "Osaka"]}},
        "required": ["city"],
        "additionalProperties": False,
    }
    answer = client.chat(CHAT, [{"role": "user", "content": "The capital of Japan as JSON"}], format=schema)
    assert json.loads(answer.message.content)["city"] in ("Tokyo", "Osaka")


def test_a_schema_that_is_none_is_refused_by_its_own_name(client: ollama.Client) -> None:
    with pytest.raises(ollama.ResponseError, match="format") as refused:
        client.chat(CHAT, [{"role": "user", "content": "x"}], format={"type": "nonsense"})
    assert refused.value.status_code == 400


def test_log_probabilities_come_back(client: ollama.Client) -> None:
    answer = client.chat(
        CHAT,
        [{"role": "user", "content": "Say hi"}],
        options={"num_predict": 4, "temperature": 0},
        logprobs=True,
        top_logprobs=2,
    )
    assert len(answer.logprobs) == 4
    assert all(len(token.top_logprobs) == 2 and token.logprob <= 0 for token in answer.logprobs)


def test_a_conversation_with_a_tool_goes_through(client: ollama.Client) -> None:
    def temperature(city: str) -> str:
        """Tell the temperature.

        Args:
            city: the name of the city
        """
        return f"22 degrees in {city}"

    messages = [
        {"role": "user", "content": "How warm is it in Paris?"},
        {
            "role": "assistant",
            "content": "",
            "tool_calls": [{"function": {"name": "temperature", "arguments": {"city": "Paris"}}}],
        },
        {"role": "tool", "tool_name": "temperature", "content": temperature("Paris")},
    ]
    answer = client.chat(CHAT, messages, tools=[temperature], options=OPTIONS)
    assert answer.done
    assert answer.eval_count > 0


def test_near_meanings_have_near_vectors_across_languages(client: ollama.Client) -> None:
    texts = [
        "query: 日本の首都は",
        "passage: Tokyo is the capital of Japan.",
        "passage: Curry is cooked for two hours.",
    ]
    answer = client.embed(EMBEDDING, texts)
    question, near, far = (np.array(vector) for vector in answer.embeddings)
    assert question @ near > question @ far + 0.05
    assert answer.prompt_eval_count > 0
    assert np.allclose(client.embeddings(EMBEDDING, texts[0]).embedding, question, atol=1e-3)


def test_a_base_is_asked_as_a_model(client: ollama.Client) -> None:
    base = next(model.model for model in client.list().models if model.model.startswith("kb:"))
    asked = {"model": base, "messages": [{"role": "user", "content": "回復キーは、いつ必要ですか。"}]}
    # The client drops what Ollama doesn't send, so the citations are only in what came over the wire.
    raw = client._client.post("/api/chat", json={**asked, "stream": False}).json()
    assert raw["citations"][0]["document"] == "security.ja.md"
    assert "回復キーは" in raw["citations"][0]["quote"]
    assert "".join(piece.message.content for piece in client.chat(**asked, stream=True)) == raw["message"]["content"]


@pytest.mark.parametrize(("model", "status"), [("llama3", 404), (EMBEDDING, 400)])
def test_refusals_are_the_clients_own_errors(client: ollama.Client, model: str, status: int) -> None:
    for stream in (False, True):
        with pytest.raises(ollama.ResponseError, match=r"HK-MOD-00[18]") as refused:
            list(client.chat(model, [{"role": "user", "content": "x"}], stream=stream))
        assert refused.value.status_code == status


def test_a_wrong_key_is_refused(served: ServedBox) -> None:
    with (
        ollama.Client(host=served.url, headers={"Authorization": "Bearer hako_no"}) as stranger,
        pytest.raises(ollama.ResponseError) as refused,
    ):
        stranger.list()
    assert refused.value.status_code == 401


def test_models_are_neither_fetched_nor_made(client: ollama.Client) -> None:
    for attempt in (
        lambda: client.pull("llama3"),
        lambda: list(client.pull("llama3", stream=True)),
        lambda: client.push("llama3"),
        lambda: client.create("mine", from_=CHAT),
    ):
        with pytest.raises(ollama.ResponseError, match="USB") as refused:
            attempt()
        assert refused.value.status_code == 403
    assert client.pull(CHAT).status == "success"


def test_models_are_copied_and_deleted_by_a_key_that_may(served: ServedBox, client: ollama.Client) -> None:
    for attempt in (lambda: client.copy(CHAT, "mine"), lambda: client.delete(CHAT)):
        with pytest.raises(ollama.ResponseError, match="HK-AUTH-003") as refused:
            attempt()
        assert refused.value.status_code == 403
    key = served.api_key("names", "operator", model_rights="aliases")
    with ollama.Client(host=served.url, headers={"Authorization": f"Bearer {key}"}) as trusted:
        assert trusted.copy(CHAT, "mine").status == "success"
        assert trusted.show("mine").details.parameter_size == "134.52M"
        assert trusted.generate("mine").done_reason == "load"
        with pytest.raises(ollama.ResponseError, match="HK-AUTH-009"):
            trusted.delete(CHAT)
        assert trusted.delete("mine").status == "success"
        with pytest.raises(ollama.ResponseError) as gone:
            trusted.show("mine")
        assert gone.value.status_code == 404
