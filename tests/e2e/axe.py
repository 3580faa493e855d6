"""axe-core, from the packages of the front end, run over the page that somebody is looking at."""

from typing import Final

import pytest

from appliance.config import REPOSITORY
from tests.e2e.browser import NARROW, WIDE, Visitor

AXE: Final = REPOSITORY / "webui" / "frontend" / "node_modules" / "axe-core" / "axe.min.js"
RUN: Final = """async () => {
    const rules = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice']
    const { violations } = await axe.run(document, { runOnly: rules, resultTypes: ['violations'] })
    return violations.flatMap(({ id, nodes }) => nodes.map(({ target, html }) => `${id}: ${target} ${html}`))
}"""


def examine(visitor: Visitor) -> None:
    """Run axe over the page that is shown, in light and dark, wide and narrow; skipped without the packages."""
    if not AXE.exists():
        pytest.skip("the packages of the front end are not installed: make ui")
    visitor.look()
    page = visitor.page
    page.evaluate(AXE.read_text("utf-8"))
    found = {}
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        for size in (WIDE, NARROW):
            visitor.resize(size)
            if violations := page.evaluate(RUN):
                found[scheme, size[0]] = violations
    page.emulate_media(color_scheme="light")
    visitor.resize(WIDE)
    assert not found, (page.url, found)
