"""The HTTP server inside a child: answers, streams, refusals, and callers that go away."""

import base64
import json
import socket
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from appliance.errors import BadInputError, ContextTooLongError, ModelFailedError
from appliance.inference import child_http
from appliance.inference.transport import ChildConnection
from tests.simulators.waiting import eventually
from tests.unit.inference.conftest import KEY, LIMIT, Parrot


def ask(connection: ChildConnection, text: str, **more: Any) -> list[dict[str, Any]]:
    """The events of a whole stream."""
    connection.send("/v1/chat/completions", {"messages": [{"role": "user", "content": text}], "stream": True, **more})
    connection.begin()
    lines = b"".join(connection.chunks()).decode().split("\n\n")
    assert lines[-2:] == ["data: [DONE]", ""]
    return [json.loads(line.removeprefix("data: ")) for line in lines[:-2]]


def text_of(events: list[dict[str, Any]]) -> str:
    return "".join(choice["delta"].get("content") or "" for event in events for choice in event["choices"])


def raw(path: Path, request: bytes) -> bytes:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(30)
        connection.connect(str(path))
        connection.sendall(request)
        answer = b""
        while received := connection.recv(65536):
            answer += received
        return answer


def test_an_answer_comes_in_pieces_with_role_and_finish(connection: ChildConnection) -> None:
    events = ask(connection, "one two three")
    assert events[0]["choices"][0]["delta"]["role"] == "assistant"
    assert text_of(events) == "one two three "
    assert events[-1]["choices"][0]["finish_reason"] == "stop"
    assert {event["model"] for event in events} == {"parrot"}


def test_max_tokens_ends_an_answer_as_cut(connection: ChildConnection, parrot: Parrot) -> None:
    events = ask(connection, "one two three four", max_tokens=2, stream_options={"include_usage": True})
    assert text_of(events) == "one two "
    assert events[-2]["choices"][0]["finish_reason"] == "length"
    assert events[-1]["usage"] == {"prompt_tokens": 4, "completion_tokens": 2, "total_tokens": 6}
    assert parrot.stopped.wait(10)


def test_one_connection_takes_one_request_after_the_other(connection: ChildConnection) -> None:
    for word in ("first", "second"):
        assert text_of(ask(connection, word)) == word + " "
    assert connection.json("/tokenize", {"texts": ["a b", ""]}) == {"counts": [2, 0]}


def test_vectors_come_in_order_as_numbers_or_as_base64(connection: ChildConnection) -> None:
    plain = connection.json("/v1/embeddings", {"input": ["abc", "a"]})
    assert [item["embedding"] for item in plain["data"]] == [[3.0, 0.5], [1.0, 0.5]]
    assert plain["usage"]["prompt_tokens"] == 4
    packed = connection.json("/v1/embeddings", {"input": "abc", "encoding_format": "base64"})
    vector = np.frombuffer(base64.b64decode(packed["data"][0]["embedding"]), "<f4")
    assert vector.tolist() == [3.0, 0.5]


def test_too_long_a_text_is_refused_with_its_figures_or_cut(connection: ChildConnection) -> None:
    with pytest.raises(ContextTooLongError) as caught:
        connection.json("/v1/embeddings", {"input": "x" * 101})
    assert caught.value.params == {"tokens": 101, "limit": LIMIT}
    assert connection.json("/v1/embeddings", {"input": "x" * 101, "truncate": True})["data"]
    with pytest.raises(ContextTooLongError):
        ask(connection, "x" * 101)


@pytest.mark.parametrize(
    ("where", "body"),
    [
        ("/v1/embeddings", {}),
        ("/v1/embeddings", {"input": []}),
        ("/v1/embeddings", {"input": [1]}),
        ("/v1/embeddings", {"input": 5}),
        ("/v1/rerank", {"documents": ["a"]}),
        ("/v1/rerank", {"query": 5, "documents": ["a"]}),
        ("/v1/rerank", {"query": "a"}),
        ("/v1/rerank", {"query": "a", "documents": []}),
        ("/v1/rerank", {"query": "a", "documents": "b"}),
        ("/v1/rerank", {"query": "a", "documents": [None]}),
        ("/tokenize", {"texts": "text"}),
        ("/tokenize", {"texts": [None]}),
        ("/v1/chat/completions", {"messages": [{"content": "a"}]}),
        ("/v1/chat/completions", {"stream": True}),
        ("/v1/chat/completions", {"stream": True, "messages": []}),
    ],
)
def test_a_request_of_the_wrong_shape_is_refused(connection: ChildConnection, where: str, body: dict[str, Any]) -> None:
    with pytest.raises(BadInputError):
        connection.json(where, body)
    assert text_of(ask(connection, "on")) == "on "


