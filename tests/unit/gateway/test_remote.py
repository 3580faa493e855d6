"""The gateway's models of other machines: asked for through the real way out, recorded, never taken at their word."""

import json
import os
import tempfile
import time
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from appliance.config import Settings
from appliance.errors import (
    BadInputError,
    BusyError,
    CancelledError,
    ConflictError,
    ContextTooLongError,
    DestinationKeyError,
    DestinationUnreachableError,
    ElsewhereError,
    HakoError,
    ModelFailedError,
    ModelNotFoundError,
    PictureAddressError,
    WrongModelKindError,
)
from appliance.gateway.credentials import Credentials
from appliance.gateway.destinations import Destination, Destinations, FarModel
from appliance.gateway.egress import EgressServer
from appliance.gateway.gateway import ChatRequest, Gateway
from appliance.gateway.remote import Remote, estimate
from appliance.machine import peers
from appliance.storage.audit import Audit
from appliance.storage.checkpoints import Witness
from appliance.storage.database import Database
from tests.simulators import vision
from tests.simulators.far_server import FarServer

KEY = "far-key-4711"
ROLES = ("user", "assistant")
MODELS = (FarModel(name="talker", context=1000), FarModel(name="org/e5", kind="embedding"))
BODY = {"messages": [{"role": "user", "content": "red green blue"}], "grammar": "root ::= x", "cache_prompt": True}


@dataclass
class Lab:
    gateway: Gateway
    far: FarServer
    audit: Audit
    destinations: Destinations

    def entries(self) -> list[tuple[str, str, str, dict[str, Any]]]:
        return [(entry.actor, entry.action, entry.target, entry.detail) for entry in self.audit.entries()][::-1]

    def answers(self, status: int, content: bytes, path: str = "/v1/chat/completions") -> None:
        self.far.answers[path] = (status, {"Content-Type": "text/event-stream"}, content)

    def failure(self) -> HakoError:
        with pytest.raises(HakoError) as told, self.gateway.open("lab/talker", BODY) as stream:
            list(stream)
        return told.value


@pytest.fixture
def lab(database: Database) -> Iterator[Lab]:
    with tempfile.TemporaryDirectory() as folder, FarServer(key=KEY) as far:
        settings = Settings(data_dir=Path(folder))
        destinations = Destinations(settings.destinations)
        place = {"name": "lab", "url": far.url, "address": "127.0.0.1", "private": True, "models": MODELS}
        destinations.add(Destination(**place))
        credentials = Credentials(database)
        audit = Audit(database, bytes(32), Witness(settings.audit_checkpoints, bytes(32)))
        credentials.put("lab", KEY)
        egress = EgressServer(settings.egress_socket, destinations, peers.is_own_or_root)
        egress.start()
        remote = Remote(destinations, settings.egress_socket, credentials.key, audit.record)
        yield Lab(Gateway(settings, remote), far, audit, destinations)
        egress.stop()


def test_a_remote_model_stands_among_the_others(lab: Lab) -> None:
    talker, e5 = lab.gateway.models()
    assert (talker.id, talker.kind, talker.engine, talker.state) == ("lab/talker", "chat", "remote", "loaded")
    assert (talker.languages, talker.size_bytes, talker.sha256, talker.context) == (("und",), 0, "", 1000)
    assert (e5.id, e5.kind) == ("lab/org/e5", "embedding")
    assert lab.gateway.model("lab/org/e5").id == "lab/org/e5"
    for unknown in ("lab/other", "other/talker", "lab/", "lab", "talker"):
        with pytest.raises(ModelNotFoundError):
            lab.gateway.model(unknown)


