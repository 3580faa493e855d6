"""The engine contract, held against every engine in a real child process: one set of tests for all of them."""

import base64
import dataclasses
import json
import shutil
import socket
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sentencepiece
from numpy.typing import NDArray

from appliance.config import REPOSITORY
from appliance.errors import (
    BadInputError,
    ContextTooLongError,
    HakoError,
    ModelDamagedError,
    ModelFailedError,
    ModelNoMemoryError,
    NoGpuError,
)
from appliance.gateway import counting, embedding
from appliance.inference import genai, legacy, manifest
from appliance.inference.engine import EngineSpec, Loaded
from appliance.inference.engines import scripted
from appliance.inference.spawn import Child
from appliance.inference.transport import ChildConnection
from tests.simulators import encoder_gguf, spm
from tests.simulators import genai as genai_folders
from tests.simulators.cross_encoder import CrossEncoder
from tests.simulators.waiting import eventually

BUILT = REPOSITORY / ".build" / "models"
KEY = "the-key-of-this-child"
CONTEXT = 512
PARALLEL = 2
VOCABULARY = 250_002
"""Rows that the starter model's vocabulary needs."""
ROUNDED = 2e-4
"""So far llama.cpp's vectors of a text differ with its company."""
LONG = 400
"""Tokens of a long answer: many seconds for a real model."""

REAL = pytest.mark.models
OLDER = pytest.mark.skipif(not legacy.version(), reason="the extra `legacy` is not installed")
ON_ONNX = pytest.mark.skipif(not genai.version(), reason="the extra `genai` is not installed")
ONE_BY_ONE = (legacy.ENGINE, genai.ENGINE)
"""Engines that write one answer at a time; here with tiny models, which are quick."""


@dataclass
class Running:
    """A child that answers."""

    spec: EngineSpec
    loaded: Loaded

    @property
    def is_scripted(self) -> bool:
        return self.spec.engine == "scripted"

    @property
    def has_metrics(self) -> bool:
        return self.spec.engine == "llama"

    @contextmanager
    def connect(self, key: str = KEY) -> Iterator[ChildConnection]:
        with ChildConnection(Path(self.spec.socket), key, self.spec.model) as connection:
            yield connection

    def chat_body(self, text: str, **more: Any) -> dict[str, Any]:
        message = {"role": "user", "content": text}
        return {"messages": [message], "stream": True, "temperature": 0, "max_tokens": 24, **more}

    def long_body(self) -> dict[str, Any]:
        text = f"[[words {LONG}]] [[delay 20]]" if self.is_scripted else "Tell me a very long story."
        return self.chat_body(text, max_tokens=LONG, ignore_eos=True)

    def chat(self, text: str, **more: Any) -> list[dict[str, Any]]:
        """All events of an answer."""
        with self.connect() as connection:
            connection.send("/v1/chat/completions", self.chat_body(text, **more))
            connection.begin()
            return events(b"".join(connection.chunks()))

    def embed(self, *texts: str, truncate: bool = False) -> NDArray[np.float32]:
        with self.connect() as connection:
            answer = embedding.ask(connection, texts, truncate=truncate)
        assert [item["index"] for item in answer["data"]] == list(range(len(texts)))
        return np.stack([np.frombuffer(base64.b64decode(item["embedding"]), "<f4") for item in answer["data"]])

    def rerank(self, query: str, documents: list[str], **more: Any) -> list[float]:
        with self.connect() as connection:
            answer = connection.json("/v1/rerank", {"query": query, "documents": documents, **more})
        assert [item["index"] for item in answer["results"]] == list(range(len(documents)))
        assert answer["usage"]["total_tokens"] >= len(documents)
        return [item["relevance_score"] for item in answer["results"]]

    def works(self) -> bool:
        """Whether it does what it is made for."""
        match self.spec.kind:
            case "chat":
                return bool(text_of(self.chat("Say hello.")))
            case "embedding":
                return self.embed("hello").shape == (1, self.spec.dimensions)
            case _:
                return len(self.rerank("hello", ["a", "b"])) == 2


WHERE = {"chat": "/v1/chat/completions", "embedding": "/v1/embeddings", "reranker": "/v1/rerank"}


