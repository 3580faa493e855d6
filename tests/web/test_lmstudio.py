"""The LM Studio dialect: the older API beside the box's own, the newer one at its port; figures, events, refusals."""

import json
from typing import Any

import pytest

from appliance.accounts.permissions import Permission
from appliance.gateway.gateway import Gateway
from appliance.inference.engines import scripted
from tests.simulators.box import Person, TestBox
from webui import routing
from webui.dialects import responses_items
from webui.dialects.lmstudio_answer import Reply
from webui.dialects.lmstudio_request import ChatBody, Item
from webui.dialects.lmstudio_state import _item

Json = dict[str, Any]
MESSAGES = [{"role": "user", "content": "[[words 4]] hi"}]
WORDS = "word0 word1 word2 word3"
QUESTION = "夜勤手当は1回につきいくらですか。"
REASONS = {"eosFound", "maxPredictedTokensReached", "contextLengthReached", "toolCalls"}


@pytest.fixture(scope="session")
def bob_there(bob: Person) -> Person:
    """Bob's program at LM Studio's port."""
    return bob.at("lmstudio")


def old_chat(person: Person, **body: Any) -> Any:
    return person.post("//api/v0/chat/completions", json={"model": "talker", "messages": MESSAGES} | body)


def chat(person: Person, **body: Any) -> Any:
    return person.post("//api/v1/chat", json={"model": "talker", "input": "[[words 4]] hi"} | body)


def chunks(answer: Any) -> list[Json]:
    blocks = answer.get_data(as_text=True).split("\n\n")[:-1]
    *lines, end = [block for block in blocks if not block.startswith(":")]  # on a busy machine the loading is told
    assert end == "data: [DONE]"
    return [json.loads(line.removeprefix("data: ")) for line in lines]


def events(answer: Any) -> list[Json]:
    """The data of each event, whose name must be its type."""
    found = []
    for frame in answer.get_data(as_text=True).split("\n\n"):
        if frame and not frame.startswith(":"):
            name, data = frame.split("\n")
            found.append(json.loads(data.removeprefix("data: ")))
            assert name == f"event: {found[-1]['type']}"
    return found


def check_beside(answer: Json, reason: str = "eosFound") -> None:
    stats = answer["stats"]
    assert stats.keys() == {"tokens_per_second", "time_to_first_token", "generation_time", "stop_reason"}
    assert stats["stop_reason"] == reason in REASONS
    assert all(stats[name] >= 0 for name in stats.keys() - {"stop_reason"})
    assert answer["model_info"].keys() == {"arch", "quant", "format", "context_length"}
    assert answer["runtime"].keys() == {"name", "version", "supported_formats"}


def set_loaded(box: TestBox, *, loaded: bool) -> None:
    (box.services.gateway.load if loaded else box.services.gateway.unload)("talker")


# -- the older API, at the box's own port and at LM Studio's


def test_the_older_list_says_what_is_loaded(bob: Person, bob_there: Person, box: TestBox) -> None:
    set_loaded(box, loaded=True)
    for person in (bob, bob_there):
        listed = person.get("//api/v0/models").get_json()
        assert listed["object"] == "list"
        models = {model["id"]: model for model in listed["data"]}
        assert (models["talker"]["type"], models["embedder"]["type"]) == ("llm", "embeddings")
        assert (models["talker"]["state"], models["talker"]["loaded_context_length"]) == ("loaded", 4096)
        assert person.get("//api/v0/models/talker").get_json() == models["talker"]
        assert person.get("//api/v0/models/nobody").get_json()["error"]["code"] == "model_not_found"


def test_the_older_lists_of_two_people_hold_the_bases_of_each(bob: Person, mallory: Person, handbook: Json) -> None:
    def listed(person: Person) -> set[str]:
        return {model["id"] for model in person.get("//api/v0/models").get_json()["data"]}

    assert "kb:Bob's handbook" in listed(bob) - listed(mallory)
    assert bob.get("//api/v0/models/kb:Bob's handbook").get_json()["arch"] == "documents"


