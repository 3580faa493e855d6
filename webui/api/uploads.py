"""`/uploads`: a file dropped into a chat; it goes into the person's own private base, which the chat then searches."""

from typing import Any

from flask import Blueprint

from appliance.accounts.permissions import Permission
from webui import locales, routing
from webui.api import documents
from webui.routing import Call

api = Blueprint("uploads", __name__)


@routing.route(api, "POST", "/uploads", permission=Permission.BASES_WRITE)
def add(call: Call) -> tuple[dict[str, Any], int]:
    base = call.services.bases.personal(call.who, locales.t("chat.files_base", call.language))
    return documents.take(call, base.id)
