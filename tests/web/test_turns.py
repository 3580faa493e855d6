"""Streams that have to wait for their model: what they are told in line, in each dialect, and how a wait can end."""

import json
import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from appliance import clock
from appliance.errors import CancelledError, ModelFailedError
from appliance.gateway.stream import RawStream
from appliance.gateway.waited import Waited
from appliance.inference.client import InferenceClient
from appliance.inference.engines import scripted
from tests.simulators.box import Person, TestBox
from webui import sse
from webui.dialects import opening
from webui.dialects.opening import News, Opening

SAID = [{"role": "user", "content": "[[words 2]] hi"}]
DIALECTS: dict[str, dict[str, Any]] = {
    "/v1/chat/completions": {"messages": SAID},
    "/v1/completions": {"prompt": "[[words 2]] hi"},
    "/v1/messages": {"messages": SAID, "max_tokens": 50},
    "/v1/responses": {"input": "[[words 2]] hi", "store": False},
    "/api/v0/chat/completions": {"messages": SAID},
    "/api/v0/completions": {"prompt": "[[words 2]] hi"},
}


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opening, "PATIENCE_S", 0.0)


@pytest.fixture
def taken(box: TestBox) -> Iterator[ExitStack]:
    """Both places at the model, until the stack is closed."""
    with ExitStack() as places:
        for _ in range(2):
            places.enter_context(box.services.gateway.open("talker", {"messages": SAID}))
        yield places


def begin(person: Person, path: str, **body: Any) -> Any:
    """The response as soon as it begins."""
    return person.post("/" + path, json={"model": "talker", "stream": True} | DIALECTS[path] | body, buffered=False)


@pytest.mark.parametrize("path", DIALECTS)
@pytest.mark.usefixtures("impatient")
def test_who_waits_is_told_the_place_and_then_answered(bob: Person, path: str, taken: ExitStack) -> None:
    answer = begin(bob, path)
    frames = iter(answer.response)
    assert (answer.status_code, answer.headers["X-Hako-Queue-Position"]) == (200, "1")
    assert "X-Hako-Queue-Wait-Ms" not in answer.headers
    told = b""
    while b": queue position=1" not in told:
        told += next(frames)
    taken.close()
    text = (told + b"".join(frames)).decode()
    answer.close()
    assert "word0" in text
    assert "word1" in text
    blocks = [block for block in text.split("\n\n") if block]
    assert all(block.startswith((": ", "data: ", "event: ")) for block in blocks)
    first = next(number for number, block in enumerate(blocks) if "word0" in block)
    assert all(not block.startswith(": queue") for block in blocks[first:])


@pytest.mark.usefixtures("impatient")
def test_whole_answers_and_lines_of_json_hold_no_comment(bob: Person, taken: ExitStack) -> None:
    answers: list[Any] = []
    body = {"model": "talker", "messages": SAID}
    asked = [("//v1/chat/completions", body), ("//api/chat", body)]
    threads = [
        threading.Thread(target=lambda path=path, body=body: answers.append(bob.post(path, json=body)))
        for path, body in asked
    ]
    for thread in threads:
        thread.start()
    taken.close()
    for thread in threads:
        thread.join()
    for answer in answers:
        assert all(json.loads(line) for line in answer.get_data(as_text=True).splitlines())


def test_a_model_that_is_free_is_answered_without_a_comment(bob: Person) -> None:
    answer = begin(bob, "/v1/chat/completions")
    text = answer.get_data(as_text=True)
    answer.close()
    assert text.startswith("data: ")
    assert "\n: " not in text


@pytest.mark.parametrize("path", DIALECTS)
@pytest.mark.usefixtures("impatient")
def test_a_wait_that_ends_badly_is_told_in_the_stream(bob: Person, box: TestBox, path: str) -> None:
    name = f"frail-{len(path)}"
    folder = scripted.install(box.settings.models, name, "chat")
    gateway = box.services.gateway
    with gateway.open(name, {"messages": SAID}), gateway.open(name, {"messages": SAID}):
        answer = begin(bob, path, model=name)
        frames = iter(answer.response)
        told = b""
        while b": queue position=1" not in told:
            told += next(frames)
        (folder / "model.json").unlink()
        states = InferenceClient(box.settings.inference_socket).status()
        os.kill(states[name]["pid"], signal.SIGKILL)
        rest = b"".join(frames).decode()
        answer.close()
    assert answer.status_code == 200
    assert "HK-MOD-001" in rest