def test_an_older_chat_carries_figures_whole_and_in_its_last_chunk(bob: Person) -> None:
    whole = old_chat(bob).get_json()
    assert whole["choices"][0]["message"]["content"] == WORDS
    assert whole["usage"]["completion_tokens"] == 4
    check_beside(whole)
    *before, last = chunks(old_chat(bob, stream=True))
    text = "".join(chunk["choices"][0]["delta"].get("content") or "" for chunk in before)
    assert (text, last["choices"][0]["finish_reason"]) == (WORDS, "stop")
    check_beside(last)
    assert not any("stats" in chunk for chunk in before)


def test_the_figures_stand_in_the_last_chunk_also_where_the_counts_are_wanted(bob: Person) -> None:
    *before, last = chunks(old_chat(bob, stream=True, stream_options={"include_usage": True}))
    assert (last["choices"], last["usage"]["completion_tokens"]) == ([], 4)
    check_beside(last)
    assert before[-1]["choices"][0]["finish_reason"] == "stop"


def test_a_cut_is_told_in_lm_studios_word(bob: Person) -> None:
    check_beside(old_chat(bob, max_tokens=2).get_json(), "maxPredictedTokensReached")


def test_an_older_completion_carries_figures_too(bob: Person) -> None:
    body = {"model": "talker", "prompt": "[[words 4]] hi", "max_tokens": 50}
    whole = bob.post("//api/v0/completions", json=body).get_json()
    assert whole["choices"][0]["text"] == WORDS
    check_beside(whole)
    *before, last = chunks(bob.post("//api/v0/completions", json=body | {"stream": True}))
    assert "".join(chunk["choices"][0]["text"] for chunk in before) == WORDS
    check_beside(last)


def test_older_embeddings_name_the_model(bob: Person) -> None:
    body = {"model": "embedder", "input": ["猫", "cat"]}
    answer = bob.post("//api/v0/embeddings", json=body).get_json()
    assert [len(item["embedding"]) for item in answer["data"]] == [384, 384]
    assert answer["model_info"]["context_length"] == 512
    assert answer["data"] == bob.post("//v1/embeddings", json=body).get_json()["data"]


def test_a_base_answers_in_the_older_api(bob: Person, mallory: Person, handbook: Json) -> None:
    asked = {"model": "kb:Bob's handbook", "messages": [{"role": "user", "content": QUESTION}]}
    whole = old_chat(bob, **asked).get_json()
    assert whole["citations"][0]["document"] == "handbook.md"
    check_beside(whole)
    last = chunks(old_chat(bob, **asked, stream=True))[-1]
    assert last["citations"] == whole["citations"]
    check_beside(last)
    assert old_chat(mallory, **asked).status_code == 404


# -- the newer API


def test_an_answer_is_one_object_with_figures(bob_there: Person, box: TestBox) -> None:
    set_loaded(box, loaded=True)
    whole = chat(bob_there, system_prompt="Be brief.", store=False, reasoning="off", context_length=8192).get_json()
    assert whole.keys() == {"model_instance_id", "output", "stats"}
    assert (whole["model_instance_id"], whole["output"]) == ("talker", [{"type": "message", "content": WORDS}])
    stats = whole["stats"]
    assert (stats["total_output_tokens"], stats["reasoning_output_tokens"]) == (4, 0)
    assert stats["input_tokens"] > chat(bob_there).get_json()["stats"]["input_tokens"]
    assert "model_load_time_seconds" not in stats


def test_events_come_in_their_order_and_add_up_to_the_whole(bob_there: Person, box: TestBox) -> None:
    set_loaded(box, loaded=True)
    found = events(chat(bob_there, stream=True))
    kinds = [event["type"] for event in found]
    assert kinds == [
        "chat.start", "prompt_processing.start", "prompt_processing.end", "message.start",
        *["message.delta"] * 4, "message.end", "chat.end",
    ]  # fmt: skip
    assert "".join(event["content"] for event in found if event["type"] == "message.delta") == WORDS
    assert found[-1]["result"]["output"] == [{"type": "message", "content": WORDS}]
    assert found[-1]["result"]["stats"]["total_output_tokens"] == 4


