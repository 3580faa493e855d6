"""`python -m tests.e2e.shots OUT_DIR`: the pages that the README shows, of a real box in both languages."""

import sys
import tempfile
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright

from tests.e2e.browser import Visitor, add_person, launch
from tests.e2e.prepared import MODELS
from tests.simulators.served import ServedBox
from webui import locales
from webui.locales import Language

NAMES = {"ja": "森 健太", "en": "Jane Smith"}


def photograph(browser: Browser, box: ServedBox, language: Language, out: Path) -> None:
    """A chat with an open source, the sample base and the models."""
    add_person(box, f"person-{language}", NAMES[language], language)
    with Visitor(browser, box, language) as person:
        page = person.page

        def shoot(name: str) -> None:
            person.photograph(out / f"{name}-{language}.png")

        person.sign_in(f"person-{language}")
        person.go("/chat", "textarea")
        person.ask(person.say("chat.sample_1"))
        person.finished().locator(".prose [data-cite]").first.click()
        person.see(page.locator(".source mark"))
        shoot("chat")
        person.go("/docs", ".box")
        page.locator(".box a").first.click()
        person.see(page.locator("tbody tr").first)
        shoot("docs")
        person.go("/operate/models", ".runs")
        shoot("models")


def main(arguments: list[str]) -> int:
    """Start a box with the manual as its sample base, and look at it."""
    if len(arguments) != 1:
        print("Name the folder for the pictures: python -m tests.e2e.shots OUT_DIR")
        return 2
    out = Path(arguments[0])
    out.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory() as folder,
        ServedBox(Path(folder) / "v", models=MODELS, samples=True) as box,
        sync_playwright() as playwright,
    ):
        with box.client() as client:
            sample = next(base for base in client.get("/bases")["items"] if base["system"])
        box.wait_for_documents(sample["id"], within_s=240)
        browser = launch(playwright.chromium)
        for language in locales.LANGUAGES:
            photograph(browser, box, language, out)
        browser.close()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
