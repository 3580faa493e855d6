"""OpenAI's Responses API: shape, order of a stream, functions, what is kept for whom, and what is refused."""

import json
import socket
from collections.abc import Iterator
from typing import Any

import pytest
from openai.types.responses import Response, ResponseItemList, ResponseStreamEvent
from pydantic import TypeAdapter

from appliance.errors import BusyError, ContextTooLongError, DiskFullError, HakoError, ModelFailedError
from tests.simulators.box import Person, TestBox
from webui.dialects.responses_answer import ResponseWriter, Translation
from webui.dialects.responses_failure import told_failures
from webui.dialects.responses_items import messages, read
from webui.dialects.responses_request import ResponsesBody

Body = dict[str, Any]
EVENT: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)
TOOL = {"type": "function", "name": "weather", "parameters": {"type": "object"}, "strict": True}
PICTURE = {"type": "input_image", "image_url": "data:image/png;base64,AA==", "detail": "auto"}
QUESTION = "夜勤手当は1回につきいくらですか。"
USAGE = {"prompt_tokens": 9, "completion_tokens": 7}


def ask(person: Person, **body: Any) -> Any:
    return person.post("//v1/responses", json={"model": "talker", "input": "[[words 4]] hi"} | body)


def events(answer: Any) -> list[Body]:
    """The stream's events, each checked against the client's own types."""
    found = []
    for part in answer.get_data(as_text=True).strip().split("\n\n"):
        if not part.startswith(":"):
            kind, data = part.split("\n")
            found.append(json.loads(data.removeprefix("data: ")))
            assert found[-1]["type"] == kind.removeprefix("event: ")
            EVENT.validate_python(found[-1])
    assert [event["sequence_number"] for event in found] == list(range(len(found)))
    return found


def kinds(found: list[Body]) -> list[str]:
    return [event["type"].removeprefix("response.") for event in found]


# -- whole and streamed


def test_a_whole_response_has_every_field_that_the_client_demands(bob: Person) -> None:
    answer = ask(bob, instructions="Be short.", metadata={"ticket": "7"}, tools=[TOOL]).get_json()
    Response.model_validate(answer)
    assert answer["id"].startswith("resp_")
    assert (answer["status"], answer["error"], answer["incomplete_details"]) == ("completed", None, None)
    (item,) = answer["output"]
    assert item.pop("id").startswith("msg_")
    part = {"type": "output_text", "text": "word0 word1 word2 word3", "annotations": [], "logprobs": []}
    assert item == {"type": "message", "status": "completed", "role": "assistant", "content": [part]}
    usage = answer["usage"]
    assert usage["input_tokens_details"] == {"cached_tokens": 0, "cache_write_tokens": 0}
    assert usage["output_tokens_details"] == {"reasoning_tokens": 0}
    assert (usage["output_tokens"], usage["total_tokens"]) == (4, usage["input_tokens"] + 4)
    assert (answer["instructions"], answer["metadata"], answer["store"]) == ("Be short.", {"ticket": "7"}, True)
    assert answer["tools"][0]["name"] == "weather"
    assert (answer["tool_choice"], answer["truncation"]) == ("auto", "disabled")


def test_a_stream_has_its_events_in_order_and_ends_with_the_whole(bob: Person) -> None:
    found = events(ask(bob, stream=True))
    assert kinds(found) == [
        "created", "in_progress", "output_item.added", "content_part.added", *["output_text.delta"] * 4,
        "output_text.done", "content_part.done", "output_item.done", "completed",
    ]  # fmt: skip
    assert (found[0]["response"]["status"], found[0]["response"]["output"]) == ("in_progress", [])
    assert found[2]["item"]["content"] == []
    assert "".join(event["delta"] for event in found if "delta" in event) == found[8]["text"]
    whole = found[-1]["response"]
    assert whole["output"] == [found[-2]["item"]]
    assert whole["id"] == found[0]["response"]["id"]
    assert whole["usage"] == ask(bob).get_json()["usage"]