def test_a_model_that_is_not_in_memory_is_loaded_and_that_is_told(bob_there: Person, box: TestBox) -> None:
    set_loaded(box, loaded=False)
    found = events(chat(bob_there, stream=True))
    steps = [event["progress"] for event in found if event["type"] == "model_load.progress"]
    rest = [event for event in found if event["type"] != "model_load.progress"]
    assert [event["type"] for event in rest[:4]] == [
        "chat.start", "model_load.start", "model_load.end", "prompt_processing.start",
    ]  # fmt: skip
    assert (steps[0], steps[-1]) == (0, 1)
    assert steps == sorted(steps)
    seconds = rest[2]["load_time_seconds"]
    assert found[-1]["result"]["stats"]["model_load_time_seconds"] == seconds > 0
    set_loaded(box, loaded=False)
    assert chat(bob_there).get_json()["stats"]["model_load_time_seconds"] > 0


def test_a_load_that_takes_long_is_told_step_by_step(bob_there: Person, box: TestBox) -> None:
    scripted.install(box.settings.models, "sluggish", "chat", b"slow" + b"." * 200_000)
    try:
        found = events(chat(bob_there, model="sluggish", stream=True))
    finally:
        box.drop_model("sluggish")
    steps = [event["progress"] for event in found if event["type"] == "model_load.progress"]
    assert (steps[0], steps[-1]) == (0, 1)
    assert len(steps) > 4
    assert steps == sorted(set(steps))
    assert found[-1]["result"]["output"][0]["content"] == WORDS


def test_reasoning_and_reading_have_events_of_their_own(box: TestBox) -> None:
    model = box.services.gateway.model("talker")

    def delta(**said: str) -> Json:
        return {"choices": [{"index": 0, "delta": said, "finish_reason": None}]}

    reply = Reply("talker", model)
    engine = [
        {"prompt_progress": {"total": 8, "cache": 0, "processed": 4}, "choices": []},
        delta(reasoning_content="hm"),
        delta(reasoning_content="m"),
        delta(content="yes"),
        {"choices": [], "usage": {"prompt_tokens": 8, "completion_tokens": 3}, "timings": {"predicted_per_second": 7}},
    ]
    kinds = [event.kind for event in reply.events(iter(engine)) if event is not None]
    assert kinds == [
        "prompt_processing.start", "prompt_processing.progress", "prompt_processing.end", "reasoning.start",
        "reasoning.delta", "reasoning.delta", "reasoning.end", "message.start", "message.delta", "message.end",
    ]  # fmt: skip
    whole = reply.result()
    assert whole["output"] == [{"type": "reasoning", "content": "hmm"}, {"type": "message", "content": "yes"}]
    assert (whole["stats"]["reasoning_output_tokens"], whole["stats"]["tokens_per_second"]) == (2, 7)


def test_parts_of_a_question_are_one_message_with_the_parameters_beside() -> None:
    given = {
        "model": "m", "input": [{"type": "message", "content": "a"}, {"type": "text", "content": "b"}],
        "system_prompt": "s", "temperature": 0.5, "top_p": 0.9, "top_k": 40, "min_p": 0.1, "repeat_penalty": 1.1,
        "max_output_tokens": 7, "stream": True,
    }  # fmt: skip
    body = ChatBody.model_validate(given)
    assert body.as_engine([body.question()]) == {
        "messages": [{"role": "user", "content": "a\nb"}],
        "temperature": 0.5, "top_p": 0.9, "top_k": 40, "min_p": 0.1, "repeat_penalty": 1.1, "max_tokens": 7,
        "stream_options": {"include_usage": True}, "return_progress": True,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"input": ""}, "input"),
        ({"input": [{"type": "text", "content": " "}]}, "input"),
        ({"input": [{"type": "image"}]}, "input"),
        ({"integrations": ["mcp/files"]}, "integrations"),
        ({"previous_response_id": "r" * 201}, "previous_response_id"),
        ({"temperature": -1}, "temperature"),
        ({"max_output_tokens": "many"}, "max_output_tokens"),
    ],
)
def test_what_the_box_can_not_do_is_refused_by_the_fields_name(bob_there: Person, body: Json, field: str) -> None:
    for stream in (False, True):
        answer = chat(bob_there, **body, stream=stream)
        assert answer.status_code == 400
        error = answer.get_json()["error"]
        assert (error["type"], error["code"], error["param"]) == ("invalid_request", "HK-BOX-003", field)
        assert field in error["message"]


