"""A model is brought into the box by browser: a broken line, a page left in the middle, a stick; in both languages."""

import hashlib
import json
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Route, expect

from appliance import config
from tests.e2e.axe import examine
from tests.e2e.browser import Visitor, add_person
from tests.simulators import encoder_gguf, gguf, hugging_face
from tests.simulators.served import ServedBox
from webui.locales import Language

pytestmark = [pytest.mark.browser, pytest.mark.timeout(200)]

PIECES = "**/api/v1/models/uploads/*?at=*"
LARGE_BYTES = 3 << 20


@pytest.fixture(scope="module")
def sticks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("media")


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory, sticks: Path) -> Iterator[ServedBox]:
    with ServedBox(tmp_path_factory.mktemp("i") / "v", extra=f'storage.media = ["{sticks}"]') as box:
        yield box


@pytest.fixture
def erin(browser: Browser, box: ServedBox, language: Language) -> Iterator[Visitor]:
    name = f"erin-{secrets.token_hex(4)}"  # each journey has its own, with no uploads yet
    add_person(box, name, "Erin", language)
    with Visitor(browser, box, language) as visitor:
        visitor.sign_in(name)
        visitor.see(visitor.page.locator("#main"))
        yield visitor


@pytest.fixture
def file(tmp_path: Path, language: Language) -> Path:
    """A model of several pieces; what follows the tensors belongs to nobody."""
    path = gguf.tiny_llama(tmp_path / f"Brought {language}.gguf", seed=31 + len(language) + ord(language[0]))
    with path.open("ab") as end:
        end.write(bytes(LARGE_BYTES))
    return path


def choose(visitor: Visitor, file: Path) -> None:
    visitor.page.locator("input[type=file]").set_input_files(file)


def received(visitor: Visitor) -> int:
    items = visitor.page.evaluate("async () => (await (await fetch('/api/v1/models/uploads')).json()).items")
    return sum(int(item["received"]) for item in items)


def test_an_upload_goes_on_after_a_break_and_after_leaving_and_becomes_a_model(erin: Visitor, file: Path) -> None:
    page, language = erin.page, erin.language
    erin.go("/operate/models", "table")
    erin.link("operate.bring").click()
    erin.see(page.get_by_role("heading", level=2, name=erin.say("operate.bring_head_from")))
    erin.look()
    examine(erin)

    passed = 0

    def one_piece_only(route: Route) -> None:
        nonlocal passed
        passed += 1
        if passed == 1:
            route.continue_()
        else:
            route.abort()

    with erin.breaking():
        page.route(PIECES, one_piece_only)
        choose(erin, file)
        erin.see(erin.say("operate.bring_lost"))
        sent = received(erin)
        assert 0 < sent < file.stat().st_size
        examine(erin)
        page.goto("/operate/models/import")  # the tab forgets; the box does not
        page.unroute(PIECES)
    erin.see(page.get_by_role("region", name=erin.say("operate.bring_unfinished")).get_by_text(file.name))
    erin.look()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url) if "?at=" in request.url else None)
    choose(erin, file)

    erin.see(page.get_by_role("region", name=erin.say("operate.bring_plan")))
    assert asked[0].endswith(f"?at={sent}")
    erin.look()
    examine(erin)
    erin.button("operate.bring_act").click()
    erin.see(erin.say("operate.bring_licence_missing"))
    name = f"Brought by browser {language}"
    erin.field("operate.bring_name").fill(name)
    erin.field("operate.licence").fill("CC0-1.0")
    erin.field("operate.licence").press("Enter")
    erin.see(erin.say("operate.bring_ready", name=name))
    expect(page.locator("code")).to_have_text(grouped(digest(file)))
    erin.look()
    examine(erin)
    assert received(erin) == 0
    erin.link("operate.bring_see").click()
    erin.see(page.get_by_role("complementary", name=name))
    erin.look()


def test_a_file_on_a_stick_is_chosen_and_one_that_was_pulled_out_is_told(
    erin: Visitor, sticks: Path, language: Language
) -> None:
    page = erin.page
    stick = sticks / f"STICK-{language}"
    stick.mkdir()
    erin.go("/operate/models/import")
    page.get_by_role("radio", name=erin.say("operate.bring_medium")).check()
    erin.see(page.get_by_role("region", name=erin.say("operate.bring_found")))
    path = gguf.tiny_llama(stick / f"stick-{language}.gguf", seed=41 + ord(language[0]))
    broken = stick / f"broken-{language}.gguf"
    broken.write_bytes(b"no model")
    erin.button("operate.bring_look").click()
    take = erin.button("operate.bring_take_of", name=path.name)
    erin.see(take)
    erin.look()
    examine(erin)

    erin.expects(404, 422)
    erin.button("operate.bring_take_of", name=broken.name).click()
    erin.see("HK-MOD-009")
    erin.look()
    erin.button("operate.bring_back").click()
    page.get_by_role("radio", name=erin.say("operate.bring_medium")).check()
    erin.see(take)
    path.rename(path.with_suffix(".gone"))
    take.click()
    erin.see("HK-BOX-004")
    erin.look()


