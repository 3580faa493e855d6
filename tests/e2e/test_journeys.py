"""What staff and operators do all day, in headless Chromium on a real box, in both languages."""

import re

import httpx2
import pytest
from playwright.sync_api import Browser, FilePayload, expect

from tests.e2e.axe import examine
from tests.e2e.browser import Visitor, add_person, texts
from tests.simulators.documents import Mark, Words, make_pdf
from tests.simulators.served import PASSWORD, ServedBox
from webui.locales import Language

pytestmark = [pytest.mark.browser, pytest.mark.models, pytest.mark.timeout(400)]

GUIDE = {
    "ja": ("夜間の入り口は、東棟の守衛室です。", "面会は、午後2時から8時までです。", "駐車場は、300台まで置けます。"),
    "en": (
        "The night entrance is the guard room of the east wing.",
        "Visiting hours are from 2 pm to 8 pm.",
        "The car park has room for 300 cars.",
    ),
}
WHEN = {"ja": "面会は何時までですか", "en": "Until what time are visiting hours?"}
NOTE = {"ja": "面会者カードは、受付に返してください。", "en": "Please return the visitor card to the desk."}
CARD = {"ja": "面会者カードは、どこに返しますか。", "en": "Where do I return the visitor card?"}
ABSENT = {"ja": "明日の東京の天気は何ですか。", "en": "Who won the football world cup in 1998?"}
LONG = "Write a very long story about the sea."  # the starter model is short in Japanese


def file(name: str, data: bytes) -> FilePayload:
    return {"name": name, "mimeType": "application/octet-stream", "buffer": data}


def guide(language: Language) -> bytes:
    font = "ja" if language == "ja" else "sans"
    marks: list[Mark] = [Words(line, 60, 760 - 40 * at, 12, font) for at, line in enumerate(GUIDE[language])]
    return make_pdf([marks])


def test_a_wrong_password_is_refused_and_the_right_one_opens_the_chat(
    browser: Browser, served: ServedBox, language: Language
) -> None:
    add_person(served, f"sato-{language}", "Sato", language, "member")
    with Visitor(browser, served, language) as sato:
        sato.expects(401)
        sato.go("/docs", "#name")
        sato.look()
        sato.page.fill("#name", f"sato-{language}")
        sato.page.fill("#password", "certainly-not-the-password")
        sato.button("page.sign_in.submit").click()
        sato.see("HK-AUTH-002")
        assert sato.page.locator("#name").input_value() == f"sato-{language}"
        examine(sato)
        sato.page.fill("#password", PASSWORD)
        sato.button("page.sign_in.submit").click()
        sato.see(sato.page.get_by_role("heading", level=1, name=sato.say("docs.title")))
        sato.look()
        sato.go("/")
        sato.see(sato.say("chat.empty_title"))
        sato.look()


def test_documents_are_taken_in_and_found_again(alice: Visitor) -> None:
    page, language = alice.page, alice.language
    alice.go("/docs")
    alice.look()
    alice.button("nav.new_base").click()
    alice.field("docs.name", alice.dialog).fill(f"Guide {language}")
    alice.button("docs.create", alice.dialog).click()
    alice.see(alice.say("docs.empty"))
    alice.look()

    files = page.locator("input[type=file]")
    broken = file("broken.pdf", guide(language)[:300])
    files.set_input_files([file("guide.pdf", guide(language)), file("note.txt", NOTE[language].encode()), broken])
    alice.see(page.get_by_role("region", name=alice.say("docs.ingest")))
    rows = page.locator("tbody tr")
    alice.see(rows.filter(has_text="guide.pdf").get_by_text(alice.say("docs.state_ready")))
    alice.see(rows.filter(has_text="note.txt").get_by_text(alice.say("docs.state_ready")))
    failed = rows.filter(has_text="broken.pdf")
    alice.see(failed.get_by_text(alice.say("docs.state_failed")))
    alice.see(failed.get_by_text("HK-DOC-012"))
    alice.see(alice.button("docs.retry", failed))
    files.set_input_files([file("copy.pdf", guide(language))])
    alice.see(alice.say("docs.duplicate"))
    expect(rows).to_have_count(3)
    alice.look()

    alice.link("test.tab").click()
    alice.field("test.query").fill(WHEN[language])
    alice.button("test.act").click()
    hits = page.locator(".hits > .hit")
    expect(hits).to_have_count(2)
    assert texts(hits.locator(".place b")) == ["1", "2"]
    expect(hits.first.locator("mark")).to_have_text(GUIDE[language][1])
    alice.look()
    hits.first.get_by_role("link").click()
    expect(page.locator(".paper mark")).to_have_text(GUIDE[language][1])
    alice.see(alice.say("docs.marked"))
    alice.look()
    page.get_by_role("navigation", name=alice.say("nav.crumbs")).get_by_role("link", name=f"Guide {language}").click()
    alice.link("docs.settings").click()
    alice.see(alice.field("docs.description"))
    alice.look()