def test_an_unknown_model_and_one_that_can_not_chat_are_refused(bob_there: Person) -> None:
    answer = chat(bob_there, model="llama3", stream=True)
    assert answer.status_code == 404
    assert answer.get_json()["error"]["type"] == answer.get_json()["error"]["code"] == "model_not_found"
    assert chat(bob_there, model="embedder").get_json()["error"]["hako_code"] == "HK-MOD-008"


def test_what_the_engine_refuses_has_a_status_or_is_an_event_after_loading(bob_there: Person, box: TestBox) -> None:
    long = {"input": "word " * 6000, "stream": True}
    set_loaded(box, loaded=True)
    answer = chat(bob_there, **long)
    assert (answer.status_code, answer.get_json()["error"]["code"]) == (400, "context_length_exceeded")
    set_loaded(box, loaded=False)
    found = events(chat(bob_there, **long))
    assert [event["type"] for event in found[-2:]] == ["error", "chat.end"]
    assert found[-2]["error"]["code"] == "context_length_exceeded"
    assert found[-1]["result"]["output"] == []


def test_an_engine_that_dies_leaves_an_error_and_what_was_written(bob_there: Person, box: TestBox) -> None:
    set_loaded(box, loaded=True)
    found = events(chat(bob_there, input="[[words 9]] [[die 3]] [[delay 30]] oh", stream=True))
    assert [event["type"] for event in found[-2:]] == ["error", "chat.end"]
    assert (found[-2]["error"]["type"], found[-2]["error"]["hako_code"]) == ("internal_error", "HK-MOD-003")
    assert found[-1]["result"]["output"][0]["content"].startswith("word0")
    set_loaded(box, loaded=True)  # else the deaths of several tests would add up to a quarantine


def test_answers_leave_their_places_free(bob_there: Person, box: TestBox) -> None:
    for answer in (chat(bob_there), chat(bob_there, stream=True), chat(bob_there, model="x"), old_chat(bob_there)):
        assert answer.get_data()
    assert box.box.places.taken == 0


def test_a_base_answers_with_citations_beside(bob_there: Person, mallory: Person, handbook: Json) -> None:
    asked = {"model": "kb:Bob's handbook", "input": QUESTION}
    whole = chat(bob_there, **asked).get_json()
    assert "[1]" in whole["output"][0]["content"]
    assert (whole["citations"][0]["document"], whole["model_instance_id"]) == ("handbook.md", asked["model"])
    found = events(chat(bob_there, **asked, stream=True))
    assert found[-1]["result"]["citations"] == whole["citations"]
    assert chat(mallory.at("lmstudio"), **asked).status_code == 404


# -- chats that go on


def messages_of(box: TestBox, monkeypatch: pytest.MonkeyPatch) -> list[list[Json]]:
    """The messages of each chat that the engine is asked from now on."""
    seen: list[list[Json]] = []
    real = Gateway.open

    def watched(gateway: Gateway, model: str, body: Json, **options: Any) -> Any:
        seen.append(body["messages"])
        return real(gateway, model, body, **options)

    monkeypatch.setattr(Gateway, "open", watched)
    set_loaded(box, loaded=True)
    return seen