def test_a_chat_is_written_there_and_recorded_without_a_word_of_it(lab: Lab) -> None:
    bound = lab.gateway.acting_for("usr_bob", lambda _model: True)
    request = ChatRequest(model="lab/talker", messages=BODY["messages"], max_tokens=9, grammar="root ::= x")
    with bound.chat(request) as stream:
        assert "".join(stream) == "red green blue "
        assert (stream.finish, stream.prompt_tokens) == ("stop", 3)
    asked = lab.far.seen[0]
    assert (asked[1], asked[2]["Authorization"]) == ("/v1/chat/completions", f"Bearer {KEY}")
    assert set(asked[3]) == {"model", "stream", "messages", "max_tokens", "temperature", "stream_options"}
    assert asked[3]["model"] == "talker"
    (actor, action, target, sent), (_, done, _, received) = lab.entries()
    assert (actor, action, target, sent["destination"]) == ("usr_bob", "remote-call", "lab/talker", "lab")
    assert (done, received["result"]) == ("remote-answer", "ok")
    assert int(sent["sent_bytes"]) > 100
    assert int(received["bytes"]) > 100
    assert "green" not in json.dumps(lab.entries())


def test_a_way_of_choosing_that_other_servers_do_not_know_is_refused_and_not_dropped(lab: Lab) -> None:
    with pytest.raises(BadInputError) as refused:
        lab.gateway.open("lab/talker", {**BODY, "mirostat": 2})
    assert refused.value.params == {"field": "mirostat"}
    assert lab.far.seen == []


def test_the_boxs_own_long_chat_is_sent_without_its_beginning_and_a_programs_whole(lab: Lab) -> None:
    turns = [{"role": role, "content": f"{role} {i} " + "word " * 100} for i in range(9) for role in ROLES]
    messages = [{"role": "system", "content": "short"}, *turns, {"role": "user", "content": "red"}]
    with lab.gateway.chat(ChatRequest(model="lab/talker", messages=messages, max_tokens=200)) as stream:
        list(stream)
    sent = lab.far.seen[-1][3]["messages"]
    assert 0 < stream.left_out == len(messages) - len(sent)
    assert (sent[0], sent[1]["role"], sent[-1]) == (messages[0], "user", messages[-1])
    with lab.gateway.open("lab/talker", {"messages": messages}) as raw:
        list(raw)
    assert (lab.far.seen[-1][3]["messages"], raw.left_out) == (messages, 0)
    long = [*messages[:-1], {"role": "user", "content": "word " * 3000}]
    with lab.gateway.chat(ChatRequest(model="lab/talker", messages=long, max_tokens=200)) as stream:
        list(stream)
    assert lab.far.seen[-1][3]["messages"] == [long[0], long[-1]]


def test_a_demanded_call_is_asked_for_in_the_words_that_every_server_knows(lab: Lab) -> None:
    tools = [{"type": "function", "function": {"name": name, "parameters": {"type": "objekt"}}} for name in ("a", "b")]
    named = {"type": "function", "function": {"name": "b"}}
    for wish, asked in ((named, ("required", tools[1:])), ("none", ("none", tools)), (None, ("auto", tools))):
        with lab.gateway.open("lab/talker", {**BODY, "tools": tools, "tool_choice": wish}) as stream:
            list(stream)
        sent = lab.far.seen[-1][3]
        assert (sent["tool_choice"], sent["tools"]) == asked
    with lab.gateway.open("lab/talker", {**BODY, "tool_choice": "auto", "parallel_tool_calls": False}) as stream:
        list(stream)
    assert not {"tools", "tool_choice", "parallel_tool_calls"} & lab.far.seen[-1][3].keys()
    with pytest.raises(BadInputError):
        lab.gateway.open("lab/talker", {**BODY, "tool_choice": named})


def test_chunks_bear_the_name_that_was_asked_for(lab: Lab) -> None:
    with lab.gateway.open("lab/talker", BODY) as stream:
        events = b"".join(stream).decode().split("\n\n")
    assert json.loads(events[0][6:])["model"] == "lab/talker"
    assert events[-2:] == ["data: [DONE]", ""]


def test_pictures_are_passed_on_and_no_bytes_of_them_counted_as_words(lab: Lab) -> None:
    noise = zlib.compress(b"".join(b"\0" + os.urandom(3 * 200) for _ in range(200)))
    shown = vision.seen("what is this", vision.png_of(200, 200, noise), vision.webp())
    with lab.gateway.open("lab/talker", {"messages": [shown]}) as stream:
        assert b"image_url" in b"".join(stream)
    parts = lab.far.seen[0][3]["messages"][0]["content"]
    assert parts[:2] == shown["content"][:2]
    assert parts[2]["image_url"]["url"].startswith("data:image/webp;base64,")
    lab.answers(400, b'{"error": "context length exceeded"}')
    with pytest.raises(ContextTooLongError) as told:
        lab.gateway.open("lab/talker", {"messages": [shown]})
    assert 2000 < int(told.value.params["tokens"]) < 2500