def test_a_question_is_answered_with_sources_that_open_in_their_page(alice: Visitor) -> None:
    page = alice.page
    alice.go("/chat", "textarea")
    alice.look()
    alice.ask(alice.say("chat.sample_1"))
    answer = alice.finished()
    chips = answer.locator(".prose [data-cite]")
    expect(chips).not_to_have_count(0)
    rows = answer.get_by_role("list", name=alice.say("chat.sources")).locator("li")
    assert rows.count() >= 2
    alice.see(alice.say("chat.mode_extractive") if alice.language == "ja" else answer.get_by_text("tokens/s"))
    alice.look()

    chips.first.click()
    panel = page.get_by_role("complementary", name=re.compile(alice.say("source.title")))
    mark = panel.locator("mark")
    alice.see(mark)
    first = mark.inner_text()
    quotes = texts(answer.locator(".prose p" if alice.language == "ja" else ".quote"))
    assert any(first in quote for quote in quotes)
    alice.look()
    page.keyboard.press("Alt+ArrowDown")
    alice.see(panel.get_by_text(alice.say("source.count", n=2, all=rows.count())))
    expect(panel.locator("mark")).not_to_have_text(first)
    page.keyboard.press("Escape")
    expect(panel).to_have_count(0)

    alice.ask(ABSENT[alice.language])
    unclear = alice.finished(2)
    alice.see(unclear.get_by_text(re.compile(alice.say("answer.none")[:16])))
    alice.look()
    page.reload()
    alice.finished(2)
    assert page.locator(".said").count() == 2


def leave_the_sample_base(person: Visitor) -> None:
    page = person.page
    picker = page.locator(".picks button").first
    expect(picker).to_have_attribute("aria-pressed", "true")
    picker.click()
    page.get_by_role("menuitemcheckbox", name=person.say("docs.sample_base")).click()
    page.keyboard.press("Escape")
    expect(picker).to_have_attribute("aria-pressed", "false")


def test_a_file_given_to_a_chat_is_read_before_the_question_goes(alice: Visitor) -> None:
    page, language = alice.page, alice.language
    alice.go("/chat", "textarea")
    leave_the_sample_base(alice)
    page.locator(".composer input[type=file]").set_input_files([file("card.txt", NOTE[language].encode())])
    alice.see(page.get_by_role("list", name=alice.say("chat.attached")))
    alice.ask(CARD[language])
    answer = alice.finished()
    answer.locator(".prose [data-cite]").first.click()
    expect(page.locator(".source mark")).to_have_text(NOTE[language])
    alice.look()


def test_an_answer_is_stopped_written_again_and_its_question_edited(alice: Visitor) -> None:
    page, language = alice.page, alice.language
    alice.go("/chat", "textarea")
    leave_the_sample_base(alice)
    alice.see(alice.say("chat.foot_no_bases") if language == "en" else re.compile("英語だけのモデル").pattern[:6])
    alice.ask(LONG)
    expect(alice.answers.last.locator(".prose")).not_to_be_empty()
    page.keyboard.press("Escape")
    stopped = alice.finished()
    alice.see(stopped.get_by_text(alice.say("chat.stopped")))
    alice.look()

    alice.button("chat.again", stopped).click()
    alice.button("chat.stop").click()
    alice.see(alice.finished().get_by_text(alice.say("chat.version", n=2, all=2)))
    alice.button("chat.version_previous", alice.answers.last).click()
    alice.see(alice.answers.last.get_by_text(alice.say("chat.version", n=1, all=2)))

    alice.button("chat.edit").click()
    editor = alice.field("chat.edit_label")
    editor.fill("Say only: yes")
    editor.press("Enter")
    alice.see(page.locator(".said", has_text="Say only: yes"))
    alice.finished()
    alice.see(page.locator(".ask").get_by_text(alice.say("chat.version", n=2, all=2)))

    alice.button("chat.menu").click()
    alice.pick("chat.rename")
    alice.field("chat.rename_label", alice.dialog).fill("The sea")
    alice.button("ui.save", alice.dialog).click()
    alice.see(page.get_by_role("heading", level=1, name="The sea"))
    page.reload()
    alice.see(page.get_by_role("heading", level=1, name="The sea"))
    alice.see(page.get_by_role("link", name="The sea", exact=True))
    alice.look()
    alice.button("chat.menu").click()
    alice.pick("chat.delete")
    alice.button("chat.delete_act", alice.dialog).click()
    alice.see(alice.say("chat.deleted"))
    expect(page.get_by_role("link", name="The sea", exact=True)).to_have_count(0)