def events(stream: bytes) -> list[dict[str, Any]]:
    lines = [line for line in stream.decode().split("\n\n") if line.startswith("data: ")]
    assert lines[-1] == "data: [DONE]"
    return [json.loads(line.removeprefix("data: ")) for line in lines[:-1]]


def text_of(answer: list[dict[str, Any]]) -> str:
    return "".join(choice["delta"].get("content") or "" for event in answer for choice in event.get("choices", ()))


def specify(engine: str, kind: Any, around: Path, **changes: Any) -> EngineSpec:
    if engine == "scripted":
        folder = scripted.install(around, f"scripted-{kind}", kind)
    elif engine == legacy.ENGINE:
        folder = spm.install(around)
    elif engine == genai.ENGINE:
        folder = genai_folders.install(around)
    else:
        folder = BUILT / ("multilingual-e5-small" if engine == "onnx" else "smollm2-135m-instruct")
        if not folder.is_dir():
            pytest.skip("the starter models are not built: make models")
        if kind == "reranker":  # no package carries one
            folder = network().install(around / "models", "cross-encoder", folder / "sentencepiece.model")
        elif (engine, kind) == ("llama", "embedding"):
            folder = encoder_gguf.install(around / "models", BUILT / "multilingual-e5-small")
    found = manifest.read(folder)
    values: dict[str, Any] = {
        "model": found.id, "kind": kind, "engine": engine, "folder": str(folder), "entry": found.entry,
        "socket": str(around / "m.sock"), "api_key": KEY, "threads": 1, "context": CONTEXT,
        "parallel": 1 if engine in ONE_BY_ONE else PARALLEL,
        "dimensions": found.dimensions or 0, "provider": "cpu", "memory_bytes": 8 << 30,
    }  # fmt: skip
    return EngineSpec(**{**values, **changes})


def network() -> CrossEncoder:
    """The ONNX reranker's weights: always the same."""
    return CrossEncoder(VOCABULARY)


@contextmanager
def running(spec: EngineSpec) -> Iterator[Running]:
    child = Child(spec, lambda _child: None)
    try:
        yield Running(spec, child.wait_ready())
    finally:
        child.stop()


def start(engine: str, kind: str) -> Iterator[Running]:
    with tempfile.TemporaryDirectory(prefix="hako-") as around, running(specify(engine, kind, Path(around))) as child:
        yield child


@pytest.fixture(
    scope="module",
    params=[
        "scripted",
        pytest.param("llama", marks=REAL),
        pytest.param(legacy.ENGINE, marks=OLDER),
        pytest.param(genai.ENGINE, marks=ON_ONNX),
    ],
)
def chat_engine(request: pytest.FixtureRequest) -> Iterator[Running]:
    yield from start(request.param, "chat")


@pytest.fixture(scope="module", params=["scripted", *(pytest.param(name, marks=REAL) for name in ("onnx", "llama"))])
def embedding_engine(request: pytest.FixtureRequest) -> Iterator[Running]:
    yield from start(request.param, "embedding")


@pytest.fixture(scope="module", params=["scripted", pytest.param("onnx", marks=REAL)])
def reranker(request: pytest.FixtureRequest) -> Iterator[Running]:
    yield from start(request.param, "reranker")


@pytest.fixture(
    scope="module",
    params=[
        ("scripted", "chat"),
        ("scripted", "embedding"),
        ("scripted", "reranker"),
        pytest.param(("llama", "chat"), marks=REAL),
        pytest.param(("llama", "embedding"), marks=REAL),
        pytest.param((legacy.ENGINE, "chat"), marks=OLDER),
        pytest.param((genai.ENGINE, "chat"), marks=ON_ONNX),
        pytest.param(("onnx", "embedding"), marks=REAL),
        pytest.param(("onnx", "reranker"), marks=REAL),
    ],
    ids="-".join,
)
def engine(request: pytest.FixtureRequest) -> Iterator[Running]:
    yield from start(*request.param)


# -- all engines


def test_it_says_what_it_loaded_and_answers_from_that_moment(engine: Running) -> None:
    assert engine.loaded == Loaded(provider="cpu", context=CONTEXT)
    assert engine.works()


def test_its_socket_is_for_this_user_only(engine: Running) -> None:
    assert Path(engine.spec.socket).stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("key", ["wrong", KEY[:-1], KEY + "x"])
