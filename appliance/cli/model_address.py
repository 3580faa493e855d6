"""Where the box's API has a model."""

from urllib.parse import quote


def address(model: str, *parts: str) -> str:
    """The path of a model, or of a part of it such as `bench`, whatever its name is made of."""
    return "/".join(["/models", *(quote(part, safe="") for part in (model, *parts))])