def test_a_length_cut_is_told(bob: Person) -> None:
    answer = ask(bob, max_output_tokens=2).get_json()
    assert (answer["status"], answer["incomplete_details"]) == ("incomplete", {"reason": "max_output_tokens"})
    assert (answer["output"][0]["status"], answer["completed_at"]) == ("incomplete", None)
    assert kinds(events(ask(bob, max_output_tokens=2, stream=True)))[-1] == "incomplete"


def test_items_parts_and_what_clients_send_besides_are_fine(bob: Person) -> None:
    parts = [{"type": "input_text", "text": "[[words 1]] a"}, {"type": "input_text", "text": "b"}]
    items = [
        {"role": "developer", "content": "Be short."},
        {"type": "reasoning", "id": "rs_1", "summary": []},
        {"type": "message", "role": "user", "content": parts},
    ]
    more = {
        "include": ["reasoning.encrypted_content"], "truncation": "auto", "reasoning": {"effort": "low"},
        "service_tier": "auto", "user": "u", "prompt_cache_key": "k", "background": False, "max_tool_calls": 3,
    }  # fmt: skip
    assert ask(bob, input=items, **more).get_json()["output"][0]["content"][0]["text"] == "word0"


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"input": ""}, "input"),
        ({"input": None}, "input"),
        ({"input": []}, "input"),
        ({"input": [{"type": "reasoning", "summary": []}]}, "input"),
        ({"input": [{"role": "wizard", "content": "x"}]}, "input.0.role"),
        ({"input": [{"role": ["user"], "content": "x"}]}, "input.0.role"),
        ({"input": [{"role": "assistant", "content": [PICTURE]}]}, "input.0.content"),
        ({"input": [{"role": "user", "content": [{"type": "input_image", "file_id": "f"}]}]}, "input.0.content"),
        ({"input": [{"role": "user", "content": [{"type": "input_file", "file_id": "f"}]}]}, "input.0.content"),
        ({"input": [{"role": "user", "content": [7]}]}, "input.0.content"),
        ({"input": [{"role": "user", "content": "x"}, {"type": "item_reference", "id": "m"}]}, "input.1.type"),
        ({"input": [{"type": ["message"]}]}, "input.0.type"),
        ({"input": [{"type": "function_call", "name": "f", "arguments": "{}"}]}, "input.0.call_id"),
        ({"input": [{"type": "function_call_output", "call_id": "c", "output": {"a": 1}}]}, "input.0.output"),
        ({"temperature": -1}, "temperature"),
        ({"max_output_tokens": 0}, "max_output_tokens"),
        ({"max_output_tokens": 10**12}, "max_output_tokens"),
        ({"tools": [{"type": "web_search"}]}, "tools.0.type"),
        ({"tools": [{"type": "mcp", "server_url": "http://localhost", "server_label": "x"}]}, "tools.0.type"),
        ({"text": {"format": {"type": "yaml"}}}, "text.format.type"),
        ({"text": {"format": {"type": "json_schema", "name": "x"}}}, "text.format.schema"),
        ({"text": {"format": {"type": "json_schema", "name": "x", "schema": {"type": "string", "pattern": "a*"}}}},
         "text.format"),
        ({"metadata": {f"k{n}": "v" for n in range(17)}}, "metadata"),
        ({"metadata": {"k": 5}}, "metadata.k"),
        ({"metadata": {"k": "v" * 513}}, "metadata.k"),
        ({"background": True}, "background"),
        ({"conversation": "conv_1"}, "conversation"),
        ({"prompt": {"id": "pmpt_1"}}, "prompt"),
        ({"previous_response_id": "r" * 201}, "previous_response_id"),
    ],
)  # fmt: skip
def test_bad_requests_name_the_field(bob: Person, body: Body, field: str) -> None:
    answer = ask(bob, **body)
    error = answer.get_json()["error"]
    assert (answer.status_code, error["type"]) == (400, "invalid_request_error")
    assert error["param"] == field or error["param"].startswith(field + ".")


