"""`/help`: the manual that ships inside the product, one Markdown page per subject and language."""

import re
from pathlib import Path
from typing import Any, Final

from flask import Blueprint

from appliance.accounts.permissions import Permission
from appliance.errors import NotFoundError
from webui import routing
from webui.locales import Language
from webui.routing import Call

api = Blueprint("help", __name__)

FOLDER: Final = Path(__file__).parent.parent / "help"
ORDER: Final = (
    "start", "chat", "documents", "playground", "people", "security", "airgap", "install", "operate", "status",
    "health", "bundles", "web", "backup", "cli", "api", "fields", "developers", "errors",
)  # fmt: skip
"""As somebody new reads them; a page that isn't named here comes after these."""
_NAME: Final = re.compile(r"[a-z0-9-]{1,60}")
_HEADING: Final = re.compile(r"^#\s+(.+?)\s*$", re.MULTILINE)


def _page(language: Language, name: str) -> dict[str, Any] | None:
    if not _NAME.fullmatch(name):
        return None
    try:
        text = (FOLDER / language / f"{name}.md").read_text("utf-8")
    except OSError:
        return None
    heading = _HEADING.search(text)
    return {"id": name, "title": heading.group(1) if heading else name, "text": text}


@routing.route(api, "GET", "/help", permission=Permission.CHAT)
def list_pages(call: Call) -> dict[str, Any]:
    found = {path.stem for path in (FOLDER / call.language).glob("*.md")}
    names = [name for name in ORDER if name in found] + sorted(found.difference(ORDER))
    pages = [page for name in names if (page := _page(call.language, name))]
    return {"items": [{"id": page["id"], "title": page["title"]} for page in pages]}


@routing.route(api, "GET", "/help/<name>", permission=Permission.CHAT)
def show(call: Call, name: str) -> dict[str, Any]:
    page = _page(call.language, name)
    if page is None:
        raise NotFoundError(name)
    return page