def test_an_engine_without_chat_says_so(connection: ChildConnection) -> None:
    with pytest.raises(ModelFailedError, match="501"):
        ask(connection, "unsupported")


def test_unknown_paths_are_not_found(connection: ChildConnection, path: Path) -> None:
    with pytest.raises(ModelFailedError, match="404"):
        connection.json("/slots", {})
    assert b" 404 " in raw(path, b"GET /slots HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")


def test_mallory_without_the_key_gets_nothing_and_alice_is_served_on(path: Path, parrot: Parrot) -> None:
    for key in ("x", "the-kex", KEY + "x", KEY[:-1]):
        with ChildConnection(path, key, "parrot") as mallory, pytest.raises(ModelFailedError, match="401"):
            ask(mallory, "secret words")
    assert parrot.said == 0
    bare = b'POST /tokenize HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 13\r\n\r\n{"texts": []}'
    assert b" 401 " in raw(path, bare)
    with ChildConnection(path, KEY, "parrot") as alice:
        assert text_of(ask(alice, "hello")) == "hello "


def test_health_needs_no_key_and_tells_nothing_else(path: Path) -> None:
    answer = raw(path, b"GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    assert answer.endswith(b'{"status": "ok"}')


@pytest.mark.parametrize("length", ["0", "-1", str((64 << 20) + 1), str(1 << 60)])
def test_a_body_of_impossible_length_is_refused_unread(path: Path, length: str) -> None:
    request = f"POST /tokenize HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n".encode()
    assert b" 413 " in raw(path, request)


@pytest.mark.parametrize("body", [b"{", b"[]", b"null", b"\xff\xff"])
def test_a_body_that_is_no_object_is_refused(path: Path, body: bytes) -> None:
    head = f"POST /tokenize HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {KEY}\r\nConnection: close\r\n"
    answer = raw(path, head.encode() + f"Content-Length: {len(body)}\r\n\r\n".encode() + body)
    assert b" 400 " in answer


def test_a_caller_that_goes_away_ends_its_answer(path: Path, parrot: Parrot) -> None:
    with ChildConnection(path, KEY, "parrot") as connection:
        body = {"messages": [{"content": "w " * 49}], "stream": True, "pause": 0.05}
        connection.send("/v1/chat/completions", body)
        connection.begin()
        next(connection.chunks())
    assert parrot.stopped.wait(20)
    assert parrot.said < 40


def test_scores_come_in_the_order_of_the_documents(connection: ChildConnection) -> None:
    answer = connection.json("/v1/rerank", {"query": "q", "documents": ["abcd", "", "ab"]})
    assert answer["results"] == [
        {"index": 0, "relevance_score": 0.04},
        {"index": 1, "relevance_score": 0.0},
        {"index": 2, "relevance_score": 0.02},
    ]
    assert answer["usage"] == {"prompt_tokens": 7, "total_tokens": 7}
    raw = connection.json("/v1/rerank", {"query": "q", "documents": ["abcd"], "raw": True})
    assert raw["results"][0]["relevance_score"] == 4.0


def test_a_caller_that_goes_away_ends_its_scoring(path: Path, parrot: Parrot) -> None:
    with ChildConnection(path, KEY, "parrot") as connection:
        connection.send("/v1/rerank", {"query": "slow", "documents": ["a"] * 200})
        assert eventually(lambda: parrot.said > 0)
    assert parrot.stopped.wait(20)
    assert parrot.said < 200


def test_answers_run_side_by_side(path: Path) -> None:
    together = threading.Barrier(3, timeout=20)
    answers: list[str] = []

    class Waiting(Parrot):
        def count_tokens(self, texts: object) -> list[int]:
            together.wait()  # only passed when all three are inside
            return [1]

    other = path.with_name("w.sock")
    child_http.serve(str(other), KEY, "waiting", Waiting())

    def call() -> None:
        with ChildConnection(other, KEY, "waiting") as connection:
            answers.append(str(connection.json("/tokenize", {"texts": ["a"]})))

    threads = [threading.Thread(target=call) for _ in range(3)]
    for thread in threads:
        thread.start()
    assert eventually(lambda: len(answers) == 3)


def test_a_stale_socket_is_no_obstacle(path: Path, parrot: Parrot) -> None:
    stale = path.with_name("s.sock")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as gone:
        gone.bind(str(stale))
    child_http.serve(str(stale), KEY, "parrot", parrot)
    with ChildConnection(stale, KEY, "parrot") as connection:
        assert text_of(ask(connection, "hello")) == "hello "