def test_no_other_machine_is_made_to_fetch_a_picture(lab: Lab) -> None:
    part = {"type": "image_url", "image_url": {"url": "http://10.0.0.1/x.png"}}
    with pytest.raises(PictureAddressError):
        lab.gateway.open("lab/talker", {"messages": [{"role": "user", "content": [part]}]})
    assert lab.far.seen == []


def test_a_bare_prompt_goes_on_there_too(lab: Lab) -> None:
    asked = {"prompt": "one two", "logprobs": 2, "n_probs": 2, "logit_bias": [[5, 1.5]]}
    with lab.gateway.complete("lab/talker", asked) as stream:
        assert b'"one "' in b"".join(stream)
    assert lab.far.seen[0][1] == "/v1/completions"
    sent = lab.far.seen[0][3]
    assert (sent["logprobs"], sent["logit_bias"], "n_probs" in sent) == (2, {"5": 1.5}, False)


def test_vectors_come_back_in_order(lab: Lab) -> None:
    vectors, tokens = lab.gateway.embed_raw("lab/org/e5", ["a", "bbb", "cc"])
    assert (vectors[:, 0].tolist(), tokens) == ([1.0, 3.0, 2.0], 7)
    assert lab.far.seen[0][3]["model"] == "org/e5"
    assert lab.gateway.embed_raw("lab/org/e5", [])[1] == 0


@pytest.mark.parametrize(
    "answer",
    [b"[]", b"{", b"{}", b'{"data": [{"index": 0, "embedding": []}]}', b'{"data": [{"index": 0, "embedding": [NaN]}]}'],
)
def test_what_is_no_vector_is_a_failure(lab: Lab, answer: bytes) -> None:
    lab.answers(200, answer, "/v1/embeddings")
    with pytest.raises((ModelFailedError, DestinationUnreachableError)):
        lab.gateway.embed_raw("lab/org/e5", ["a"])


def test_each_kind_answers_only_what_it_is_for(lab: Lab) -> None:
    with pytest.raises(WrongModelKindError):
        lab.gateway.open("lab/org/e5", BODY)
    with pytest.raises(WrongModelKindError):
        lab.gateway.embed_raw("lab/talker", ["a"])


def test_what_only_the_other_machine_can_do_is_refused_with_a_sentence(lab: Lab) -> None:
    for ask in (lab.gateway.load, lab.gateway.unload):
        with pytest.raises(ElsewhereError):
            ask("lab/talker")
    assert lab.far.seen == []


def test_tokens_are_estimated_rather_too_high(lab: Lab) -> None:
    assert lab.gateway.count_tokens(["", "日本語の文です", "a word or two"], "lab/talker") == [4, 11, 9]
    assert estimate(["x" * 300])[0] > 100
    short, long = (
        lab.gateway.count_prompt("lab/talker", {"messages": [{"role": "user", "content": text}]})
        for text in ("夜", "夜" * 100)
    )
    assert long - short == 99
    with pytest.raises(WrongModelKindError):
        lab.gateway.count_prompt("lab/org/e5", BODY)
    assert lab.far.seen == []


def test_who_may_not_use_it_does_not_know_it(lab: Lab) -> None:
    mallory = lab.gateway.acting_for("usr_mallory", lambda model: model != "lab/talker")
    assert [model.id for model in mallory.models()] == ["lab/org/e5"]
    with pytest.raises(ModelNotFoundError):
        mallory.open("lab/talker", BODY)
    assert lab.far.seen == []


