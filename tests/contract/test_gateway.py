"""The gateway's contract, held against models of this box in real children and a model of another machine alike."""

import os
import signal
import tempfile
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from appliance.config import Settings
from appliance.errors import (
    CancelledError,
    ContextTooLongError,
    ModelFailedError,
    ModelNotFoundError,
    WrongModelKindError,
)
from appliance.gateway.destinations import Destination, Destinations, FarModel
from appliance.gateway.egress import EgressServer
from appliance.gateway.gateway import ChatRequest, Gateway
from appliance.gateway.remote import Remote
from appliance.inference.client import InferenceClient
from appliance.inference.engines import scripted
from appliance.inference.importing import Importer, Wish
from appliance.inference.supervisor import Supervisor
from appliance.machine import peers
from tests.contract.test_engines import events, text_of
from tests.simulators import gguf
from tests.simulators.far_server import FarServer

CONTEXT = 4096
LONG = 3900
"""Words or tokens of a long answer: more than fits into a socket's buffer."""
COLOURS = "red green blue"


@dataclass
class Lab:
    """A gateway with a chat model of this kind behind it, and perhaps an embedding model."""

    gateway: Gateway
    chat: str
    vectors: str
    kill: Callable[[], object]
    """End what writes the answers, as a crash does."""
    says: dict[str, Any]
    """What makes it answer with `COLOURS` when it is asked for them."""
    long: dict[str, Any]
    """A body whose answer takes some time."""

    def body(self, **more: Any) -> dict[str, Any]:
        asked = {"messages": [{"role": "user", "content": COLOURS}], "temperature": 0, **self.says}
        return {**asked, "stream_options": {"include_usage": True}, **more}

    def asked(self, **more: Any) -> list[dict[str, Any]]:
        """All events of an answer."""
        with self.gateway.open(self.chat, self.body(**more)) as stream:
            return events(b"".join(stream))


def finish_of(answer: list[dict[str, Any]]) -> list[str]:
    told = [choice["finish_reason"] for event in answer for choice in event.get("choices", ())]
    return [each for each in told if each]


def settings_of(folder: Path) -> Settings:
    given = {"chat_model": "talker", "embedding_model": "embedder", "threads": 1, "context_tokens": CONTEXT}
    settings = Settings.model_validate({"data_dir": folder, "inference": {**given, "parallel": 2}})
    settings.run_dir.mkdir(parents=True)
    return settings


def here(folder: Path, engine: str) -> Iterator[Lab]:
    """A model of this box."""
    settings = settings_of(folder)
    scripted.install(settings.models, "embedder", "embedding")
    text, says = f"[[words {LONG}]] [[delay 1]]", {}
    if engine == "scripted":
        scripted.install(settings.models, "talker", "chat")
    else:
        file = gguf.tiny_llama(folder / "Talker.gguf", llama__context_length=CONTEXT)
        wish = Wish(path=str(file), licence="CC0-1.0", languages=("en",))
        with Importer(settings, lambda _name: False).begin(wish) as incoming:
            list(incoming.copy())
            incoming.finish()
        text, says = "hello", {"grammar": f'root ::= "{COLOURS}"'}
    long = {"messages": [{"role": "user", "content": text}], "max_tokens": LONG, "ignore_eos": True}
    supervisor = Supervisor(settings)
    supervisor.start()
    client = InferenceClient(settings.inference_socket)

    def kill() -> None:
        os.kill(client.status()["talker"]["pid"], signal.SIGKILL)

    try:
        yield Lab(Gateway(settings), "talker", "embedder", kill, says, long)
    finally:
        supervisor.stop()


def elsewhere(folder: Path) -> Iterator[Lab]:
    """A model of another machine, through the real way out."""
    settings = settings_of(folder)
    with FarServer(models=("talker", "e5")) as far:
        far.context, far.pause_s = CONTEXT, 0.001
        destinations = Destinations(settings.destinations)
        models = (FarModel(name="talker", context=CONTEXT), FarModel(name="e5", kind="embedding"))
        destinations.add(Destination(name="lab", url=far.url, address="127.0.0.1", private=True, models=models))
        egress = EgressServer(settings.egress_socket, destinations, peers.is_own_or_root)
        egress.start()
        remote = Remote(destinations, settings.egress_socket, lambda _name: None, lambda *_told, **_more: None)
        long = {"messages": [{"role": "user", "content": "word " * LONG}]}
        try:
            yield Lab(Gateway(settings, remote), "lab/talker", "lab/e5", far.die, {}, long)
        finally:
            egress.stop()


@pytest.fixture(scope="module", params=["scripted", "llama", "remote"])
def lab(request: pytest.FixtureRequest) -> Iterator[Lab]:
    with tempfile.TemporaryDirectory(prefix="hako-") as folder:
        yield from elsewhere(Path(folder)) if request.param == "remote" else here(Path(folder), request.param)