def test_an_api_key_is_shown_once_works_and_can_be_revoked(alice: Visitor) -> None:
    page = alice.page
    alice.go("/me")
    alice.look()
    alice.button("me.new_key").click()
    alice.field("me.key_name", alice.dialog).fill("rota")
    alice.button("me.make", alice.dialog).click()
    secret = alice.dialog.locator(".secret code").inner_text()
    assert secret.startswith("hako_")
    alice.look()
    alice.button("me.key_kept", alice.dialog).click()
    listed = page.locator(".rows li", has_text="rota")
    alice.see(listed)
    assert secret not in page.content()
    with httpx2.Client(base_url=alice.box.url, headers={"Authorization": f"Bearer {secret}"}) as program:
        assert program.get("/v1/models").status_code == 200
        alice.button("me.revoke", listed).click()
        alice.button("me.revoke_act", alice.dialog).click()
        expect(listed).to_have_count(0)
        assert program.get("/v1/models").status_code == 401


def test_an_operator_sees_the_models_and_adds_a_person_who_sees_no_operator_room(
    alice: Visitor, browser: Browser
) -> None:
    page, language = alice.page, alice.language
    with alice.box.client() as client:
        models = client.get("/models")["items"]
        for model in models:
            client.post(f"/models/{model['id']}/load", {})
    alice.go("/operate/models", "table")
    assert len(models) == 2
    alice.see(alice.say("operate.models_lead", n=2, running=2))
    running = page.get_by_role("region", name=alice.say("operate.running"))
    assert all(re.fullmatch(r"[\d.]+ MB", size) for size in texts(running.locator(".big")))
    alice.look()

    alice.link("nav.users").click()
    alice.button("operate.add_user").click()
    alice.field("me.display_name", alice.dialog).fill("Bob")
    alice.field("operate.sign_in_name", alice.dialog).fill(f"bob-{language}")
    alice.dialog.get_by_role("radio", name={"ja": "日本語", "en": "English"}[language]).check()
    alice.look()
    alice.button("operate.add", alice.dialog).click()
    alice.see(alice.say("operate.shown_once"))
    name, password = texts(alice.dialog.locator("code"))
    alice.look()
    alice.button("operate.handed_over", alice.dialog).click()
    alice.see(page.locator("tbody tr", has_text=name))
    alice.look()

    with Visitor(browser, alice.box, language) as bob:
        bob.sign_in(name, password)
        bob.see(bob.say("chat.empty_title"))
        expect(bob.page.get_by_role("group", name=bob.say("nav.rooms"))).to_have_count(0)
        bob.go("/operate/users")
        bob.see(bob.say("error.HK-AUTH-003"))
        bob.look()
        bob.button("nav.account").click()
        bob.pick("nav.sign_out")
        bob.see(bob.page.locator("#password"))


def test_the_manual_leads_from_page_to_page(alice: Visitor) -> None:
    page = alice.page
    alice.go("/help", ".prose")
    heading = page.get_by_role("heading", level=1)
    start = heading.inner_text()
    assert start == texts(page.locator(".toc a"))[0]
    alice.look()
    page.locator('.prose a[href="/help/security"]').first.click()
    expect(page).to_have_url(f"{alice.box.url}/help/security")
    expect(heading).not_to_have_text(start)
    assert page.locator(".prose h2").count() > 3
    assert not page.locator(".prose a[href$='.md']").count()
    alice.look()


def test_escape_closes_what_lies_above_the_page(alice: Visitor) -> None:
    page = alice.page
    alice.go("/chat", "textarea")
    page.keyboard.press("Control+k")
    palette = page.get_by_role("combobox", name=alice.say("nav.find"))
    palette.fill(alice.say("nav.models"))
    page.keyboard.press("Escape")
    expect(palette).to_have_count(0)
    page.keyboard.press("Control+k")
    palette.fill(alice.say("nav.models"))
    palette.press("Enter")
    alice.see(page.get_by_role("heading", level=1, name=alice.say("nav.models")))
    expect(page.locator("#main")).to_be_focused()
    alice.button("nav.account").click()
    expect(page.get_by_role("menu").locator(":focus")).to_have_count(1)
    page.keyboard.press("Escape")
    expect(page.get_by_role("menu")).to_be_hidden()
    expect(alice.button("nav.account")).to_be_focused()


def test_an_address_that_leads_nowhere_says_so(alice: Visitor) -> None:
    alice.go("/nowhere")
    alice.see(alice.say("error.HK-BOX-004"))
    alice.look()
    alice.expects(404)
    alice.go("/chat/chat_nothing")
    alice.see("HK-BOX-004")
