"""The page of a model and the overview of what all serve, in headless Chromium on a real box, in both languages."""

import pytest
from playwright.sync_api import Browser, expect

from tests.e2e.browser import Visitor, add_person
from tests.simulators.served import ServedBox
from webui.locales import Language

pytestmark = [pytest.mark.browser, pytest.mark.models, pytest.mark.timeout(400)]

CHAT = "smollm2-135m-instruct"


def test_an_operator_measures_a_model_and_compares_it_with_the_others(alice: Visitor) -> None:
    page = alice.page
    alice.go(f"/operate/models?model={CHAT}", "table")
    alice.link("operate.whole_page").click()
    expect(page).to_have_url(f"{alice.box.url}/operate/models/{CHAT}")
    speed = page.get_by_role("region", name=alice.say("model.speed"))
    speed.get_by_role("button").first.click()
    alice.see(alice.button("model.stop", speed))
    expect(alice.button("model.measure_again", speed)).to_be_visible(timeout=120_000)
    with alice.box.client() as client:
        measured = client.get(f"/models/{CHAT}/bench")
    figures = measured["figures"]
    assert figures["read_per_s"] > 0
    people = measured["capacity"]["people"]
    expect(speed.locator(".bench-says")).to_contain_text(
        {"ja": f"{people}人に", "en": f"serves {people} "}[alice.language]
    )
    expect(speed.locator(".bench-figures dd")).to_have_count(3)
    alice.look()

    alice.go("/operate/models", "table")
    alice.link("nav.capacity").click()
    row = page.locator("tbody tr", has_text="SmolLM2")
    alice.see(row.get_by_text(alice.say("model.people", n=people), exact=True))
    alice.see(page.get_by_role("heading", name=alice.say("model.limits")))
    alice.look()
    row.get_by_role("link").first.click()
    expect(page).to_have_url(f"{alice.box.url}/operate/models/{CHAT}")


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


def test_a_member_meets_neither_page(browser: Browser, served: ServedBox, language: Language) -> None:
    add_person(served, f"mallory-models-{language}", "Mallory", language, "member")
    with Visitor(browser, served, language) as mallory:
        mallory.sign_in(f"mallory-models-{language}")
        mallory.see(mallory.page.locator("#main"))
        for path in (f"/operate/models/{CHAT}", "/operate/capacity"):
            mallory.go(path, ".empty")
            mallory.see(mallory.say("error.HK-AUTH-003"))
            mallory.look()
