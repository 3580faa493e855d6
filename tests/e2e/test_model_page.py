"""The page of a model and the overview of what all serve, in headless Chromium on a real box, in both languages."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from appliance import config
from appliance.inference.engines import scripted
from tests.e2e.browser import Visitor, add_person
from tests.simulators import gguf, vision
from tests.simulators.served import PASSWORD, ServedBox
from webui.locales import Language

pytestmark = [pytest.mark.browser, pytest.mark.models, pytest.mark.timeout(900)]

CHAT = "smollm2-135m-instruct"


@pytest.fixture
def tiny(served: ServedBox, language: Language, tmp_path: Path) -> Iterator[str]:
    """A model of a few weights with an adapter of its own; it and what was made of it are removed afterwards."""
    name = f"tiny-{language}"
    file = gguf.tiny_llama(tmp_path / f"{name}.gguf", llama__context_length=4096)
    lora = gguf.tiny_lora(tmp_path / "style.gguf")
    with served.client() as client:
        client.post("/models/import", {"path": str(file), "licence": "CC0-1.0"})
        client.post(f"/models/{name}/adapters", {"path": str(lora)})
    yield name
    with served.client() as client:
        for model in client.get("/models")["items"]:
            if model["id"].startswith(name):
                client.delete(f"/models/{model['id']}")


def test_an_operator_measures_a_model_and_compares_it_with_the_others(alice: Visitor, tiny: str) -> None:
    page = alice.page
    alice.go(f"/operate/models?model={tiny}", "table")
    alice.link("operate.whole_page").click()
    expect(page).to_have_url(f"{alice.box.url}/operate/models/{tiny}")
    speed = page.get_by_role("region", name=alice.say("model.speed"))
    speed.get_by_role("button").first.click()
    alice.see(alice.button("model.stop", speed))
    expect(alice.button("model.measure_again", speed)).to_be_visible(timeout=180_000)
    with alice.box.client() as client:
        measured = client.get(f"/models/{tiny}/bench")
    figures = measured["figures"]
    assert figures["read_per_s"] > 0
    people = measured["capacity"]["people"]
    expect(speed.locator(".bench-says")).to_contain_text(
        {"ja": f"{people:,}人に", "en": f"serves {people:,} "}[alice.language]
    )
    expect(speed.locator(".bench-figures dd")).to_have_count(3)
    alice.look()

    alice.go("/operate/models", "table")
    alice.link("nav.capacity").click()
    row = page.locator("tbody tr", has=page.locator(f'a[href$="/{tiny}"]'))
    alice.see(row.get_by_text(alice.say("model.people", n=f"{people:,}"), exact=True))
    alice.see(page.get_by_role("heading", name=alice.say("model.limits")))
    alice.look()
    row.get_by_role("link").first.click()
    expect(page).to_have_url(f"{alice.box.url}/operate/models/{tiny}")


def test_an_operator_leaves_a_measurement_and_nothing_is_kept_of_it(alice: Visitor) -> None:
    with alice.box.client() as client:
        before = client.get("/models/multilingual-e5-small/bench")
    alice.go("/operate/models/multilingual-e5-small")
    speed = alice.page.get_by_role("region", name=alice.say("model.speed"))
    speed.get_by_role("button").first.click()
    alice.button("model.stop", speed).click()
    expect(alice.button("model.stop", speed)).to_have_count(0)
    with alice.box.client() as client:
        assert client.get("/models/multilingual-e5-small/bench") == before


def test_an_operator_gives_a_model_another_name_checks_its_files_and_takes_the_name_back(alice: Visitor) -> None:
    page, alias = alice.page, f"gpt-{alice.language}"
    alice.go(f"/operate/models/{CHAT}")
    names = page.get_by_role("region", name=alice.say("operate.aliases"))
    alice.field("model.alias_name", names).fill(alias)
    alice.button("model.alias_add", names).click()
    alice.see(names.get_by_text(alias, exact=True))
    with alice.box.client() as client:
        assert alias in client.get(f"/models/{CHAT}")["aliases"]
    alice.button("model.alias_remove", names, name=alias).click()
    alice.button("ui.undo").click()
    alice.see(names.get_by_text(alias, exact=True))
    alice.button("model.alias_remove", names, name=alias).click()
    expect(names.get_by_text(alias, exact=True)).to_have_count(0)

    files = page.locator("section", has=page.locator("#files-head"))
    with alice.box.client() as client:
        known = client.get(f"/models/{CHAT}")["files"]
    assert {file["sha256"] for file in known} == {
        text.replace(" ", "") for text in files.locator("code").all_inner_texts()
    }
    alice.button("model.verify", files).click()
    alice.see(files.locator(".note-ok"))
    expect(alice.button("operate.remove")).to_have_attribute("aria-disabled", "true")  # a default model stays
    alice.look()


def test_an_operator_reads_why_a_model_is_not_used_and_accepts_its_new_answers(alice: Visitor, tiny: str) -> None:
    page = alice.page
    golden = config.load(data_dir=alice.box.folder).golden / tiny / "golden.json"
    with alice.box.client() as client:
        client.post(f"/models/{tiny}/load", {})
        client.post(f"/models/{tiny}/unload", {})
    known = json.loads(golden.read_text("utf-8"))
    known["records"][0]["result"]["words"][0]["logprob"] -= 1
    golden.write_text(json.dumps(known), "utf-8")

    alice.expects(500)
    alice.go(f"/operate/models/{tiny}")
    alice.button("operate.load").click()
    fault = page.locator(".page-in .note-bad")
    alice.see(fault.get_by_text("HK-MOD-018"))
    expect(fault).to_have_count(1)
    alice.see(page.get_by_text(alice.say("operate.failed_changed")))
    alice.look()
    alice.go(f"/operate/models?model={tiny}", "table")
    alice.see(page.locator("tbody").get_by_text(alice.say("operate.failed_changed")))
    alice.look()
    alice.go(f"/operate/models/{tiny}")
    alice.button("model.renew", fault).click()
    alice.see(alice.dialog.get_by_text(alice.say("model.renew_text")))
    alice.field("ui.own_password", alice.dialog).fill(PASSWORD)
    alice.button("model.renew", alice.dialog).click()
    alice.see(alice.say("model.renewed", name="Tiny Llama"))
    alice.see(alice.button("operate.unload"))
    expect(fault).to_have_count(0)
    with alice.box.client() as client:
        assert client.get(f"/models/{tiny}")["state"] == "loaded"


def test_an_operator_sees_whether_each_model_fits_and_what_is_free(alice: Visitor, tiny: str) -> None:
    page = alice.page
    with alice.box.client() as client:
        client.put(f"/models/{tiny}/settings", {"context": 4096, "parallel": 64})
        items = {item["id"]: item for item in client.get("/models")["items"]}
    alice.go("/operate/models", ".bar-parts")
    row = page.locator("tbody tr", has_text="Tiny Llama")
    alice.see(row.get_by_text(alice.say(f"operate.fit_{items[tiny]['estimate']['verdict']}"), exact=True))
    memory = page.locator(".mem")
    alice.see(memory.get_by_text(alice.say("operate.memory_free")))
    alice.see(memory.get_by_text(alice.say("operate.memory_rest")))
    alice.look()


def test_an_operator_lets_a_model_see_and_takes_its_sight_away(alice: Visitor, tiny: str, tmp_path: Path) -> None:
    page, dialog = alice.page, alice.dialog
    alice.go(f"/operate/models/{tiny}")
    sight = page.get_by_role("region", name=alice.say("model.sight"))
    alice.see(sight.get_by_text(alice.say("model.sight_none")))
    chooser = dialog.locator("input[type=file]")

    alice.expects(422)
    alice.button("model.sight_bring", sight).click()
    chooser.set_input_files(vision.tiny_projector(tmp_path / "mmproj-other.gguf", width=48))
    alice.see(dialog.get_by_text("HK-MOD-027"))
    alice.button("operate.bring_back", dialog).click()
    chooser.set_input_files(vision.tiny_projector(tmp_path / "mmproj-fits.gguf"))
    alice.see(dialog.get_by_text(alice.say("model.sight_fits", name="Tiny Llama")))
    alice.look()
    with alice.box.client() as client:
        assert client.get(f"/models/{tiny}")["projector"] is None
    alice.button("model.sight_act", dialog).click()
    alice.see(sight.get_by_text(alice.say("model.sight_sees"), exact=True))
    with alice.box.client() as client:
        assert client.get(f"/models/{tiny}")["vision"]
    alice.look()

    alice.button("model.sight_remove", sight).click()
    alice.button("operate.remove", dialog).click()
    alice.see(sight.get_by_text(alice.say("model.sight_none")))


def test_an_operator_adds_an_adapter_puts_one_to_use_and_erases_it(alice: Visitor, tiny: str, tmp_path: Path) -> None:
    page, lora = alice.page, "style.lora.gguf"
    alice.go(f"/operate/models/{tiny}")
    adapters = page.get_by_role("region", name=alice.say("model.adapters"))
    alice.see(adapters.get_by_text(alice.say("model.adapter_unused"), exact=True))
    before, second = alice.field("operate.set_adapter"), "second.lora.gguf"
    expect(before.locator("option", has_text=second)).to_have_count(0)
    alice.expects(422)
    alice.button("model.adapter_add", adapters).click()
    chooser = alice.dialog.locator("input[type=file]")
    chooser.set_input_files(gguf.tiny_llama(tmp_path / "no-adapter.gguf"))
    alice.see(alice.dialog.get_by_text("HK-MOD-017"))
    alice.button("operate.bring_back", alice.dialog).click()
    chooser.set_input_files(gguf.tiny_lora(tmp_path / "Second.gguf"))
    alice.see(alice.dialog.get_by_text(alice.say("model.adapter_fits", name="Tiny Llama")))
    alice.look()
    alice.button("model.adapter_act", alice.dialog).click()
    alice.see(adapters.get_by_text(second, exact=True))
    expect(before.locator("option", has_text=second)).to_have_count(1)
    loading = page.get_by_role("form", name=alice.say("operate.part_loading"))
    alice.field("operate.set_adapter", loading).select_option(label=lora)
    strength = alice.field("operate.set_adapter_scale", loading)
    expect(strength).to_have_value("1")
    strength.fill("9")
    strength.blur()
    alice.see(alice.say("operate.set_adapter_range", most=4))
    strength.fill("0.5")
    alice.field("operate.set_threads", loading).fill("2")
    alice.button("ui.save", loading).click()
    alice.see(adapters.get_by_text(alice.say("model.adapter_used", scale="0.5"), exact=True))
    alice.look()
    with alice.box.client() as client:
        settings = client.get(f"/models/{tiny}/settings")["settings"]
        assert (settings["adapter"], settings["adapter_scale"], settings["threads"]) == (lora, 0.5, 2)
    alice.button("model.adapter_remove", adapters, name=lora).click()
    alice.see(alice.dialog.get_by_text(alice.say("model.adapter_remove_used")))
    alice.button("operate.remove", alice.dialog).click()
    alice.button("model.adapter_remove", adapters, name=second).click()
    alice.button("operate.remove", alice.dialog).click()
    alice.see(alice.say("model.adapters_none"))
    expect(alice.field("operate.set_adapter", loading)).to_have_count(0)
    with alice.box.client() as client:
        assert client.get(f"/models/{tiny}/settings")["settings"]["adapter"] == ""


def test_an_operator_makes_a_smaller_model_and_sees_what_that_changed(alice: Visitor, tiny: str) -> None:
    page = alice.page
    alice.go(f"/operate/models/{tiny}")
    smaller = page.get_by_role("region", name=alice.say("model.smaller"))
    alice.field("model.smaller_form", smaller).select_option("Q8_0")
    alice.see(smaller.get_by_text(f"{tiny}-q8_0", exact=True))
    alice.see(smaller.get_by_role("group", name=alice.say("operate.estimate")))
    alice.look()
    alice.button("model.smaller_act", smaller).click()
    expect(smaller.locator(".note-ok")).to_be_visible(timeout=120_000)
    expect(smaller.locator("tbody tr")).to_have_count(3)
    with alice.box.client() as client:
        assert client.get(f"/models/{tiny}")["quantization"] != "Q8_0"  # the original is still there
        assert client.get(f"/models/{tiny}-q8_0/bench")["figures"]["read_per_s"] > 0
    alice.look()
    alice.link("model.smaller_open", smaller).click()
    expect(page).to_have_url(f"{alice.box.url}/operate/models/{tiny}-q8_0")
    alice.field("model.smaller_form").select_option("Q4_0")
    alice.see(page.get_by_text(f"{tiny}-q8_0-q4_0", exact=True))


def test_a_form_that_is_there_already_is_refused_before_it_begins(alice: Visitor, tiny: str) -> None:
    alice.expects(409)
    with alice.box.client() as client:
        client.post(f"/models/{tiny}/requantise", {"to": "Q8_0", "measure": False})
    alice.go(f"/operate/models/{tiny}")
    smaller = alice.page.get_by_role("region", name=alice.say("model.smaller"))
    alice.field("model.smaller_form", smaller).select_option("Q8_0")
    alice.see(smaller.get_by_text("HK-BOX-009"))
    expect(alice.button("model.smaller_act", smaller)).to_have_attribute("aria-disabled", "true")


def test_an_operator_sees_that_no_reranker_is_used_and_how_one_comes(alice: Visitor) -> None:
    alice.go("/operate/models", "table")
    ranking = alice.page.get_by_role("region", name=alice.say("operate.rerank"))
    alice.see(ranking.get_by_text(alice.say("operate.rerank_none")))
    alice.see(ranking.get_by_text(alice.say("operate.rerank_bring")))
    alice.look()


def test_a_member_meets_neither_page(browser: Browser, served: ServedBox, language: Language) -> None:
    add_person(served, f"mallory-models-{language}", "Mallory", language, "member")
    with Visitor(browser, served, language) as mallory:
        mallory.sign_in(f"mallory-models-{language}")
        mallory.see(mallory.page.locator("#main"))
        for path in (f"/operate/models/{CHAT}", "/operate/capacity"):
            mallory.go(path, ".empty")
            mallory.see(mallory.say("error.HK-AUTH-003"))
            mallory.look()


def test_a_running_model_shows_how_fast_it_writes_and_says_when_it_can_not_be_read(erin: Visitor) -> None:
    page = erin.page
    erin.go("/operate/models", ".run-rate")
    card = page.locator(".run", has=page.get_by_role("heading", name="Scripted chat"))
    rate = card.locator(".run-rate b")
    expect(rate).to_have_text("–")
    writer = erin.context.new_page()
    writer.goto("/playground")
    writer.get_by_label(erin.say("play.user"), exact=True).fill("[[words 5000]] [[delay 40]]")
    writer.get_by_role("button", name=erin.say("play.run"), exact=True).click()
    page.bring_to_front()
    expect(rate).not_to_have_text("–", timeout=60_000)
    assert float("".join(letter for letter in rate.inner_text() if letter in "0123456789.")) > 0
    erin.see(card.get_by_text(erin.say("operate.live_working", busy=1, places=2, waiting=0)))
    erin.look()
    writer.get_by_role("button", name=erin.say("play.stop_all"), exact=True).click()
    expect(rate).to_have_text("–", timeout=60_000)
    writer.close()

    memory = card.locator(".big").inner_text()
    erin.expects(503)
    page.route("**/api/v1/models/running", lambda route: route.fulfill(status=503, json={"code": "HK-BOX-001"}))
    erin.see(erin.say("operate.live_failed"))
    expect(card.locator(".big")).to_have_text(memory)
    page.unroute_all()
    expect(page.get_by_text(erin.say("operate.live_failed"))).to_have_count(0, timeout=20_000)


def test_a_load_shows_how_far_it_has_come_and_is_stopped(erin: Visitor) -> None:
    scripted.install(erin.box.folder / "scripted", "sluggish", "chat", b"slow" + b"." * 200_000)
    erin.expects(503)
    erin.go("/operate/models/sluggish")
    erin.button("operate.load").click()
    progress = erin.page.get_by_role("progressbar", name=erin.say("operate.load_progress", name="Scripted chat"))
    erin.see(progress)
    erin.see(erin.page.get_by_text(erin.say("operate.load_reading")))
    assert 0 < float(progress.get_attribute("value") or 0) < 1
    erin.look()
    erin.go("/operate/models?model=sluggish", "table")
    expect(progress).to_have_count(3)  # its card, its row, its details
    erin.look()
    erin.button("operate.load_stop").first.click()
    expect(progress).to_have_count(0, timeout=20_000)
    with erin.box.client() as client:
        assert client.get("/models/sluggish")["state"] == "idle"
        expect(erin.page.locator(".fault")).to_have_count(0)
        client.post("/models/sluggish/load", {})
    erin.go("/operate/models/sluggish")
    erin.see(erin.button("operate.unload"))
