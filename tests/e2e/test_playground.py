"""The playground in headless Chromium: two models side by side, probabilities by mouse and keys, presets as files."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, FilePayload, expect

from tests.e2e.browser import Visitor, add_person, texts
from tests.simulators import gguf, vision
from tests.simulators.served import ServedBox
from webui.locales import Language

pytestmark = [pytest.mark.browser, pytest.mark.models, pytest.mark.timeout(400)]

PROMPT = {"ja": "海について書いてください。", "en": "Write about the sea."}
ENDLESS = '{"type": "array", "items": {"type": "integer"}, "minItems": 200}'  # no short answer, whatever the sampling
CHAT, STARTER = "/v1/chat/completions", "smollm2-135m-instruct"
RULE = {"ja": "短く書いてください。", "en": "Be brief."}


@pytest.fixture
def other(served: ServedBox, language: Language, tmp_path: Path) -> Iterator[str]:
    """A second model, of a few random weights: what it writes is nothing that the starter model would."""
    name = f"other-{language}"
    file = gguf.tiny_llama(tmp_path / f"{name}.gguf", llama__context_length=4096)
    with served.client() as client:
        client.post("/models/import", {"path": str(file), "licence": "CC0-1.0"})
    yield name
    with served.client() as client:
        client.delete(f"/models/{name}")


def test_one_prompt_is_answered_by_two_models_with_counts_and_probabilities(alice: Visitor, other: str) -> None:
    page, language = alice.page, alice.language
    asked: list[str] = []
    page.on("request", lambda sent: asked.append(sent.post_data_json["model"]) if sent.url.endswith(CHAT) else None)
    alice.go("/chat", "textarea")
    alice.link("nav.playground").click()
    columns = page.locator(".col")
    expect(columns).to_have_count(2)  # two models, so they are there side by side
    alice.look()
    alice.button("play.remove").click()
    expect(columns).to_have_count(1)
    alice.button("play.compare").click()
    expect(columns).to_have_count(2)
    page.get_by_label(alice.say("play.model_first"), exact=True).select_option(STARTER)
    page.get_by_label(alice.say("play.model_second"), exact=True).select_option(other)
    alice.field("play.system").fill(RULE[language])
    alice.field("play.user").fill(PROMPT[language])
    alice.field("play.max_tokens").fill("12")
    alice.field("play.temperature").fill("0")
    alice.field("play.user").press("Control+Enter")
    for column in columns.all():
        alice.see(column.get_by_text(alice.say("play.cut")))
        figures = texts(column.locator("dd"))
        assert figures[1] == alice.say("play.tokens", n=12)
        assert all(figure != "–" for figure in figures)
    assert sorted(asked) == sorted([STARTER, other])
    said = [texts(column.locator(".tok")) for column in columns.all()]
    assert said[0] != said[1]
    assert all(said)

    tokens, odds = columns.first.locator(".tok"), columns.first.locator(".odds")
    tokens.nth(1).hover()
    alice.see(odds.locator(".chosen"))
    by_mouse = odds.inner_text()
    page.mouse.move(0, 0)
    expect(odds.locator(".chosen")).to_have_count(0)
    tokens.first.focus()
    page.keyboard.press("ArrowRight")
    expect(tokens.nth(1)).to_be_focused()
    assert odds.inner_text() == by_mouse
    expect(odds.locator("tbody tr")).not_to_have_count(1)
    alice.look()

    alice.button("play.remove").click()
    expect(columns).to_have_count(1)


def test_an_answer_is_stopped_and_a_wrong_parameter_is_said_beside_its_field(alice: Visitor) -> None:
    page = alice.page
    alice.go("/playground", ".col")
    alice.field("play.user").fill(PROMPT[alice.language])
    alice.field("play.temperature").fill("9")
    alice.button("play.run").click()
    alice.see(alice.say("play.wrong"))
    alice.see(alice.say("play.range", least="0", most="2"))
    expect(page.locator(".tok")).to_have_count(0)
    alice.field("play.temperature").fill("")
    alice.field("play.schema").fill("{")
    alice.see(alice.say("play.schema_fault"))
    alice.field("play.schema").fill(ENDLESS)
    alice.button("play.run").click()
    alice.see(page.locator(".tok").nth(3))
    alice.button("play.stop_all").click()
    alice.see(alice.say("play.stopped"))
    alice.button("play.run").click()
    alice.see(page.locator(".tok").nth(3))
    page.keyboard.press("Escape")
    alice.see(alice.say("play.stopped"))
    alice.see(alice.button("play.run"))


def test_alternatives_a_bias_and_a_picture_are_sent_as_they_were_chosen(alice: Visitor, tmp_path: Path) -> None:
    page = alice.page
    bodies: list[dict[str, Any]] = []
    page.on("request", lambda sent: bodies.append(sent.post_data_json) if sent.url.endswith(CHAT) else None)
    alice.go("/playground", ".col")
    alice.field("play.user").fill(PROMPT[alice.language])
    alice.field("play.max_tokens").fill("3")
    alice.field("play.others").select_option("10")
    alice.field("play.bias").fill("28: -100")
    page.locator("details summary", has_text=alice.say("play.native")).click()
    page.get_by_label("mirostat", exact=True).fill("2")
    alice.look()
    alice.button("play.run").click()
    alice.see(alice.say("play.cut"))
    assert bodies[0]["top_logprobs"] == 10
    assert (bodies[0]["logit_bias"], bodies[0]["mirostat"]) == ({"28": -100}, 2)
    page.locator(".tok").first.hover()
    alice.see(page.locator(".odds tbody tr").nth(9))

    alice.expects(400)  # it can't see
    picture = tmp_path / "red.png"
    picture.write_bytes(vision.png((220, 20, 20)))
    page.locator("form input[type=file]").set_input_files(picture)
    alice.see(page.get_by_text("red.png"))
    alice.look()
    alice.button("play.run").click()
    alice.see(page.locator(".col").get_by_text("HK-MOD-028"))
    assert bodies[1]["messages"][-1]["content"][1]["image_url"]["url"].startswith("data:image/png;base64,")
    alice.button("play.picture_remove").click()
    expect(page.locator("img.shown")).to_have_count(0)


def test_a_refusal_of_the_box_is_a_sentence_in_its_column(alice: Visitor) -> None:
    alice.expects(400)
    alice.go("/playground", ".col")
    alice.field("play.user").fill(PROMPT[alice.language])
    alice.field("play.schema").fill('{"type": "string", "pattern": "a+"}')
    alice.button("play.run").click()
    alice.see(alice.page.locator(".col").get_by_text("HK-BOX-003"))
    alice.see(alice.say("play.failed"))


def test_what_a_model_writes_stays_text(alice: Visitor) -> None:
    page = alice.page
    markup = "<img src=x onerror=alert(1)>"
    chunk = {"choices": [{"index": 0, "delta": {"content": markup}, "finish_reason": "stop"}]}
    page.route("**/v1/chat/completions", lambda route: route.fulfill(
        status=200, content_type="text/event-stream", body=f"data: {json.dumps(chunk)}\n\ndata: [DONE]\n\n"
    ))  # fmt: skip
    alice.go("/playground", ".col")
    alice.field("play.user").fill("x")
    alice.button("play.run").click()
    expect(page.locator(".plain")).to_have_text(markup)
    assert page.locator(".plain img").count() == 0


def test_a_preset_is_kept_shared_exported_and_taken_in_by_bob(
    alice: Visitor, browser: Browser, served: ServedBox, tmp_path: Path
) -> None:
    page, language = alice.page, alice.language
    name = f"Brief {language}"
    alice.go("/playground", ".col")
    alice.field("play.system").fill(RULE[language])
    alice.field("play.top_k").fill("5")
    alice.field("play.stop").fill("END\\n")
    alice.button("play.preset_acts").click()
    alice.pick("play.preset_save")
    alice.field("play.preset_name", alice.dialog).fill(name)
    alice.dialog.get_by_role("checkbox").check()
    alice.button("ui.save", alice.dialog).click()
    alice.see(alice.say("play.preset_saved", name=name))
    alice.button("play.preset_acts").click()
    with page.expect_download() as download:
        alice.pick("play.preset_export")
    file = tmp_path / "preset.json"
    download.value.save_as(file)
    assert json.loads(file.read_text("utf-8")) == {
        "format": "hako-preset",
        "version": 1,
        "name": name,
        "system": RULE[language],
        "sampling": {"top_k": 5, "stop": ["END\n"]},
    }

    add_person(served, f"play-{language}", "Bob", language, "member")
    with Visitor(browser, served, language) as bob:
        bob.sign_in(f"play-{language}")
        bob.see(bob.page.locator("#main"))
        bob.go("/playground", ".col")
        bob.field("play.preset").select_option(label=name)
        expect(bob.field("play.system")).to_have_value(RULE[language])
        expect(bob.field("play.top_k")).to_have_value("5")
        bob.button("play.preset_acts").click()
        assert bob.page.get_by_role("menuitem", name=bob.say("play.preset_delete"), exact=True).count() == 0
        bob.page.keyboard.press("Escape")
        picker = bob.page.locator("aside input[type=file]")
        broken: FilePayload = {"name": "no.json", "mimeType": "application/json", "buffer": b"{"}
        picker.set_input_files([broken])
        bob.see(bob.say("play.file_fault"))
        own = json.loads(file.read_text("utf-8")) | {"name": f"Bob's {language}"}
        picker.set_input_files([{**broken, "buffer": json.dumps(own).encode()}])
        bob.see(bob.say("play.preset_taken", name=own["name"]))
        expect(bob.field("play.stop")).to_have_value("END\\n")

    alice.button("play.preset_acts").click()
    alice.pick("play.preset_delete")
    alice.see(alice.say("play.preset_delete_shared"))
    alice.button("play.preset_delete_act", alice.dialog).click()
    alice.see(alice.say("play.preset_deleted", name=name))