@pytest.mark.usefixtures("impatient")
def test_who_leaves_while_waiting_leaves_the_line(bob: Person, box: TestBox, taken: ExitStack) -> None:
    answer = begin(bob, "/v1/messages")
    assert next(iter(answer.response)).startswith(b": queue")
    answer.close()
    assert box.box.places.taken == 0
    later = begin(bob, "/v1/messages")
    frames = iter(later.response)
    told = b""
    while b": queue position=1" not in told:  # the one who left isn't before it for long
        told += next(frames)
    taken.close()
    assert b"word1" in b"".join(frames)
    later.close()


@pytest.mark.usefixtures("impatient")
def test_a_keys_backlog_comes_after_its_owners_browser(bob: Person, box: TestBox, taken: ExitStack) -> None:
    secret = bob.post("/me/keys", json={"name": "backlog"}).get_json()
    with_key = {"Authorization": f"Bearer {secret['key']}"}
    body = {"model": "talker", "stream": True, "messages": SAID}
    path = "/v1/chat/completions"
    backlog = [
        box.app.test_client().post(path, json=body, headers=with_key, buffered=False) for _ in range(3)
    ]  # fmt: skip
    assert [answer.headers["X-Hako-Queue-Position"] for answer in backlog] == ["1", "2", "3"]
    own = begin(bob, path)
    assert own.headers["X-Hako-Queue-Position"] == "2"
    taken.close()
    for answer in (own, *backlog):
        assert "word1" in answer.get_data(as_text=True)
        answer.close()
    bob.delete(f"/me/keys/{secret['item']['id']}")


ASKED = "夜勤手当は1回につきいくらですか。"
BASES: dict[str, dict[str, Any]] = {
    "/v1/chat/completions": {"messages": [{"role": "user", "content": ASKED}]},
    "/v1/messages": {"messages": [{"role": "user", "content": ASKED}], "max_tokens": 50},
    "/v1/responses": {"input": ASKED, "store": False},
    "/api/v0/chat/completions": {"messages": [{"role": "user", "content": ASKED}]},
    "/api/v1/chat": {"input": ASKED, "store": False},
}


@pytest.fixture
def search_taken(box: TestBox) -> Iterator[ExitStack]:
    """Every place at the embedding model, which each search needs, until the stack is closed."""
    client = InferenceClient(box.settings.inference_socket)
    with ExitStack() as places:
        places.enter_context(client.lease("embedder"))
        states = client.status()
        for _ in range(states["embedder"]["parallel"] - 1):
            places.enter_context(client.lease("embedder"))
        yield places


@pytest.mark.parametrize("path", BASES)
def test_who_asks_a_base_is_told_the_place_at_the_searchs_model(
    bob: Person, handbook: dict[str, str], path: str, search_taken: ExitStack
) -> None:
    person = bob.at("lmstudio") if path == "/api/v1/chat" else bob
    body = {"model": f"kb:{handbook['base']}", "stream": True} | BASES[path]
    answer = person.post("/" + path, json=body, buffered=False)
    frames = iter(answer.response)
    told = b""
    while b": queue position=1" not in told:
        told += next(frames)
    search_taken.close()
    text = (told + b"".join(frames)).decode()
    answer.close()
    assert "6,000円" in text
    assert all(block.startswith((": ", "data: ", "event: ")) for block in text.split("\n\n") if block)


def test_the_box_own_question_is_told_the_place_too(
    bob: Person, handbook: dict[str, str], search_taken: ExitStack
) -> None:
    body = {"question": ASKED, "base_ids": [handbook["base"]]}
    answer = bob.post("/ask", json=body, headers={"Accept": "text/event-stream"}, buffered=False)
    frames = iter(answer.response)
    told = b""
    while b'"stage":"queued","position":1' not in told:
        told += next(frames)
    search_taken.close()
    assert "6,000円" in b"".join(frames).decode()
    answer.close()


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("ends_badly", [False, True])
def test_a_chat_of_lm_studio_is_told_the_place_and_then_answered(bob: Person, box: TestBox, ends_badly: bool) -> None:
    name = f"studio-{ends_badly}".lower()
    folder = scripted.install(box.settings.models, name, "chat")
    gateway = box.services.gateway
    with gateway.open(name, {"messages": SAID}) as one, gateway.open(name, {"messages": SAID}) as two:
        body = {"model": name, "stream": True, "input": "[[words 2]] hi", "store": False}
        answer = bob.at("lmstudio").post("//api/v1/chat", json=body, buffered=False)
        assert (answer.status_code, answer.headers["X-Hako-Queue-Position"]) == (200, "1")
        frames = iter(answer.response)
        told = b""
        while b": queue position=1" not in told:
            told += next(frames)
        if ends_badly:
            (folder / "model.json").unlink()
            os.kill(InferenceClient(box.settings.inference_socket).status()[name]["pid"], signal.SIGKILL)
        else:
            one.close()
            two.close()
        text = (told + b"".join(frames)).decode()
        answer.close()
    kinds = [block.split("\n")[0] for block in text.split("\n\n") if block.startswith("event: ")]
    assert kinds[0] == "event: chat.start"
    assert kinds[-1] == "event: chat.end"
    assert ("HK-MOD-001" in text, "word1" in text) == (ends_badly, not ends_badly)
    if not ends_badly:
        box.drop_model(name)