def test_a_wrong_key_is_refused(engine: Running, key: str) -> None:
    body = engine.chat_body("secret") | {"input": "secret", "query": "secret", "documents": ["secret"]}
    with engine.connect(key) as connection, pytest.raises(ModelFailedError, match="401"):
        connection.json(WHERE[engine.spec.kind], body)


def test_what_it_is_not_made_for_is_refused_and_it_lives_on(engine: Running) -> None:
    body = engine.chat_body("a") | {"input": "a", "query": "a", "documents": ["a"]}
    for kind, where in WHERE.items():
        if kind != engine.spec.kind:
            with engine.connect() as connection, pytest.raises(HakoError):
                connection.json(where, body)
    assert engine.works()


def test_nobody_can_look_at_other_peoples_prompts(engine: Running) -> None:
    with engine.connect() as connection, pytest.raises(HakoError):
        connection.json("/slots", {})
    answer = get(engine.spec.socket, "/slots")
    assert b" 200 " not in answer.split(b"\r\n")[0]


# -- chat engines


def test_an_answer_is_a_stream_of_openais_shape(chat_engine: Running) -> None:
    answer = chat_engine.chat("What is the capital of Japan?", stream_options={"include_usage": True})
    assert answer[0]["object"] == "chat.completion.chunk"
    assert answer[0]["choices"][0]["delta"]["role"] == "assistant"
    assert {event["model"] for event in answer} == {chat_engine.spec.model}  # an alias, never a path
    assert "Japan" in text_of(answer)
    finishes = [choice["finish_reason"] for event in answer for choice in event["choices"]]
    assert [finish for finish in finishes if finish] == ["stop"]
    assert answer[-1]["usage"]["completion_tokens"] > 3


def test_a_bare_text_goes_on_and_each_piece_tells_the_counts(chat_engine: Running) -> None:
    body = {"prompt": "The capital of Japan is", "stream": True, "temperature": 0, "max_tokens": 4}
    with chat_engine.connect() as connection:
        connection.send("/v1/completions", {**body, "timings_per_token": True})
        connection.begin()
        answer = events(b"".join(connection.chunks()))
    assert {event["object"] for event in answer} == {"text_completion"}
    said = [event for event in answer if event["choices"] and event["choices"][0]["text"]]
    assert [event["timings"]["predicted_n"] for event in said] == [1, 2, 3, 4]
    assert all(event["timings"]["prompt_n"] + event["timings"]["cache_n"] > 4 for event in said)
    assert answer[-1]["choices"][0]["finish_reason"] == "length"


def test_an_answer_comes_while_it_is_written(chat_engine: Running) -> None:
    with chat_engine.connect() as connection:
        few = {} if chat_engine.spec.engine in ONE_BY_ONE else {"max_tokens": 40}  # a tiny model is too quick
        connection.send("/v1/chat/completions", chat_engine.long_body() | few)
        connection.begin()
        moments = [time.monotonic() for _ in connection.chunks()]
    assert len(moments) > 10
    assert moments[-1] - moments[0] > 0.05


def test_max_tokens_is_kept_and_told(chat_engine: Running) -> None:
    answer = chat_engine.chat("[[words 50]] Count to a hundred.", max_tokens=5)
    assert answer[-1]["choices"][0]["finish_reason"] == "length"
    assert 1 <= len([event for event in answer if text_of([event])]) <= 5


def test_the_same_question_has_the_same_answer(chat_engine: Running) -> None:
    answers = {text_of(chat_engine.chat("Name three colours.", cache_prompt=False)) for _ in range(2)}
    assert len(answers) == 1


