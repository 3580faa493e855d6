"""Pictures in clients' words, as parts of a message that the gateway takes; it alone looks at what they are."""

from collections.abc import Mapping, Sequence
from typing import Any

from appliance.errors import BadInputError

Part = dict[str, Any]


def text(words: str) -> Part:
    """Words as a part."""
    return {"type": "text", "text": words}


def picture(url: object) -> Part:
    """A picture by its address."""
    return {"type": "image_url", "image_url": {"url": url}}


def encoded(data: object, field: str) -> Part:
    """A picture that came as base64; what kind it is its own bytes tell.

    Raises:
        BadInputError: something else than a text.
    """
    if not isinstance(data, str):
        raise BadInputError("picture", field=field)
    return picture(data if data[:5].lower() == "data:" else f"data:image/png;base64,{data}")


def read(part: Mapping[str, Any], field: str) -> Part:
    """A part in OpenAI's words.

    Raises:
        BadInputError: neither text nor picture.
    """
    if part.get("type") == "text" and isinstance(part.get("text"), str):
        return text(part["text"])
    if part.get("type") == "refusal" and isinstance(part.get("refusal"), str):
        return text(part["refusal"])  # of an earlier answer, where it stands in place of the text
    if part.get("type") == "image_url":
        address = part.get("image_url")
        return picture(address.get("url") if isinstance(address, Mapping) else address)
    raise BadInputError("content part", field=field)


def content(parts: Sequence[Part]) -> str | list[Part]:
    """A message's content: one text where there are no pictures."""
    if any(part["type"] == "image_url" for part in parts):
        return [part for part in parts if part["type"] != "text" or part["text"]]
    return "\n".join(part["text"] for part in parts)
