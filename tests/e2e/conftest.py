"""A served box with the real starter models and the manual as its sample base, and a browser, for all journeys."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, StorageState, sync_playwright

from appliance import clock
from tests.e2e.browser import Visitor, add_person, launch
from tests.e2e.changing import Publisher, published
from tests.e2e.prepared import MODELS, lay, own_models
from tests.simulators.served import ServedBox
from tests.simulators.sticks import Sticks
from webui import locales
from webui.locales import Language


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if not (MODELS / "smollm2-135m-instruct" / "model.json").exists():
        pytest.skip("the starter models are not built: make models")
    return own_models(tmp_path_factory.mktemp("m") / "models")


@pytest.fixture(scope="session")
def served(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedBox]:
    folder = tmp_path_factory.mktemp("e") / "v"
    lay(folder)
    with ServedBox(folder, models=models, samples=True) as box:
        yield box


@pytest.fixture(scope="session")
def publisher(tmp_path_factory: pytest.TempPathFactory) -> Publisher:
    return published(tmp_path_factory.mktemp("publisher"))


@pytest.fixture
def media(tmp_path: Path) -> Path:
    """Where `box` looks for sticks."""
    (tmp_path / "media").mkdir()
    return tmp_path / "media"


@pytest.fixture
def box(tmp_path: Path, media: Path) -> Iterator[ServedBox]:
    """A new one with scripted models, for journeys that change the box itself."""
    with ServedBox(tmp_path / "v", extra=f'storage.media = ["{media}"]') as box:
        yield box


@pytest.fixture(scope="session")
def api_key(served: ServedBox) -> str:
    return served.api_key("program")


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = launch(playwright.chromium)
        yield browser
        browser.close()


@pytest.fixture(params=locales.LANGUAGES)
def language(request: pytest.FixtureRequest) -> Language:
    """Each journey is made in both languages."""
    chosen: Language = request.param
    return chosen


@pytest.fixture
def erin(browser: Browser, box: ServedBox, language: Language) -> Iterator[Visitor]:
    """An operator of `box`, signed in."""
    add_person(box, "erin", "Erin", language)
    with Visitor(browser, box, language) as visitor:
        visitor.sign_in("erin")
        visitor.see(visitor.page.locator("#main"))
        yield visitor


@pytest.fixture
def sticks(tmp_path: Path) -> Sticks:
    """A publisher who writes sticks for `box`."""
    return Sticks(tmp_path / "publisher", clock.now())


@pytest.fixture(scope="session")
def signed_in(browser: Browser, served: ServedBox) -> Callable[[Language], StorageState]:
    """The session of Alice, an operator, who signed in once for each language."""
    states: dict[Language, StorageState] = {}

    def state(language: Language) -> StorageState:
        if language not in states:
            add_person(served, f"alice-{language}", "Alice", language)
            with Visitor(browser, served, language) as visitor:
                visitor.sign_in(f"alice-{language}")
                visitor.see(visitor.page.locator("#main"))
                states[language] = visitor.context.storage_state()
        return states[language]

    return state


@pytest.fixture
def alice(
    browser: Browser, served: ServedBox, language: Language, signed_in: Callable[[Language], StorageState]
) -> Iterator[Visitor]:
    """In front of the box, signed in."""
    with Visitor(browser, served, language, signed_in=signed_in(language)) as visitor:
        yield visitor