# -- without a box


class Later(RawStream):
    """Nothing to read; notes that it was closed."""

    def __init__(self, left_out: int = 0) -> None:
        self.closed = threading.Event()
        self.left_out = left_out
        self.lowered = {"max_tokens": 9} if left_out else {}

    def __iter__(self) -> Iterator[bytes]:
        return iter([b"data"])

    def close(self) -> None:
        self.closed.set()


def waiting(stream: Later, go: threading.Event) -> Callable[[Callable[[], bool], Waited], RawStream]:
    def start(stopped: Callable[[], bool], waited: Waited) -> RawStream:
        waited.told("queued", 2, 3.0)
        while not go.wait(0.01):
            if stopped():
                raise CancelledError
        waited.end()
        return stream

    return start


@pytest.mark.usefixtures("impatient")
def test_what_was_left_out_is_told_once_it_is_known() -> None:
    go = threading.Event()
    with Opening(waiting(Later(left_out=3), go), lambda: False, apart=True) as found:
        found.wait()
        assert found.left_out == 0
        comments = found.comments()
        assert next(comments).text.startswith("queue position=2 wait_ms=")
        go.set()
        assert [comment.text for comment in comments][-2:] == ["messages left out=3", "capped max_tokens=9"]
        assert list(found) == [b"data"]


@pytest.mark.usefixtures("impatient")
def test_a_stream_that_begins_after_its_reader_has_gone_is_closed() -> None:
    go, stream = threading.Event(), Later()

    def deaf(_stopped: Callable[[], bool], waited: Waited) -> RawStream:
        waited.told("queued", 1, None)
        go.wait(10)
        return stream

    found = Opening(deaf, lambda: False, apart=True)
    found.wait()
    found.close()
    assert not stream.closed.is_set()
    go.set()
    assert stream.closed.wait(10)


def test_a_wait_that_nobody_is_in_line_for_is_not_told_early() -> None:
    go, stream = threading.Event(), Later()
    threading.Timer(0.3, go.set).start()

    def reading(_stopped: Callable[[], bool], _waited: Waited) -> RawStream:
        go.wait(10)
        return stream

    found = Opening(reading, lambda: False, apart=True)
    found.wait()
    assert list(found.comments()) == []
    assert list(found) == [b"data"]


def test_why_there_is_no_answer_is_raised_where_it_is_waited_for() -> None:
    def refused(_stopped: Callable[[], bool], _waited: Waited) -> RawStream:
        raise ModelFailedError(name="talker")

    for apart in (True, False):
        with pytest.raises(ModelFailedError):
            Opening(refused, lambda: False, apart=apart).wait()


def test_news_are_told_when_they_are_new_and_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(clock, "monotonic", lambda: now[0])
    waited = Waited()
    news = News(waited)
    assert news.look() is None
    waited.told("loading", 3, None)
    assert news.look() == sse.Comment("loading position=3")
    assert news.look() is None
    waited.told("queued", 2, 12.0)
    now[0] += 2
    assert news.look() == sse.Comment("queue position=2 wait_ms=10000")
    now[0] += 4
    assert news.look() is None
    now[0] += 2
    assert news.look() == sse.Comment("queue position=2 wait_ms=4000")
    waited.end()
    assert (waited.place, waited.seconds, waited.now()) == (3, 8.0, None)
    now[0] += 9
    assert news.look() is None
    now[0] += 1
    assert news.look() == sse.PING