def test_an_answer_is_a_stream_of_openais_shape_under_the_name_that_was_asked_for(lab: Lab) -> None:
    with lab.gateway.open(lab.chat, lab.body()) as stream:
        raw = b"".join(stream)
    assert raw.endswith(b"data: [DONE]\n\n")
    answer = events(raw)
    assert text_of(answer).strip() == COLOURS
    assert finish_of(answer) == ["stop"]
    assert {event["model"] for event in answer if event.get("model")} == {lab.chat}
    usage = answer[-1]["usage"]
    assert usage["prompt_tokens"] >= 1
    assert usage["completion_tokens"] >= 3


def test_a_chat_of_the_box_tells_its_text_and_its_figures(lab: Lab) -> None:
    request = ChatRequest(
        model=lab.chat, messages=lab.body()["messages"], max_tokens=40, grammar=lab.says.get("grammar")
    )
    with lab.gateway.chat(request) as stream:
        assert "".join(map(str, stream)).strip() == COLOURS
    assert stream.finish == "stop"
    assert stream.tokens >= 3
    assert (stream.prompt_tokens or 0) >= 1


def test_a_bare_text_goes_on(lab: Lab) -> None:
    asked = {"prompt": COLOURS, "temperature": 0, "max_tokens": 60, **lab.says}
    with lab.gateway.complete(lab.chat, asked) as stream:
        answer = events(b"".join(stream))
    assert "".join(choice["text"] for event in answer for choice in event["choices"]).strip() == COLOURS
    assert finish_of(answer) == ["stop"]


def test_it_ends_at_a_stop_word_and_says_nothing_of_it(lab: Lab) -> None:
    if lab.gateway.model(lab.chat).engine == "scripted":
        pytest.skip("the stand-in knows no stop words")
    answer = lab.asked(stop=["green"])
    assert text_of(answer).strip() == "red"
    assert finish_of(answer) == ["stop"]


def test_max_tokens_is_kept_and_told(lab: Lab) -> None:
    answer = lab.asked(max_tokens=2)
    assert finish_of(answer) == ["length"]
    assert COLOURS.startswith(text_of(answer).strip())
    assert text_of(answer).strip() != COLOURS


def test_too_long_a_text_is_refused_with_its_figures_and_the_next_is_answered(lab: Lab) -> None:
    with pytest.raises(ContextTooLongError) as told:
        lab.asked(messages=[{"role": "user", "content": "pump " * 9000}])
    assert told.value.params["limit"] == CONTEXT
    assert int(told.value.params["tokens"]) > CONTEXT
    assert finish_of(lab.asked()) == ["stop"]


def test_a_cut_ends_it_in_the_middle_from_any_thread(lab: Lab) -> None:
    with lab.gateway.open(lab.chat, lab.long) as stream:
        pieces = iter(stream)
        size = len(next(pieces))
        cutter = threading.Thread(target=stream.cut)
        cutter.start()
        with pytest.raises(CancelledError):
            size += sum(map(len, pieces))
        cutter.join(10)
    assert size < 100 * LONG  # each event takes more
    assert finish_of(lab.asked()) == ["stop"]


def test_nobody_who_asks_for_a_stop_waits_for_the_end(lab: Lab) -> None:
    stop = threading.Event()
    with lab.gateway.open(lab.chat, lab.long, stopped=stop.is_set) as stream:
        pieces = iter(stream)
        next(pieces)
        stop.set()
        with pytest.raises(CancelledError):
            list(pieces)
    assert finish_of(lab.asked()) == ["stop"]


def test_what_dies_in_the_middle_costs_one_answer(lab: Lab) -> None:
    with lab.gateway.open(lab.chat, lab.long) as stream:
        pieces = iter(stream)
        next(pieces)
        lab.kill()
        with pytest.raises(ModelFailedError):
            list(pieces)
    assert finish_of(lab.asked()) == ["stop"]


def test_vectors_come_in_order_with_their_tokens(lab: Lab) -> None:
    texts = ["a", "a longer text", "pump"]
    vectors, tokens = lab.gateway.embed_raw(lab.vectors, texts)
    assert (len(vectors), vectors.dtype) == (3, np.float32)
    assert tokens >= 3
    alone = np.concatenate([lab.gateway.embed_raw(lab.vectors, [text])[0] for text in texts])
    np.testing.assert_allclose(vectors, alone, atol=1e-6)
    assert len(lab.gateway.embed_raw(lab.vectors, [])[0]) == 0


def test_longer_texts_have_more_tokens(lab: Lab) -> None:
    none, short, long = lab.gateway.count_tokens(["", "pump", "pump " * 200], lab.chat)
    assert none < short < long
    few, many = (
        lab.gateway.count_prompt(lab.chat, {"messages": [{"role": "user", "content": text}]})
        for text in ("pump", "pump " * 200)
    )
    assert few < many
    assert many >= 200


def test_each_model_answers_only_what_it_is_for(lab: Lab) -> None:
    with pytest.raises(WrongModelKindError):
        lab.gateway.open(lab.vectors, lab.body())
    with pytest.raises(WrongModelKindError):
        lab.gateway.embed_raw(lab.chat, ["a"])
    with pytest.raises(ModelNotFoundError):
        lab.gateway.open(f"{lab.chat}-other", lab.body())