def test_what_is_refused_before_the_first_word_is_no_stream(bob: Person, box: TestBox) -> None:
    for body, status, code in [
        ({"input": "word " * 6000}, 400, "context_length_exceeded"),
        ({"model": "gpt-9"}, 404, "model_not_found"),
        ({"model": "embedder"}, 400, "HK-MOD-008"),
    ]:
        answer = ask(bob, stream=True, **body)
        assert (answer.status_code, answer.get_json()["error"]["code"]) == (status, code)
    assert box.box.places.taken == 0


def test_a_child_that_dies_in_a_stream_fails_the_response(bob: Person, box: TestBox) -> None:
    last = events(ask(bob, input="[[words 9]] [[die 3]] [[delay 30]] oh", stream=True))[-1]
    failed = last["response"]
    assert (last["type"], failed["status"], failed["error"]["code"]) == ("response.failed", "failed", "server_error")
    assert failed["error"]["hako_code"] == "HK-MOD-003"
    assert failed["output"][0]["status"] == "incomplete"
    box.services.gateway.load("talker")  # else the deaths of several tests would add up to a quarantine
    kept = bob.get(f"//v1/responses/{failed['id']}").get_json()
    assert (kept["status"], kept["output"]) == ("failed", failed["output"])
    assert ask(bob).status_code == 200


def test_who_leaves_early_stops_the_model_and_nothing_is_kept(bob: Person, box: TestBox) -> None:
    before = count(box, bob)
    client = box.app.test_client()
    client.set_cookie("hako", box.services.sessions.start(box.services.users.get(bob.id), "test"))
    body = {"model": "talker", "input": "[[words 2000]] [[delay 5]] on", "stream": True}
    answer = client.post("/v1/responses", json=body, headers={"Sec-Fetch-Site": "same-origin"})
    for frame in answer.iter_encoded():
        if b"output_text.delta" in frame:
            break
    answer.close()
    assert box.box.places.taken == 0
    assert count(box, bob) == before
    assert ask(bob).status_code == 200


def test_a_closed_connection_ends_the_answer(box: TestBox) -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX)
    body = {"model": "talker", "input": "[[words 2000]] [[delay 5]] on", "stream": True}
    with ours:
        local = {"gunicorn.socket": ours}
        answer = box.app.test_client().post("/v1/responses", json=body, environ_overrides=local)
        frames = answer.iter_encoded()
        assert any(b"output_text.delta" in frame for frame in frames)
        theirs.close()
        rest = b"".join(frames)
        answer.close()
    assert not any(kind in rest for kind in (b"response.completed", b"response.failed"))
    assert box.box.places.taken == 0


def test_the_audit_tells_who_asked_which_model(bob: Person, box: TestBox) -> None:
    ask(bob)
    with box.services.database.read() as connection:
        found = connection.execute("select actor, target from audit where action = 'api-responses'").fetchall()
    assert ("bob", "talker") in found


# -- one state machine, event by event


def written(*chunks: Body) -> tuple[list[Body], Body]:
    writer = ResponseWriter("talker", {}, store=False, keep=lambda _response: None)
    translation = Translation(writer)
    told = list(writer.start())
    for chunk in chunks:
        told += translation.add(chunk)
    told += translation.end()
    return [dict(event.data) for event in told], writer.response


def delta(finish: str | None = None, **content: Any) -> Body:
    return {"choices": [{"index": 0, "delta": content, "finish_reason": finish}]}


def call(index: int, call_id: str, name: str, arguments: str) -> Body:
    return delta(tool_calls=[{"index": index, "id": call_id, "function": {"name": name, "arguments": arguments}}])