def test_as_many_answers_as_it_has_places_are_written_side_by_side(chat_engine: Running) -> None:
    together = chat_engine.spec.parallel
    both = threading.Barrier(together, timeout=60)
    finished: list[int] = []

    def answer() -> None:
        with chat_engine.connect() as connection:
            connection.send("/v1/chat/completions", chat_engine.long_body() | {"max_tokens": 60})
            connection.begin()
            chunks = connection.chunks()
            size = len(next(chunks))
            both.wait()  # only passed when all have begun
            finished.append(size + sum(len(chunk) for chunk in chunks))

    threads = [threading.Thread(target=answer) for _ in range(together)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(100)
    assert len(finished) == together
    assert min(finished) > 1000


def test_closing_the_connection_stops_the_engine(chat_engine: Running) -> None:
    before = predicted(chat_engine)
    with chat_engine.connect() as connection:
        connection.send("/v1/chat/completions", chat_engine.long_body())
        connection.begin()
        chunks = connection.chunks()
        for _ in range(3):
            next(chunks)
    closed = time.monotonic()
    assert eventually(lambda: is_idle(chat_engine))
    assert text_of(chat_engine.chat("Hello", max_tokens=4))
    if chat_engine.has_metrics:
        # It takes half a second where nothing else runs; what counts everywhere is that the rest isn't computed.
        assert time.monotonic() - closed < 20
        assert predicted(chat_engine) - before < LONG / 2


def test_a_caller_that_leaves_during_the_prompt_frees_the_engine(chat_engine: Running) -> None:
    prompt = "the pump stands in hall number four " * 60
    with chat_engine.connect() as connection:
        connection.send("/v1/chat/completions", chat_engine.chat_body(f"[[think 200]] {prompt}", cache_prompt=False))
    assert eventually(lambda: is_idle(chat_engine))
    assert text_of(chat_engine.chat("Hello", max_tokens=4))


def test_too_long_a_conversation_is_refused_with_its_figures(chat_engine: Running) -> None:
    with pytest.raises(ContextTooLongError) as caught:
        chat_engine.chat("pump " * 1500)
    assert caught.value.params["limit"] == CONTEXT
    assert int(caught.value.params["tokens"]) > 1000
    assert text_of(chat_engine.chat("Hello"))


@pytest.mark.parametrize("changes", [{"messages": "text"}, {"messages": 5}, {"messages": None}])
def test_a_conversation_of_the_wrong_shape_is_refused(chat_engine: Running, changes: dict[str, Any]) -> None:
    with pytest.raises((BadInputError, ModelFailedError)):
        chat_engine.chat("x", **changes)
    assert text_of(chat_engine.chat("Hello"))


@pytest.mark.parametrize("bare", [False, True], ids=["chat", "bare"])
def test_how_likely_each_token_was_is_told_or_refused_and_never_left_out(chat_engine: Running, bare: bool) -> None:
    if chat_engine.is_scripted:
        pytest.skip("its words have no likelihoods")
    wishes = (
        {"prompt": "The capital of Japan is", "logprobs": 3, "n_probs": 3}  # as the gateway words it for bare texts
        if bare
        else {"messages": [{"role": "user", "content": "Hello"}], "logprobs": True, "top_logprobs": 3}
    )
    body = {"stream": True, "temperature": 0, "max_tokens": 6, **wishes}

    def asked(**more: Any) -> list[dict[str, Any]]:
        with chat_engine.connect() as connection:
            connection.send("/v1/completions" if bare else "/v1/chat/completions", {**body, **more})
            connection.begin()
            return events(b"".join(connection.chunks()))

    if chat_engine.spec.engine in ONE_BY_ONE:
        with pytest.raises(BadInputError) as refused:
            asked()
        assert (refused.value.status, refused.value.params) == (400, {"field": "logprobs"})
        assert asked(logprobs=None, n_probs=0, top_logprobs=None)
        return
    choices = [choice for event in asked() for choice in event["choices"]]
    entries = [entry for choice in choices for entry in (choice.get("logprobs") or {}).get("content") or ()]
    assert 1 <= len(entries) <= 6
    said = b"".join(bytes(entry["bytes"]) for entry in entries).decode()
    assert said == "".join(choice["text"] if bare else choice["delta"].get("content") or "" for choice in choices)
    for entry in entries:
        others = entry["top_logprobs"]
        assert len(others) == 3
        for each in (entry, *others):
            assert isinstance(each["token"], str)
            assert bytes(each["bytes"]).decode("utf-8", "replace") == each["token"]
            assert each["logprob"] <= 0
        assert [other["logprob"] for other in others] == sorted((o["logprob"] for o in others), reverse=True)
        assert others[0]["logprob"] == pytest.approx(entry["logprob"])  # temperature 0: the likeliest was taken
    without = [choice for event in asked(logprobs=None, n_probs=0, top_logprobs=None) for choice in event["choices"]]
    assert not [choice for choice in without if choice.get("logprobs")]


# -- llama.cpp alone


@pytest.fixture(scope="module")
def llama() -> Iterator[Running]:
    yield from start("llama", "chat")


@REAL
@pytest.mark.parametrize("question", ["Is water wet?", "Write a poem about Tokyo.", "東京について教えて"])
def test_a_grammar_is_followed(llama: Running, question: str) -> None:
    grammar = 'root ::= ("Yes" | "No") ", says [" [12] "]."'
    assert text_of(llama.chat(question, grammar=grammar)) in {
        f"{a}, says [{n}]." for a in ("Yes", "No") for n in (1, 2)
    }


@REAL
def test_a_schema_is_followed(llama: Running) -> None:
    schema = {
        "type": "object",
        "properties": {"city": {"type": "string", "enum": ["Tokyo", "Osaka"]}, "big": {"type": "boolean"}},
        "required": ["city", "big"],
        "additionalProperties": False,
    }
    wish = {"type": "json_schema", "json_schema": {"name": "place", "strict": True, "schema": schema}}
    answer = json.loads(text_of(llama.chat("Name a city.", response_format=wish, max_tokens=60)))
    assert answer["city"] in {"Tokyo", "Osaka"}
    assert isinstance(answer["big"], bool)


@REAL
def test_a_broken_grammar_is_a_bad_request(llama: Running) -> None:
    with pytest.raises(BadInputError) as caught:
        llama.chat("Hello", grammar="root ::= (")
    assert caught.value.params["field"] in {"grammar", "request"}
    assert text_of(llama.chat("Hello"))


# -- embedding engines


def within(engine: Running, usual: float) -> float:
    """How far numbers of two vectors of one text may lie apart."""
    return ROUNDED if engine.spec.engine == "llama" else usual


def test_vectors_have_length_one_and_keep_their_order(embedding_engine: Running) -> None:
    texts = ["query: 年次有給休暇", "passage: " + "長い文章です。" * 40, "passage: pump", "query: 年次有給休暇"]
    vectors = embedding_engine.embed(*texts)
    assert vectors.shape == (4, 384)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    np.testing.assert_allclose(vectors[0], vectors[3], atol=within(embedding_engine, 1e-6))


def test_a_text_has_the_same_vector_alone_and_in_company(embedding_engine: Running) -> None:
    texts = ["query: a", "passage: 短い", "passage: " + "The pump stands in hall four. " * 20]
    together = embedding_engine.embed(*texts)
    alone = np.concatenate([embedding_engine.embed(text) for text in texts])
    np.testing.assert_allclose(together, alone, atol=within(embedding_engine, 1e-5))


def test_what_is_alike_is_near(embedding_engine: Running) -> None:
    question, near, far = embedding_engine.embed(
        "query: 有給休暇の日数", "passage: 有給休暇の日数は十日とする。", "passage: ポンプを停止してから点検する。"
    )
    assert question @ near > question @ far + 0.03


def test_too_long_a_text_is_refused_or_cut_as_asked(embedding_engine: Running) -> None:
    text = "passage: " + "pump house number four " * 400
    with pytest.raises(ContextTooLongError) as caught:
        embedding_engine.embed(text)
    assert caught.value.params["limit"] == CONTEXT
    assert int(caught.value.params["tokens"]) > CONTEXT
    np.testing.assert_allclose(np.linalg.norm(embedding_engine.embed(text, truncate=True)), 1, atol=1e-5)


def test_tokens_are_counted_as_they_are_embedded(embedding_engine: Running) -> None:
    texts = ["query: 休暇", "", "passage: pump"]
    with embedding_engine.connect() as connection:
        counts = counting.text_tokens(connection, manifest.read(Path(embedding_engine.spec.folder)), texts, None)
        usage = connection.json("/v1/embeddings", {"input": texts})["usage"]
    assert min(counts) >= 2
    assert sum(counts) == usage["prompt_tokens"]


@REAL
def test_question_and_answer_meet_across_languages() -> None:
    texts = (
        "query: 日本の首都は",
        "passage: 日本の首都は東京です。",
        "passage: The capital of Japan is Tokyo.",
        "passage: カレーは玉ねぎを炒めて作ります。",
        "passage: ｶﾞｷﾞ  ㈱ ＡＢＣ",
    )
    vectors = {name: running.embed(*texts) for name in ("onnx", "llama") for running in start(name, "embedding")}
    for question, japanese, english, curry, _signs in vectors.values():
        assert question @ japanese > question @ english > question @ curry
    assert (vectors["onnx"] * vectors["llama"]).sum(axis=1).min() > 0.998  # the same weights on two engines


# -- rerankers


def test_scores_lie_between_0_and_1_in_the_order_of_the_documents(reranker: Running) -> None:
    documents = ["夜勤手当は1回につき6,000円です。", "ポンプを停止する。", "pump " * 300, "", "ポンプを停止する。"]
    scores = reranker.rerank("夜勤手当", documents)
    assert all(0 < score < 1 for score in scores)
    assert scores[1] == pytest.approx(scores[4], abs=1e-6)
    assert max(scores) - min(scores) > 0.05  # random weights tell apart, and no more
    raw = reranker.rerank("夜勤手当", documents, raw=True)
    np.testing.assert_allclose(scores, 1 / (1 + np.exp(-np.array(raw))), atol=1e-5)


def test_a_pair_has_the_same_score_alone_and_in_company(reranker: Running) -> None:
    documents = ["短い", "The pump stands in hall four. " * 20, "休暇"]
    alone = [reranker.rerank("休暇 pump", [document])[0] for document in documents]
    np.testing.assert_allclose(reranker.rerank("休暇 pump", documents), alone, atol=1e-5)


def test_what_is_too_long_is_cut_and_scored(reranker: Running) -> None:
    scores = reranker.rerank("pump " * 2000, ["hall " * 2000, "hall"])
    assert all(0 < score < 1 for score in scores)


@pytest.mark.parametrize(
    "changes", [{"documents": []}, {"documents": "a"}, {"documents": [1]}, {"query": None}, {"query": ["a"]}]
)
def test_a_rerank_request_of_the_wrong_shape_is_refused(reranker: Running, changes: dict[str, Any]) -> None:
    with reranker.connect() as connection, pytest.raises(BadInputError):
        connection.json("/v1/rerank", {"query": "a", "documents": ["a"]} | changes)
    assert reranker.works()


@REAL
def test_a_cross_encoders_scores_are_what_its_weights_mean() -> None:
    question = "夜勤手当は"
    documents = ["夜勤手当は1回につき6,000円です。", "The pump stands in hall four.", "カレーは玉ねぎを炒めます。" * 60]
    for onnx in start("onnx", "reranker"):
        pieces = sentencepiece.SentencePieceProcessor(model_file=str(Path(onnx.spec.folder, "sentencepiece.model")))
        asked, *read = pieces.encode([question, *documents])
        pairs = [[0, *asked, 2, 2, *ids[: CONTEXT - 4 - len(asked)], 2] for ids in read]
        assert len(pairs[2]) == CONTEXT
        wanted = [float(network().score(pair)[0]) for pair in pairs]
        np.testing.assert_allclose(onnx.rerank(question, documents, raw=True), wanted, atol=1e-3)


# -- files and limits


@REAL
@pytest.mark.parametrize(
    ("engine_name", "kind", "name", "size"),
    [
        ("llama", "chat", "smollm2-135m-instruct-q4_1.gguf", 1_000_000),
        ("llama", "chat", "smollm2-135m-instruct-q4_1.gguf", 90_000_000),
        ("llama", "chat", "smollm2-135m-instruct-q4_1.gguf", 0),
        ("llama", "embedding", "e5-gguf.gguf", 90_000_000),
        ("onnx", "embedding", "model.onnx", 1_000_000),
        ("onnx", "embedding", "sentencepiece.model", 1_000_000),
        ("onnx", "embedding", "sentencepiece.model", 0),
        ("onnx", "reranker", "model.onnx", 1_000_000),
        ("onnx", "reranker", "sentencepiece.model", 1_000_000),
    ],
)
def test_cut_files_are_refused_in_words(tmp_path: Path, engine_name: str, kind: str, name: str, size: int) -> None:
    with tempfile.TemporaryDirectory(prefix="hako-") as around:
        spec = specify(engine_name, kind, Path(around))
        folder = tmp_path / "cut"
        folder.mkdir()
        for file in Path(spec.folder).iterdir():
            if file.name != name:
                (folder / file.name).symlink_to(file)
        with (Path(spec.folder) / name).open("rb") as whole, (folder / name).open("wb") as cut:
            cut.write(whole.read(size))
        spec = EngineSpec(**{**vars(spec), "folder": str(folder)})
        with pytest.raises(ModelDamagedError), running(spec):
            pass
        shutil.rmtree(folder)


@REAL
@pytest.mark.parametrize(
    ("engine_name", "kind", "memory_mb", "context"),
    [
        ("llama", "chat", 3000, 200_000),  # the cache of so much takes 9 GB
        ("onnx", "embedding", 200, CONTEXT),
        ("onnx", "embedding", 400, CONTEXT),
        ("onnx", "reranker", 200, CONTEXT),
    ],
)
def test_too_little_memory_is_told_as_that_and_not_as_damage(
    engine_name: str, kind: str, memory_mb: int, context: int
) -> None:
    with tempfile.TemporaryDirectory(prefix="hako-") as around:
        spec = specify(engine_name, kind, Path(around), memory_bytes=memory_mb << 20, context=context)
        with pytest.raises(ModelNoMemoryError) as refused, running(spec):
            pass
        assert refused.value.params == {"name": spec.model}


@REAL
def test_a_process_that_gets_too_little_for_its_own_threads_is_an_error_and_not_a_hang() -> None:
    with tempfile.TemporaryDirectory(prefix="hako-") as around:
        spec = specify("llama", "chat", Path(around), memory_bytes=200 << 20)
        with pytest.raises((ModelNoMemoryError, ModelFailedError)), running(spec):
            pass


@REAL
def test_what_must_run_on_a_gpu_says_that_there_is_none_and_what_may_runs_without(tmp_path: Path) -> None:
    with tempfile.TemporaryDirectory(prefix="hako-") as around:
        spec = specify("onnx", "embedding", Path(around), provider="cuda")
        with pytest.raises(NoGpuError, match="cuda"), running(spec):
            pass
        with running(dataclasses.replace(spec, provider="auto")) as child:
            assert (child.loaded.provider, child.works()) == ("cpu", True)
        for file in Path(spec.folder).iterdir():
            (tmp_path / file.name).symlink_to(file)
        (tmp_path / spec.entry).unlink()
        (tmp_path / spec.entry).write_bytes(Path(spec.folder, spec.entry).read_bytes()[:1_000_000])
        with pytest.raises(ModelDamagedError), running(dataclasses.replace(spec, folder=str(tmp_path))):
            pass


@REAL
def test_an_embedding_engine_refuses_to_be_what_it_is_not() -> None:
    with tempfile.TemporaryDirectory(prefix="hako-") as around:
        onnx = specify("onnx", "embedding", Path(around))
        llama = specify("llama", "embedding", Path(around))
        wrong = (
            dataclasses.replace(onnx, kind="chat"),
            dataclasses.replace(onnx, pooling="last"),
            dataclasses.replace(llama, kind="reranker"),
        )
        for spec in wrong:
            with pytest.raises(ModelDamagedError, match="engine"), running(spec):
                pass


def test_a_child_ends_with_its_supervisors_side_of_the_pipe_and_takes_its_socket_along(engine: Running) -> None:
    with tempfile.TemporaryDirectory(prefix="hako-") as around:
        spec = specify(engine.spec.engine, engine.spec.kind, Path(around))
        ended = threading.Event()
        child = Child(spec, lambda _child: ended.set())
        child.wait_ready()
        assert child.alive
        child.stop()
        assert ended.wait(20)
        assert child.exit_status() == "status 0"
        assert not Path(spec.socket).exists()


# -- what llama.cpp says about itself


def get(path: str, where: str) -> bytes:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(60)
        connection.connect(path)
        head = f"GET {where} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {KEY}\r\nConnection: close\r\n\r\n"
        connection.sendall(head.encode())
        answer = b""
        while received := connection.recv(65536):
            answer += received
        return answer


def metric(engine: Running, name: str) -> float:
    lines = get(engine.spec.socket, "/metrics").decode().splitlines()
    return next(float(line.split()[-1]) for line in lines if line.startswith(f"llamacpp:{name} "))


def predicted(engine: Running) -> float:
    return metric(engine, "tokens_predicted_total") if engine.has_metrics else 0.0


def is_idle(engine: Running) -> bool:
    return not engine.has_metrics or metric(engine, "requests_processing") == 0
