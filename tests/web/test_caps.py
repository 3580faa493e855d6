"""The operator's caps hold in every dialect and in chats, whatever is asked for, and who asks is told."""

from collections.abc import Iterator
from typing import Any, Final

import pytest

from appliance.inference.engines import scripted
from tests.simulators.box import Person, TestBox
from tests.web.test_chats import ask, finished

WORDS: Final = "[[words 9]] hi"
SAID: Final = [{"role": "user", "content": WORDS}]
ASKED: Final[dict[str, dict[str, Any]]] = {
    "/v1/chat/completions": {"messages": SAID, "max_completion_tokens": 50},
    "/v1/completions": {"prompt": WORDS, "max_tokens": 50},
    "/v1/messages": {"messages": SAID, "max_tokens": 50},
    "/v1/responses": {"input": WORDS, "store": False, "max_output_tokens": 50},
    "/api/v0/chat/completions": {"messages": SAID, "max_tokens": 50},
    "/api/chat": {"messages": SAID, "options": {"num_predict": 50}},
    "/api/generate": {"prompt": WORDS, "options": {"num_predict": -1}},
}


@pytest.fixture
def curt(alice: Person, box: TestBox) -> Iterator[str]:
    """A scripted model that may write three tokens."""
    scripted.install(box.settings.models, "curt", "chat")
    assert alice.put("/models/curt/settings", json={"max_tokens": 3}).status_code == 200
    yield "curt"
    box.drop_model("curt")


@pytest.mark.parametrize("path", ASKED)
@pytest.mark.parametrize("stream", [False, True])
def test_a_longer_answer_than_the_cap_is_cut_in_every_dialect(bob: Person, curt: str, path: str, stream: bool) -> None:
    answer = bob.post("/" + path, json={"model": curt, "stream": stream, **ASKED[path]})
    text = answer.get_data(as_text=True)
    assert answer.status_code == 200, text
    assert answer.headers["X-Hako-Capped"] == "max_tokens=3"
    assert "word2" in text
    assert "word3" not in text


def test_what_is_within_the_cap_is_as_it_was_asked_for(bob: Person, curt: str) -> None:
    answer = bob.post("//v1/chat/completions", json={"model": curt, "messages": SAID, "max_tokens": 2})
    assert "X-Hako-Capped" not in answer.headers
    assert answer.get_json()["choices"][0]["message"]["content"] == "word0 word1"


def test_a_chat_of_the_pages_is_capped_too_and_can_go_on(bob: Person, curt: str) -> None:
    chat = bob.post("/chats", json={"model": curt, "base_ids": []}).get_json()["id"]
    done = finished(bob, chat, ask(bob, chat, WORDS))
    assert (done["text"], done["stats"]["finish"]) == ("word0 word1 word2", "length")


def test_the_boxs_caps_hold_where_a_model_has_none_of_its_own(
    alice: Person, bob: Person, box: TestBox, curt: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    capped = box.settings.inference.model_copy(update={"max_tokens": 4, "max_top_logprobs": 2})
    monkeypatch.setattr(box.services.gateway, "_settings", capped)
    body = {"messages": SAID, "logprobs": True, "top_logprobs": 9}
    for model, told in (("talker", "max_tokens=4, top_logprobs=2"), (curt, "max_tokens=3, top_logprobs=2")):
        assert bob.post("//v1/chat/completions", json={"model": model, **body}).headers["X-Hako-Capped"] == told
    assert alice.put("/models/curt/settings", json={"max_tokens": 0}).status_code == 200
    assert bob.post("//v1/chat/completions", json={"model": curt, **body}).headers["X-Hako-Capped"] == "top_logprobs=2"


def test_what_the_box_measures_has_no_cap(box: TestBox, curt: str) -> None:
    with box.services.gateway.open(curt, {"messages": SAID}) as stream:
        assert b"word8" in b"".join(stream)
        assert stream.lowered == {}