def test_thoughts_text_and_calls_become_items_of_their_own() -> None:
    told, response = written(
        delta(role="assistant", content=None),
        delta(reasoning_content="Hm"),
        delta(reasoning_content="."),
        delta(content="I look."),
        call(0, "c1", "weather", '{"city":'),
        call(0, "", "", ' "東京"}'),
        call(1, "", "clock", ""),
        delta("tool_calls"),
        {"choices": [], "usage": USAGE | {"prompt_tokens_details": {"cached_tokens": 5}}},
    )
    assert kinds(told) == [
        "created", "in_progress",
        "output_item.added", "content_part.added", "reasoning_text.delta", "reasoning_text.delta",
        "reasoning_text.done", "content_part.done", "output_item.done",
        "output_item.added", "content_part.added", "output_text.delta",
        "output_text.done", "content_part.done", "output_item.done",
        "output_item.added", "function_call_arguments.delta", "function_call_arguments.delta",
        "function_call_arguments.done", "output_item.done",
        "output_item.added", "function_call_arguments.done", "output_item.done", "completed",
    ]  # fmt: skip
    assert [event["output_index"] for event in told if "output_index" in event] == [0] * 7 + [1] * 6 + [2] * 5 + [3] * 3
    assert all(
        event["item_id"] == response["output"][event["output_index"]]["id"] for event in told if "item_id" in event
    )
    thought, said, weather, clock = response["output"]
    assert (thought["content"], thought["summary"]) == ([{"type": "reasoning_text", "text": "Hm."}], [])
    assert said["content"][0]["text"] == "I look."
    assert (weather["call_id"], weather["name"], weather["arguments"]) == ("c1", "weather", '{"city": "東京"}')
    assert (weather["status"], told[15]["item"]["arguments"]) == ("completed", "")
    assert clock["call_id"].startswith("call_")
    assert response["usage"]["input_tokens_details"]["cached_tokens"] == 5
    assert response["usage"]["output_tokens_details"]["reasoning_tokens"] == 2


def test_how_likely_tokens_were_is_told_with_each_piece_and_with_the_whole() -> None:
    other = {"id": 2, "token": "No", "bytes": [78, 111], "logprob": -2.0}
    entry = {"id": 1, "token": "Yes", "bytes": [89], "logprob": -0.1, "top_logprobs": [other]}
    chunk = delta(content="Yes")
    chunk["choices"][0]["logprobs"] = {"content": [entry]}
    told, response = written(chunk, delta(content="!"), delta("stop"))
    wanted = [
        {
            "token": "Yes",
            "bytes": [89],
            "logprob": -0.1,
            "top_logprobs": [{"token": "No", "bytes": [78, 111], "logprob": -2.0}],
        }
    ]
    assert response["output"][0]["content"][0]["logprobs"] == wanted
    pieces = [event["logprobs"] for event in told if event["type"] == "response.output_text.delta"]
    assert pieces == [wanted, []]
    assert [event["logprobs"] for event in told if event["type"] == "response.output_text.done"] == [wanted]


def test_logprobs_are_asked_for_only_where_they_are_included() -> None:
    asked = {"model": "talker", "input": "hi", "top_logprobs": 3}
    bare, told = (
        ResponsesBody.model_validate(asked | {"include": include}).as_engine(read("hi"))
        for include in (["reasoning.encrypted_content"], ["message.output_text.logprobs"])
    )
    assert "logprobs" not in bare
    assert (told["logprobs"], told["top_logprobs"]) == (True, 3)


def test_an_earlier_refusal_is_read_as_text() -> None:
    part = {"type": "refusal", "refusal": "I can't."}
    items = read([{"role": "assistant", "content": [part]}, {"role": "user", "content": "hi"}])
    assert messages(items)[0] == {"role": "assistant", "content": "I can't."}


def test_an_answer_without_a_word_has_one_empty_message() -> None:
    told, response = written(delta("stop"))
    assert kinds(told)[2:-1] == [
        "output_item.added", "content_part.added", "output_text.done", "content_part.done", "output_item.done",
    ]  # fmt: skip
    assert response["output"][0]["content"][0]["text"] == ""


