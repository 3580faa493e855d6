"""The default chat model and the reranker of searches chosen by browser, on a box with scripted models."""

import pytest
from playwright.sync_api import Browser, expect

from appliance.inference.engines import scripted
from tests.e2e.browser import Visitor, add_person
from tests.simulators.served import ServedBox
from webui.locales import Language

pytestmark = [pytest.mark.browser, pytest.mark.timeout(200)]


def test_an_operator_chooses_the_default_and_the_reranker(browser: Browser, box: ServedBox, language: Language) -> None:
    scripted.install(box.folder / "scripted", "writer", "chat", b"tools <think>")
    scripted.install(box.folder / "scripted", "ranker", "reranker")
    add_person(box, f"erin-{language}", "Erin", language)
    with Visitor(browser, box, language) as erin:
        erin.sign_in(f"erin-{language}")
        erin.see(erin.page.locator("#main"))
        erin.go("/operate/models/writer", "h1")
        erin.button("model.make_default").click()
        erin.see(erin.page.locator(".badge-accent", has_text=erin.say("operate.default")))
        expect(erin.button("model.make_default")).to_have_count(0)
        for word in ("operate.can_tools", "operate.can_thinking"):
            erin.see(erin.page.locator(".badge", has_text=erin.say(word)))
        erin.look()
        erin.go("/operate/models", "table")
        # Beside an open panel the list has no room for them.
        expect(erin.page.locator(".t-models .badge", has_text=erin.say("operate.can_tools"))).to_have_count(1)
        erin.look()
        erin.go("/operate/models/ranker", "h1")
        ranking = erin.page.get_by_role("region", name=erin.say("operate.rerank"))
        name = ranking.get_by_role("button", name="ranker")
        name.click()
        erin.see(erin.page.locator(".badge-accent", has_text=erin.say("operate.rerank_badge")))
        erin.look()
        erin.button("operate.rerank_stop", ranking).click()
        erin.see(ranking.get_by_text(erin.say("operate.rerank_none")))
        erin.go("/operate/models/embedder", "h1")
        erin.see(erin.page.get_by_text(erin.say("model.embedding_fixed")))
