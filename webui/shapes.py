"""What a request may look like: the base of all bodies and queries, and the checked types they are made of."""

import unicodedata
from typing import Annotated, Any, ClassVar, TypeVar, get_origin

from flask import Request
from pydantic import AfterValidator, BaseModel, ConfigDict, StringConstraints, ValidationError

from appliance.errors import BadInputError

_CONTROL = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
_JOINERS = frozenset("\u200c\u200d")  # wanted inside words of some scripts and in emoji


class Shape(BaseModel):
    """A body or a query: unknown fields are refused, so that a typing error isn't ignored in silence."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Tolerant(BaseModel):
    """A body of a public dialect: unknown fields are ignored, since clients send new ones every month."""

    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)

    any_content_type: ClassVar[bool] = False
    """Whether a body counts as JSON whatever its content type says; `curl -d` says that it is a form."""


def one_line(text: str) -> str:
    """The text in Unicode's composed form. Raises ValueError for control signs."""
    text = unicodedata.normalize("NFC", text)
    if any(unicodedata.category(sign) in _CONTROL and sign not in _JOINERS for sign in text):
        raise ValueError("control character")
    return text


def _no_nul(text: str) -> str:
    if "\0" in text:
        raise ValueError("NUL character")
    return text


def _not_blank(text: str) -> str:
    if not text.strip():
        raise ValueError("blank")
    return _no_nul(text)


Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=120), AfterValidator(one_line)]
UserName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._@-]{0,63}$")]
Password = Annotated[str, StringConstraints(min_length=1, max_length=1024)]
Identifier = Annotated[str, StringConstraints(pattern=r"^[a-z]{1,8}_[0-9a-z]{1,40}$")]
ModelId = Annotated[str, StringConstraints(min_length=1, max_length=200), AfterValidator(one_line)]
Text = Annotated[str, StringConstraints(max_length=200_000), AfterValidator(_no_nul)]
Question = Annotated[str, StringConstraints(max_length=200_000), AfterValidator(_not_blank)]
Query = Annotated[str, StringConstraints(max_length=2_000), AfterValidator(_not_blank)]
ShortText = Annotated[str, StringConstraints(max_length=2_000), AfterValidator(_no_nul)]

S = TypeVar("S", bound=BaseModel)


def read_body(incoming: Request, shape: type[S]) -> S:
    """The JSON body of a request as `shape`.

    Raises:
        BadInputError: not JSON, or a field that doesn't fit; `field` says which.
    """
    if incoming.mimetype != "application/json" and not getattr(shape, "any_content_type", False):
        raise BadInputError(field="content-type")
    try:
        return shape.model_validate_json(incoming.get_data(cache=False))
    except ValidationError as error:
        raise BadInputError(field=_field_of(error)) from None


def read_query(incoming: Request, shape: type[S]) -> S:
    """The query string of a request as `shape`; a repeated name counts once, by its first value, unless it's a list."""
    several = {name for name, field in shape.model_fields.items() if get_origin(field.annotation) is list}
    listed = {name: incoming.args.getlist(name) for name in several & incoming.args.keys()}
    return read_values({**incoming.args.to_dict(), **listed}, shape)


def read_values(values: dict[str, Any], shape: type[S]) -> S:
    """Named texts, of a query or a form, as `shape`.

    Raises:
        BadInputError: a field that doesn't fit.
    """
    try:
        return shape.model_validate(values)
    except ValidationError as error:
        raise BadInputError(field=_field_of(error)) from None


def _field_of(error: ValidationError) -> str:
    """The first field that doesn't fit, as a path; a name that the client made up is cut short."""
    first = error.errors(include_url=False, include_input=False, include_context=False)[0]
    return ".".join(str(part)[:60] for part in first["loc"]) or "body"