def test_a_chat_goes_on_with_its_system_prompt_whole_and_streamed(
    bob_there: Person, box: TestBox, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = messages_of(box, monkeypatch)
    first = chat(bob_there, input="[[say one]] a", system_prompt="Be brief.").get_json()
    assert first["response_id"].startswith("resp_")
    streamed = events(chat(bob_there, input="[[say two]] b", previous_response_id=first["response_id"], stream=True))
    second = streamed[-1]["result"]
    assert second["response_id"] not in (None, first["response_id"])
    chat(bob_there, input="c", previous_response_id=second["response_id"], system_prompt="Be long.", store=False)
    fourth = chat(bob_there, input="d", previous_response_id=first["response_id"], system_prompt="").get_json()
    said = [
        {"role": "user", "content": "[[say one]] a"},
        {"role": "assistant", "content": "one"},
        {"role": "user", "content": "[[say two]] b"},
        {"role": "assistant", "content": "two"},
    ]
    brief = {"role": "system", "content": "Be brief."}
    assert seen == [
        [brief, said[0]],
        [brief, *said[:3]],
        [{"role": "system", "content": "Be long."}, *said, {"role": "user", "content": "c"}],
        [*said[:2], {"role": "user", "content": "d"}],  # from the first answer another way, without a prompt
    ]
    assert fourth["output"][0]["content"] == "d"


def test_what_is_not_to_be_kept_has_no_id(bob_there: Person) -> None:
    assert "response_id" not in chat(bob_there, store=False).get_json()
    assert "response_id" not in events(chat(bob_there, store=False, stream=True))[-1]["result"]


def test_a_chat_is_its_owners_in_both_apis(bob: Person, bob_there: Person, mallory: Person, box: TestBox) -> None:
    made = chat(bob_there, input="[[say secret]] x").get_json()["response_id"]
    with box.second_operator("dora") as dora:
        for person in (mallory, dora):
            for stream in (False, True):
                answer = chat(person.at("lmstudio"), previous_response_id=made, stream=stream)
                assert (answer.status_code, answer.get_json()["error"]["param"]) == (404, "previous_response_id")
                assert "secret" not in answer.get_data(as_text=True)
    kept = bob.get(f"//v1/responses/{made}").get_json()
    assert kept["output"][0]["content"][0]["text"] == "secret"
    other = bob.post("//v1/responses", json={"model": "talker", "input": "y", "previous_response_id": made}).get_json()
    assert chat(bob_there, previous_response_id=other["id"]).status_code == 200
    assert bob.delete(f"//v1/responses/{made}").status_code == 200
    assert chat(bob_there, previous_response_id=other["id"]).status_code == 404


def test_a_key_that_is_limited_keeps_and_reads_no_chat(bob: Person, bob_there: Person, box: TestBox) -> None:
    made = chat(bob_there).get_json()["response_id"]
    key = bob.post("/me/keys", json={"name": "narrow", "scope": {"models": ["talker"]}}).get_json()
    program, headers = box.app_at("lmstudio").test_client(), {"X-Api-Key": key["key"]}
    body = {"model": "talker", "input": "[[words 1]] hi"}
    assert "response_id" not in program.post("/api/v1/chat", json=body, headers=headers).get_json()
    refused = program.post("/api/v1/chat", json=body | {"previous_response_id": made}, headers=headers)
    assert (refused.status_code, refused.get_json()["error"]["hako_code"]) == (403, "HK-AUTH-009")
    bob.delete(f"/me/keys/{key['item']['id']}")


def test_half_an_answer_is_not_kept(bob_there: Person, box: TestBox) -> None:
    set_loaded(box, loaded=True)
    for dead in (
        events(chat(bob_there, input="[[words 9]] [[die 3]] [[delay 30]] oh", stream=True))[-1]["result"],
        chat(bob_there, input="[[words 9]] [[die 3]] [[delay 30]] oh").get_json(),
    ):
        assert "response_id" not in dead
        set_loaded(box, loaded=True)


def test_a_picture_is_kept_with_its_chat() -> None:
    url = "data:image/png;base64,AA=="
    body = ChatBody(
        model="m", input=[Item(type="text", content="what?"), Item(type="image", data_url=url)], stream=False
    )
    item = _item(body.question())
    assert [part["type"] for part in item["content"]] == ["input_text", "input_image"]
    assert responses_items.messages([item]) == [body.question()]


def test_a_base_goes_on_with_its_chat(bob_there: Person, handbook: Json) -> None:
    asked = {"model": "kb:Bob's handbook", "input": QUESTION}
    first = chat(bob_there, **asked).get_json()
    follow = chat(bob_there, **asked | {"input": "深夜の休憩は?"}, previous_response_id=first["response_id"])
    assert follow.get_json()["citations"]


def test_the_newer_list_holds_the_instances_in_memory(bob_there: Person, box: TestBox, handbook: Json) -> None:
    set_loaded(box, loaded=True)
    models = {model["key"]: model for model in bob_there.get("//api/v1/models").get_json()["models"]}
    assert (models["talker"]["type"], models["embedder"]["type"]) == ("llm", "embedding")
    assert models["talker"]["loaded_instances"] == [{"id": "talker", "config": {"context_length": 4096}}]
    assert models["talker"]["capabilities"] == {"vision": False, "trained_for_tool_use": False}
    assert models["kb:Bob's handbook"]["format"] is None
    set_loaded(box, loaded=False)
    models = {model["key"]: model for model in bob_there.get("//api/v1/models").get_json()["models"]}
    assert models["talker"]["loaded_instances"] == []


# -- loading and fetching


def post(person: Person, what: str, **body: Any) -> Any:
    return person.at("lmstudio").post(f"//api/v1/models/{what}", json=body)


def test_what_is_loaded_as_wished_may_be_asked_for_by_anybody(mallory: Person, box: TestBox) -> None:
    set_loaded(box, loaded=True)
    loaded = post(mallory, "load", model="talker", context_length=4096, echo_load_config=True)
    assert (loaded.status_code, loaded.get_json()["status"]) == (200, "loaded")
    assert (loaded.get_json()["instance_id"], loaded.get_json()["load_config"]) == ("talker", {"context_length": 4096})
    set_loaded(box, loaded=False)
    assert post(mallory, "unload", instance_id="talker").get_json() == {"instance_id": "talker"}


def test_mallory_neither_loads_nor_unloads(mallory: Person, box: TestBox) -> None:
    set_loaded(box, loaded=True)
    refused = [post(mallory, "unload", instance_id="talker"), post(mallory, "load", model="talker", context_length=64)]
    set_loaded(box, loaded=False)
    refused.append(post(mallory, "load", model="talker"))
    for answer in refused:
        assert (answer.status_code, answer.get_json()["error"]["code"]) == (403, "HK-AUTH-003")
        assert "operator" in answer.get_json()["error"]["message"]
    assert [model.state for model in box.services.gateway.models() if model.id == "talker"] == ["idle"]


def test_an_operators_key_does_not_manage_but_his_session_does(alice: Person, box: TestBox) -> None:
    set_loaded(box, loaded=False)
    secret = alice.post("/me/keys", json={"name": "studio"}).get_json()["key"]
    program = box.app_at("lmstudio").test_client()
    with_key = {"Authorization": f"Bearer {secret}"}
    answer = program.post("/api/v1/models/load", json={"model": "talker"}, headers=with_key)
    assert (answer.status_code, answer.get_json()["error"]["code"]) == (403, "HK-AUTH-003")
    assert post(alice, "load", model="talker", context_length=64).get_json()["error"]["param"] == "context_length"
    assert post(alice, "load", model="talker").get_json()["status"] == "loaded"
    assert program.post("/api/v1/models/load", json={"model": "talker"}, headers=with_key).status_code == 200
    assert post(alice, "unload", instance_id="talker").get_json() == {"instance_id": "talker"}


def test_a_base_is_always_loaded_for_who_may_read_it(bob: Person, mallory: Person, handbook: Json) -> None:
    assert post(bob, "load", model="kb:Bob's handbook").get_json()["status"] == "loaded"
    assert post(mallory, "load", model="kb:Bob's handbook").status_code == 404
    assert post(mallory, "load", model="nobody").get_json()["error"]["type"] == "model_not_found"


def test_models_come_by_usb_only(bob: Person) -> None:
    answer = post(bob, "download", model="ibm/granite-4-micro")
    assert (answer.status_code, answer.get_json()["error"]["code"]) == (403, "HK-MOD-020")
    assert "USB" in answer.get_json()["error"]["message"]
    assert post(bob, "download", model="talker").get_json() == {"status": "already_downloaded"}
    assert bob.at("lmstudio").get("//api/v1/models/download/status/job_1").status_code == 404


# -- the ports


@pytest.mark.parametrize("path", ["/", "/sign-in", "/static/dist/x.js", "/api/v1/bases", "/api/v1/state", "/api/tags"])
def test_pages_and_other_apis_are_not_at_lm_studios_port(bob_there: Person, path: str) -> None:
    answer = bob_there.get("/" + path, headers={"Accept": "text/html"})
    assert (answer.status_code, answer.content_type) == (404, "application/json")
    assert answer.get_json()["error"]["hako_code"] == "HK-BOX-004"


@pytest.mark.parametrize("path", ["/sign-in", "/api/v1/bases", "/api/v1/chat", "/api/v0/models", "/chat"])
def test_pages_and_other_apis_are_not_at_ollamas_port(bob: Person, path: str) -> None:
    answer = bob.at("ollama").get("/" + path, headers={"Accept": "text/html"})
    assert (answer.status_code, answer.get_json()["hako_code"]) == (404, "HK-BOX-004")
    assert isinstance(answer.get_json()["error"], str)


def test_ollamas_port_greets_whoever_looks_for_it(box: TestBox) -> None:
    client = box.app_at("ollama").test_client()
    assert client.get("/").get_data(as_text=True) == "Hako is running"
    assert client.head("/").status_code == 200
    assert client.get("/", headers={"Host": "evil.example"}).get_json()["hako_code"] == "HK-BOX-014"


def test_openais_api_is_at_every_port(bob: Person) -> None:
    for person in (bob, bob.at("ollama"), bob.at("lmstudio")):
        assert "talker" in {model["id"] for model in person.get("//v1/models").get_json()["data"]}
    assert bob.at("ollama").get("//api/tags").status_code == 200


def test_our_own_api_keeps_its_address(bob: Person) -> None:
    assert "items" in bob.get("/models").get_json()
    answer = bob.post("/chat", json={"model": "talker", "input": "hi"})
    assert (answer.status_code, answer.content_type) == (405, "application/problem+json")
    assert isinstance(bob.get("//api/nothing").get_json()["error"], str)
    assert bob.get("//api/v0/nothing").get_json()["error"]["hako_code"] == "HK-BOX-004"


@pytest.mark.parametrize("header", [{"Authorization": "Bearer hako_wrong"}, {"X-Api-Key": "hako_wrong"}, {}])
@pytest.mark.parametrize("listener", ["ollama", "lmstudio"])
def test_without_a_valid_key_a_port_gives_nothing(box: TestBox, listener: Any, header: dict[str, str]) -> None:
    app = box.app_at(listener)
    tried = 0
    for rule in app.url_map.iter_rules():
        if rule.rule == "/":
            continue
        assert isinstance(routing.declared(app.view_functions[rule.endpoint]), Permission)
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}:
            path = rule.rule.replace("<path:", "").replace("<", "").replace(">", "")
            answer = app.test_client().open(path, method=method, json={}, headers=header)
            assert answer.status_code == 401, (method, path)
            assert "error" in answer.get_json() or "message" in answer.get_json()
            tried += 1
    assert tried > 10