def test_an_alias_may_stand_for_a_remote_model_but_not_take_its_name(lab: Lab) -> None:
    lab.gateway.aliases.put("gpt-4o", "lab/talker")
    assert lab.gateway.model("gpt-4o").aliases == ("gpt-4o",)
    with pytest.raises(ConflictError):
        lab.gateway.aliases.put("lab/talker", "lab/org/e5")


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, BadInputError), (401, DestinationKeyError), (403, DestinationKeyError), (404, ModelFailedError),
        (429, BusyError), (503, BusyError), (500, ModelFailedError), (302, DestinationUnreachableError),
    ],
)  # fmt: skip
def test_an_error_there_is_one_of_ours_without_its_words(lab: Lab, status: int, kind: type[HakoError]) -> None:
    lab.answers(status, b'{"error": {"message": "<script>secret words</script>"}}')
    error = lab.failure()
    assert type(error) is kind
    assert "secret" not in f"{error} {error.detail} {error.params}"
    assert lab.entries()[-1][3]["result"] == error.code


@pytest.mark.parametrize(
    "words",
    [
        '{"error": {"code": "context_length_exceeded", "message": "x"}}',
        '{"error": {"type": "exceed_context_size_error", "message": "the request exceeds the available context size"}}',
        '{"error": "the model is loaded with context length of only 4096 tokens"}',
    ],
)
def test_too_long_a_text_is_told_as_such_however_the_server_words_it(lab: Lab, words: str) -> None:
    lab.answers(400, words.encode())
    error = lab.failure()
    assert isinstance(error, ContextTooLongError)
    assert error.params["limit"] == 1000


@pytest.mark.parametrize(
    "stream",
    [
        b"",
        b'data: {"choices": [{"delta": {"content": "half"}}]}\n\n',
        b'data: {"error": {"message": "secret words"}}\n\n',
        b"data: {broken\n\n",
        b"data: [1]\n\n",
        b'data: {"choices": "secret words"}\n\n',
        b"data: " + b"[" * 100_000 + b"\n\n",
    ],
)
def test_an_answer_that_ends_in_the_middle_or_makes_no_sense_is_a_failure(lab: Lab, stream: bytes) -> None:
    lab.answers(200, stream)
    error = lab.failure()
    assert type(error) is ModelFailedError
    assert "secret" not in f"{error} {error.detail} {error.params}"


def test_an_answer_without_the_last_word_is_whole_if_it_was_finished(lab: Lab) -> None:
    lab.answers(200, b': ping\n\ndata: {"choices": [{"delta": {"content": "x"}, "finish_reason": "stop"}]}')
    with lab.gateway.open("lab/talker", BODY) as stream:
        assert b"".join(stream).endswith(b"data: [DONE]\n\n")


def test_a_stop_is_recorded_and_reaches_the_machine(lab: Lab) -> None:
    lab.far.pause_s = 0.02
    body = {"messages": [{"role": "user", "content": "word " * 500}]}
    with lab.gateway.open("lab/talker", body) as stream:
        pieces = iter(stream)
        next(pieces)
        stream.cut()
        with pytest.raises(CancelledError):
            list(pieces)
    end = time.monotonic() + 0.5
    while lab.far.writing and time.monotonic() < end:
        time.sleep(0.01)
    assert lab.far.writing == 0
    assert lab.entries()[-1][3]["result"] == "HK-RUN-001"


def test_a_failed_destination_says_so_until_it_answers_again(lab: Lab) -> None:
    lab.answers(302, b"")
    lab.failure()
    assert [model.state for model in lab.gateway.models()] == ["failed", "failed"]
    lab.far.answers.clear()
    assert lab.gateway.remote
    assert lab.gateway.remote.offered("lab", "alice") == ["embedder", "talker"]
    assert lab.gateway.model("lab/talker").state == "loaded"


def test_only_what_could_be_a_models_name_is_shown_of_what_it_offers(lab: Lab) -> None:
    names = ["fine", "org/fine:4b", "<b>", "a\nb", "../up", "", 5, None, "x" * 500]
    lab.answers(200, json.dumps({"data": [*({"id": name} for name in names), "odd"]}).encode(), "/v1/models")
    assert lab.gateway.remote
    assert lab.gateway.remote.offered("lab", "alice") == ["fine", "org/fine:4b"]


def test_a_removed_destination_is_unknown_at_once(lab: Lab) -> None:
    lab.destinations.remove("lab")
    assert lab.gateway.models() == []
    with pytest.raises(ModelNotFoundError):
        lab.gateway.open("lab/talker", BODY)
    assert lab.far.seen == []