def test_a_call_that_was_cut_off_is_not_told_to_the_model_again() -> None:
    _told, response = written(call(0, "c", "f", '{"a'), delta("length"))
    assert (response["status"], response["output"][0]["status"]) == ("incomplete", "incomplete")
    assert messages(response["output"]) == messages(read(response["output"])) == []


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ModelFailedError(name="x"), "server_error"),
        (DiskFullError(), "server_error"),
        (BusyError(retry_after_s=5), "rate_limit_exceeded"),
        (ContextTooLongError(tokens=9, limit=5), "invalid_prompt"),
    ],
)
def test_a_failure_is_the_last_event_also_when_keeping_fails(error: HakoError, code: str) -> None:
    def full(_response: Body) -> None:
        raise DiskFullError

    writer = ResponseWriter("talker", {}, store=True, keep=full)

    def broken() -> Iterator[Any]:
        yield from writer.start()
        yield from writer.text("half")
        raise error

    told = [dict(event.data) for event in told_failures(broken(), writer, "en") if event]
    assert kinds(told)[-2:] == ["output_text.delta", "failed"]
    assert told[-1]["response"]["error"]["code"] == code
    assert error.code in told[-1]["response"]["error"]["message"]


# -- functions; calls that are demanded are in test_forced_calls.py


def test_functions_and_their_results_become_the_engines_messages() -> None:
    body = ResponsesBody.model_validate(
        {
            "model": "talker",
            "instructions": "Help.",
            "tools": [TOOL],
            "tool_choice": "auto",
            "parallel_tool_calls": False,
            "text": {"format": {"type": "json_schema", "name": "city", "schema": {"type": "object"}, "strict": True}},
            "input": [
                {"role": "user", "content": "Warm?"},
                {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "I look."}]},
                {"type": "function_call", "call_id": "c1", "name": "weather", "arguments": '{"city": "東京"}'},
                {"type": "function_call", "call_id": "c2", "name": "weather", "arguments": "{}"},
                {"type": "function_call_output", "call_id": "c1", "output": "21"},
                {"type": "function_call_output", "call_id": "c2", "output": [{"type": "input_text", "text": "20"}]},
            ],
        }
    )
    asked = body.as_engine(body.items())
    calls = [
        {"id": call_id, "type": "function", "function": {"name": "weather", "arguments": arguments}}
        for call_id, arguments in (("c1", '{"city": "東京"}'), ("c2", "{}"))
    ]
    assert asked["messages"] == [
        {"role": "system", "content": "Help."},
        {"role": "user", "content": "Warm?"},
        {"role": "assistant", "content": "I look.", "tool_calls": calls},
        {"role": "tool", "content": "21", "tool_call_id": "c1"},
        {"role": "tool", "content": "20", "tool_call_id": "c2"},
    ]
    function = {"name": "weather", "description": "", "parameters": {"type": "object"}}
    assert asked["tools"] == [{"type": "function", "function": function}]
    assert (asked["tool_choice"], asked["parallel_tool_calls"]) == ("auto", False)
    assert asked["response_format"]["json_schema"] == {"name": "city", "schema": {"type": "object"}, "strict": True}


# -- what is kept


def count(box: TestBox, person: Person) -> int:
    with box.services.database.read() as connection:
        return int(connection.execute("select count(*) from responses where user_id = ?", (person.id,)).get)


def test_a_response_is_kept_read_and_deleted(bob: Person) -> None:
    made = ask(bob, metadata={"a": "b"}).get_json()
    place = f"//v1/responses/{made['id']}"
    assert bob.get(place).get_json() == made
    assert bob.get(place + "?stream=true").get_json()["error"]["param"] == "stream"
    cancelled = bob.post(place + "/cancel")
    assert (cancelled.status_code, cancelled.get_json()["error"]["param"]) == (400, "background")
    assert bob.delete(place).get_json() == {"id": made["id"], "object": "response", "deleted": True}
    assert bob.get(place).status_code == bob.delete(place).status_code == 404


