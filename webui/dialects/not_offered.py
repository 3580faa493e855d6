"""OpenAI's addresses that this box has nothing for: each says so by itself, whatever is sent, and reads none of it."""

from typing import Final

from flask import Blueprint

from appliance.accounts.permissions import Permission
from appliance.errors import NoSoundError, NotOfferedError
from webui import routing
from webui.routing import Call

api = Blueprint("not_offered", __name__)

_SOUND: Final = ("/audio/speech", "/audio/transcriptions", "/audio/translations")
_ASKED: Final = ("/images/generations", "/images/edits", "/images/variations", "/moderations")
_KEPT: Final = ("/files", "/uploads", "/batches", "/vector_stores", "/fine_tuning/jobs")
"""Collections: things are made there, listed, and looked at by their id."""


def sound(call: Call) -> None:  # noqa: ARG001 - every view that knows its person is given it
    """Speech is neither read nor written here. Raises NoSoundError."""
    raise NoSoundError


def nothing(call: Call, path: str = "") -> None:  # noqa: ARG001
    """Not a part of this box. Raises NotOfferedError."""
    raise NotOfferedError


for _path in _SOUND:
    routing.route(api, "POST", _path, permission=Permission.CHAT)(sound)
for _path in _ASKED:
    routing.route(api, "POST", _path, permission=Permission.CHAT)(nothing)
for _path in _KEPT:
    for _method in ("GET", "POST"):
        routing.route(api, _method, _path, permission=Permission.CHAT)(nothing)
    for _method in ("GET", "POST", "DELETE"):
        routing.route(api, _method, f"{_path}/<path:path>", permission=Permission.CHAT)(nothing)