def test_a_smaller_copy_is_made_beside_the_original_and_told_at_the_end(
    erin: Visitor, box: ServedBox, sticks: Path, language: Language
) -> None:
    page = erin.page
    name = f"copied-{language}"
    path = gguf.tiny_llama(sticks / f"{name}.gguf", seed=51 + ord(language[0]), llama__context_length=4096)
    erin.go("/operate/models/import")
    page.get_by_role("radio", name=erin.say("operate.bring_medium")).check()
    erin.button("operate.bring_take_of", name=path.name).click()
    erin.field("operate.licence").fill("CC0-1.0")
    page.get_by_label(erin.say("operate.bring_smaller")).select_option("Q8_0")
    erin.look()
    examine(erin)
    erin.button("operate.bring_act").click()
    expect(page.locator("table.figures")).to_be_visible(timeout=90_000)
    erin.see(page.get_by_text(erin.say("model.smaller_made", name="Tiny Llama (Q8_0)")))
    erin.look()
    examine(erin)
    with box.client() as client:
        assert {name, f"{name}-q8_0"} <= {model["id"] for model in client.get("/models")["items"]}
    erin.link("operate.bring_smaller_other").click()
    erin.see(page.get_by_role("heading", level=2, name=erin.say("model.smaller")))


def test_a_folder_on_a_stick_becomes_a_model_for_searching_with_what_a_person_says(
    erin: Visitor, box: ServedBox, sticks: Path, tmp_path: Path, language: Language
) -> None:
    page, name = erin.page, f"Folder E5 {language}"
    made = hugging_face.embedder(tmp_path / name)
    shutil.copytree(made, sticks / f"FOLDERS-{language}" / name)
    erin.go("/operate/models/import")
    erin.see(page.get_by_role("link", name=erin.say("nav.update"), exact=True).last)
    page.get_by_role("radio", name=erin.say("operate.bring_medium")).check()
    take = erin.button("operate.bring_take_of", name=name)
    erin.see(take)
    erin.look()
    examine(erin)
    take.click()
    vectors = page.get_by_role("region", name=erin.say("operate.bring_vectors"))
    query = erin.field("operate.bring_query_prefix", vectors)
    erin.see(query)
    expect(query).to_have_value("query: ")
    expect(vectors.get_by_role("radio", name=erin.say("operate.bring_embedding_note"))).to_be_checked()
    erin.look()
    examine(erin)
    query.fill(f"{language}: ")  # the same files used in another way are another model
    erin.field("operate.licence").fill("MIT")
    erin.field("operate.licence").press("Enter")
    erin.see(erin.say("operate.bring_ready", name=name))
    with erin.box.client() as client:
        model = next(one for one in client.get("/models")["items"] if one["name"] == name)
        assert model["kind"] == "embedding"
    manifest = config.load(data_dir=box.folder).models / model["id"] / "model.json"
    assert json.loads(manifest.read_text("utf-8"))["query_prefix"] == f"{language}: "


def test_an_embedding_model_in_one_file_says_what_it_is_and_is_used_as_that(
    erin: Visitor, tmp_path: Path, language: Language
) -> None:
    file = tmp_path / f"nomic-embed-text-{language}.gguf"
    encoder_gguf.small(file, general__name=f"Nomic {language}")
    erin.go("/operate/models/import")
    choose(erin, file)
    vectors = erin.page.get_by_role("region", name=erin.say("operate.bring_vectors"))
    expect(erin.field("operate.bring_query_prefix", vectors)).to_have_value("search_query: ", timeout=30_000)
    expect(vectors.get_by_role("radio")).to_have_count(0)  # there is nothing to choose
    erin.field("operate.bring_pooling", vectors).select_option("last")
    erin.look()
    examine(erin)
    erin.field("operate.licence").fill("Apache-2.0")
    erin.field("operate.licence").press("Enter")
    erin.see(erin.say("operate.bring_ready", name=f"Nomic {language}"))
    with erin.box.client() as client:
        model = next(one for one in client.get("/models")["items"] if one["name"] == f"Nomic {language}")
    assert (model["kind"], model["engine"]) == ("embedding", "llama")

    erin.go(f"/operate/models/{model['id']}")
    speed = erin.page.get_by_role("region", name=erin.say("model.speed"))
    speed.get_by_role("button").first.click()
    expect(erin.button("model.measure_again", speed)).to_be_visible(timeout=60_000)
    erin.look()
    examine(erin)


def digest(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def grouped(value: str) -> str:
    return " ".join(value[at : at + 8] for at in range(0, len(value), 8))