def test_a_streamed_response_can_be_read_once_it_says_that_it_is_complete(bob: Person) -> None:
    whole = events(ask(bob, stream=True))[-1]["response"]
    assert bob.get(f"//v1/responses/{whole['id']}").get_json() == whole


def test_without_store_nothing_is_kept(bob: Person, box: TestBox) -> None:
    before = count(box, bob)
    made = ask(bob, store=False).get_json()
    assert made["store"] is False
    assert bob.get(f"//v1/responses/{made['id']}").status_code == 404
    assert count(box, bob) == before


def test_a_conversation_goes_on_with_all_that_was_said(bob: Person) -> None:
    first = ask(bob, instructions="[[words 1]] These are not carried on.").get_json()
    second = ask(bob, input="[[words 1]] next", previous_response_id=first["id"]).get_json()
    third = ask(bob, input="[[words 1]] next", previous_response_id=second["id"]).get_json()
    alone = ask(bob, input="[[words 1]] next").get_json()
    plain = ask(bob).get_json()["usage"]
    tokens = [made["usage"]["input_tokens"] for made in (alone, second, third)]
    said = plain["input_tokens"] + 4 + 4 + 2  # the model's words are two tokens each here, and each message two more
    assert tokens[1] - tokens[0] >= plain["input_tokens"] + 4
    assert tokens[1] - tokens[0] <= said
    assert tokens[2] > tokens[1]
    assert second["previous_response_id"] == first["id"]
    bob.delete(f"//v1/responses/{first['id']}")
    gone = ask(bob, previous_response_id=third["id"])
    assert (gone.status_code, gone.get_json()["error"]["param"]) == (404, "previous_response_id")


def test_input_items_are_listed_in_pages(bob: Person) -> None:
    items: list[Body] = [{"role": "user", "content": f"part {n}"} for n in range(3)]
    items.append({"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"})
    items.append({"type": "function_call_output", "call_id": "c", "output": "1"})
    items.append({"role": "assistant", "content": "[[words 1]]"})
    place = f"//v1/responses/{ask(bob, input=items).get_json()['id']}/input_items"
    whole = bob.get(place + "?order=asc").get_json()
    ResponseItemList.model_validate(whole)
    assert [item["type"] for item in whole["data"]] == [
        *["message"] * 3,
        "function_call",
        "function_call_output",
        "message",
    ]
    assert whole["has_more"] is False
    ids = [item["id"] for item in whole["data"]]
    assert [item["id"] for item in bob.get(place).get_json()["data"]] == ids[::-1]
    page = bob.get(f"{place}?order=asc&limit=2&after={ids[0]}").get_json()
    assert [item["id"] for item in page["data"]] == ids[1:3] == [page["first_id"], page["last_id"]]
    assert page["has_more"] is True
    assert bob.get(f"{place}?order=asc&after={ids[-1]}").get_json()["data"] == []
    for query, field in [("limit=0", "limit"), ("limit=101", "limit"), ("order=up", "order"), ("after=x", "after")]:
        refused = bob.get(f"{place}?{query}")
        assert (refused.status_code, refused.get_json()["error"]["param"]) == (400, field)


def test_anothers_response_is_told_from_an_unknown_one_by_nothing(alice: Person, mallory: Person) -> None:
    secret = ask(alice, input="[[say pumpkin]] hi").get_json()["id"]
    nobodys = "resp_" + "0" * 20

    def tried(response_id: str) -> list[tuple[int, str]]:
        place = f"//v1/responses/{response_id}"
        answers = [
            mallory.get(place),
            mallory.get(place + "/input_items"),
            mallory.post(place + "/cancel"),
            mallory.delete(place),
            ask(mallory, previous_response_id=response_id),
            ask(mallory, previous_response_id=response_id, stream=True),
        ]
        return [(answer.status_code, answer.get_data(as_text=True)) for answer in answers]

    assert tried(secret) == tried(nobodys)
    assert {status for status, _told in tried(secret)} == {404}
    assert alice.get(f"//v1/responses/{secret}").get_json()["output"][0]["content"][0]["text"] == "pumpkin"


