"""Pictures in a chat: only such as came with the request, of known kinds and bounded sizes, and only for who can see.

Inside the box they are parts of a message's content in OpenAI's words, `{"type": "image_url", "image_url": {"url":
"data:image/png;base64,…"}}`. They are decoded in the engine's child and nowhere else.
"""

import base64
import binascii
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, Protocol

from appliance.errors import (
    BadInputError,
    NoVisionError,
    PictureAddressError,
    PictureError,
    PictureTooLargeError,
    TooManyPicturesError,
)
from appliance.gateway import picture_heads
from appliance.gateway.picture_heads import Head

PICTURES_MAX: Final = 32
BYTES_MAX: Final = 10 << 20
"""Of one picture."""
_ALL_PIXELS_MAX: Final = 4 * picture_heads.PIXELS_MAX
"""Of a request: its pictures are decoded at once."""
_FIELD: Final = "messages"
_DATA: Final = re.compile(r"data:image/[a-z0-9.+-]{1,40}(?:;[a-z0-9_.=+-]{1,60}){0,3};base64,", re.IGNORECASE)
_BLANKS: Final = str.maketrans("", "", "\r\n\t ")
_ENGINES: Final = frozenset({"png", "jpeg", "gif"})
"""Kinds that the box's own engine decodes."""
_LOOKING: Final = 1000
"""Tokens that a picture may take another machine's model, where only a guess is possible."""

Body = Mapping[str, Any]


def checked(body: Body) -> tuple[dict[str, Any], frozenset[str]]:
    """The body of a chat with its pictures in one form, and the kinds of those, e.g. `png`; none without any.

    Raises:
        PictureAddressError: one that would have to be fetched.
        PictureError: none of a known kind, or a damaged one.
        PictureTooLargeError, TooManyPicturesError: over the limits.
        BadInputError: a part that is neither text nor picture.
    """
    messages = body.get("messages")
    if not isinstance(messages, list | tuple) or not any(_parts(message) for message in messages):
        return dict(body), frozenset()
    if count(messages) > PICTURES_MAX:
        raise TooManyPicturesError(field=_FIELD, limit=PICTURES_MAX)
    heads: list[Head] = []
    plain = [_plain(message, heads) for message in messages]
    return {**body, "messages": plain}, frozenset(head.kind for head in heads)


class Seeing(Protocol):
    """A model of the box, by its manifest or as it is listed."""

    @property
    def name(self) -> str: ...

    @property
    def vision(self) -> bool: ...


def demand_sight(model: Seeing, kinds: frozenset[str]) -> None:
    """Whether this model can be shown pictures of these kinds.

    Raises:
        NoVisionError: it can't see.
        PictureError: its engine can't read one of them.
    """
    if kinds and not model.vision:
        raise NoVisionError(name=model.name)
    if kinds - _ENGINES:
        raise PictureError(f"engine: {', '.join(sorted(kinds - _ENGINES))}", field=_FIELD)


def count(messages: Iterable[Mapping[str, Any]]) -> int:
    """Pictures in all of them."""
    return sum(_is_picture(part) for message in messages for part in _parts(message))


def words(message: Mapping[str, Any]) -> str:
    """What is said in a message, without its pictures."""
    content = message.get("content")
    if not isinstance(content, list):
        return str(content or "")
    return "\n".join(str(part.get("text") or "") for part in _parts(message) if not _is_picture(part))


def guessed(messages: Any) -> tuple[Any, int]:
    """The messages without what their pictures are made of, and about how many tokens those are."""
    if not isinstance(messages, list | tuple) or not count(messages):
        return messages, 0
    return [{**message, "content": words(message)} for message in messages], _LOOKING * count(messages)


def _parts(message: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    content = message.get("content")
    return content if isinstance(content, list) else ()


def _is_picture(part: Mapping[str, Any]) -> bool:
    return part.get("type") == "image_url"


def _plain(message: Mapping[str, Any], heads: list[Head]) -> Mapping[str, Any]:
    if not isinstance(message.get("content"), list):
        return message
    return {**message, "content": [_part(part, heads) for part in _parts(message)]}


def _part(part: Mapping[str, Any], heads: list[Head]) -> dict[str, Any]:
    if part.get("type") == "text" and isinstance(part.get("text"), str):
        return {"type": "text", "text": part["text"]}
    if not _is_picture(part):
        raise BadInputError("content part", field=_FIELD)
    address = part.get("image_url")
    data = _data(address.get("url") if isinstance(address, Mapping) else address)
    try:
        head = picture_heads.look(data)
    except picture_heads.UnreadableError as error:
        raise PictureError(str(error), field=_FIELD) from None
    except picture_heads.OversizeError as error:
        raise _too_large(str(error)) from None
    heads.append(head)
    if sum(seen.pixels for seen in heads) > _ALL_PIXELS_MAX:
        raise _too_large("pixels of all")
    url = f"data:image/{head.kind};base64,{base64.b64encode(data).decode()}"
    return {"type": "image_url", "image_url": {"url": url}}


def _data(url: Any) -> bytes:
    if not isinstance(url, str):
        raise PictureError("no address", field=_FIELD)
    found = _DATA.match(url[:200])
    if not found:
        raise (PictureError if url[:5].lower() == "data:" else PictureAddressError)("not in the request", field=_FIELD)
    encoded = url[found.end() :].translate(_BLANKS)
    if len(encoded) > -(-BYTES_MAX // 3) * 4:
        raise _too_large("bytes")
    try:
        data = base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        raise PictureError("not base64", field=_FIELD) from None
    if len(data) > BYTES_MAX:
        raise _too_large("bytes")
    return data


def _too_large(detail: str) -> PictureTooLargeError:
    limits = {"limit_mb": BYTES_MAX >> 20, "limit_mp": picture_heads.PIXELS_MAX // 10**6}
    return PictureTooLargeError(detail, field=_FIELD, **limits)
