"""`/models/uploads`: a model file from the operator's browser, in pieces that can be sent again where a line broke."""

from collections.abc import Iterator
from typing import Annotated, Any, Final

from flask import Blueprint, request
from pydantic import Field
from werkzeug.exceptions import ClientDisconnected

from appliance.accounts.permissions import Permission
from appliance.errors import BadInputError, TooLargeError
from appliance.inference.uploads import LARGEST_BYTES, PIECE_BYTES, Upload
from webui import routing, shapes
from webui.routing import Call
from webui.upload import clean_name

api = Blueprint("model_uploads", __name__)

_READ_BYTES: Final = 1 << 20


class Begin(shapes.Shape):
    """The file as the browser sees it."""

    name: Annotated[str, Field(min_length=1, max_length=1000)]
    size: Annotated[int, Field(ge=1, le=LARGEST_BYTES)]
    modified: Annotated[int, Field(ge=0, le=1 << 53)] = 0


class Place(shapes.Shape):
    """Which byte of the file the body begins with."""

    at: Annotated[int, Field(ge=0, le=LARGEST_BYTES)]


@routing.route(api, "GET", "/models/uploads", permission=Permission.MODELS_MANAGE)
def list_uploads(call: Call) -> dict[str, Any]:
    """This person's unfinished ones."""
    return {
        "items": [_describe(upload) for upload in call.services.models.uploads.all() if upload.owner == owner_of(call)]
    }


@routing.route(api, "POST", "/models/uploads", permission=Permission.MODELS_MANAGE, body=Begin, status=201)
def begin(call: Call, body: Begin) -> dict[str, Any]:
    return _describe(
        call.services.models.uploads.begin(owner_of(call), clean_name(body.name), body.size, body.modified)
    )


@routing.route(api, "GET", "/models/uploads/<upload_id>", permission=Permission.MODELS_MANAGE)
def show(call: Call, upload_id: str) -> dict[str, Any]:
    return _describe(call.services.models.uploads.get(owner_of(call), upload_id))


@routing.route(api, "PUT", "/models/uploads/<upload_id>", permission=Permission.MODELS_MANAGE, query=Place)
def append(call: Call, query: Place, upload_id: str) -> dict[str, Any]:
    """The body is the next piece, as it is. What came before a break is kept: ask where to go on."""
    length = request.content_length
    if length is None:
        raise BadInputError(field="content-length")
    if length > PIECE_BYTES:
        raise TooLargeError(limit_mb=PIECE_BYTES >> 20)
    request.max_content_length = PIECE_BYTES
    with routing.place_to_read(call.who):
        return _describe(call.services.models.uploads.append(owner_of(call), upload_id, query.at, _pieces()))


@routing.route(api, "DELETE", "/models/uploads/<upload_id>", permission=Permission.MODELS_MANAGE)
def drop(call: Call, upload_id: str) -> None:
    call.services.models.uploads.drop(owner_of(call), upload_id)


def owner_of(call: Call) -> str:
    """Whose uploads these are."""
    return call.who.user_id or call.who.name


def _pieces() -> Iterator[bytes]:
    try:
        while piece := request.stream.read(_READ_BYTES):
            yield piece
    except (ClientDisconnected, OSError):
        raise BadInputError("the body ended too early", field="body") from None


def _describe(upload: Upload) -> dict[str, Any]:
    return {
        "id": upload.id,
        "name": upload.name,
        "size": upload.size,
        "modified": upload.modified,
        "received": upload.received,
        "piece_bytes": PIECE_BYTES,
    }