@pytest.mark.parametrize("name", ["%00", "..%5c..", "' or 1=1 --", "resp_", "%F0%9F%93%A6", "x" * 5000])
def test_hostile_ids_find_nothing(bob: Person, name: str) -> None:
    assert bob.get(f"//v1/responses/{name}").status_code == 404
    assert bob.delete(f"//v1/responses/{name}").status_code == 404


def test_two_keys_of_a_person_share_what_is_kept_and_a_narrow_one_gets_nothing_of_it(box: TestBox, bob: Person) -> None:
    def by(scope: Body) -> dict[str, str]:
        made = bob.post("/me/keys", json={"name": "program", **scope}).get_json()
        return {"Authorization": f"Bearer {made['key']}"}

    one, two, narrow = by({}), by({}), by({"scope": {"models": ["talker"]}})
    program = box.app.test_client()
    body = {"model": "talker", "input": "[[words 1]]"}
    made = program.post("/v1/responses", json=body, headers=one).get_json()["id"]
    assert program.get(f"/v1/responses/{made}", headers=two).status_code == 200
    assert program.post("/v1/responses", json=body | {"previous_response_id": made}, headers=two).status_code == 200
    assert program.get(f"/v1/responses/{made}", headers=narrow).status_code == 403
    assert program.post("/v1/responses", json=body | {"previous_response_id": made}, headers=narrow).status_code == 403
    assert program.post("/v1/responses", json=body, headers=narrow).get_json()["store"] is False


def test_the_admin_socket_asks_and_keeps_nothing(box: TestBox) -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX)
    with ours, theirs:
        local = {"environ_overrides": {"gunicorn.socket": ours}}
        program = box.app.test_client()
        body = {"model": "talker", "input": "[[words 1]]"}
        made = program.post("/v1/responses", json=body, **local).get_json()
        assert (made["status"], made["store"]) == ("completed", False)
        assert program.get(f"/v1/responses/{made['id']}", **local).status_code == 403
        assert (
            program.post("/v1/responses", json=body | {"previous_response_id": made["id"]}, **local).status_code == 403
        )


def test_a_deleted_persons_responses_are_gone(box: TestBox, alice: Person) -> None:
    gina = box.person("gina")
    ask(gina)
    assert count(box, gina) == 1
    assert alice.delete(f"/users/{gina.id}").status_code == 204
    assert count(box, gina) == 0


# -- a base as a model


def test_a_base_answers_with_citations_and_their_places_in_the_text(bob: Person, handbook: dict[str, str]) -> None:
    body = {"model": "kb:Bob's handbook", "input": QUESTION}
    whole = ask(bob, **body).get_json()
    Response.model_validate(whole)
    assert (whole["citations"][0]["document"], whole["verdict"]) == ("handbook.md", "answer")
    part = whole["output"][0]["content"][0]
    place = part["text"].index("[1]")
    assert part["annotations"][0] == {
        "type": "file_citation",
        "file_id": handbook["document"],
        "filename": "handbook.md",
        "index": place,
    }
    found = events(ask(bob, **body, stream=True))
    assert "output_text.annotation.added" in kinds(found)
    assert found[-1]["response"]["citations"] == whole["citations"]
    assert bob.get(f"//v1/responses/{whole['id']}").get_json() == whole
    follow = ask(bob, **body | {"previous_response_id": whole["id"]}).get_json()
    assert follow["citations"][0]["document"] == "handbook.md"


def test_a_base_wants_a_question_and_anothers_is_no_model(
    bob: Person, mallory: Person, handbook: dict[str, str]
) -> None:
    answer = ask(bob, model="kb:Bob's handbook", input=[{"role": "assistant", "content": "x"}])
    assert (answer.status_code, answer.get_json()["error"]["param"]) == (400, "input")
    assert ask(mallory, model=f"kb:{handbook['base']}").status_code == 404
