"""How the child tells what it finds in a WARC file: one JSON object a line, each of a fixed shape and length."""

from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, TypeAdapter, ValidationError

from appliance.knowledge.extract.contract import Block, BlockKind
from appliance.knowledge.web.pages import LINKS, TEXT_CHARS, TITLE_CHARS, WORDS_CHARS, Begun, Moved, Read
from appliance.warc.urls import LONGEST, plain

LINE_BYTES: Final = 24 << 20
"""A page of the longest text, written with escapes, and its links."""

Url = Annotated[str, StringConstraints(max_length=LONGEST)]
Count = Annotated[int, Field(ge=0, lt=1 << 53)]


class _Shape(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class BegunLine(_Shape):
    """See `Begun`."""

    what: Literal["begun"] = "begun"
    record: Count
    position: Count


class PageLine(_Shape):
    """See `Read`; blocks as (kind, level, text)."""

    what: Literal["page"] = "page"
    record: Count
    url: Url
    at: Annotated[float, Field(ge=0, lt=1e11)]
    kind: Literal["html", "text", "pdf"]
    title: Annotated[str, StringConstraints(max_length=TITLE_CHARS)]
    blocks: Annotated[list[tuple[BlockKind, Annotated[int, Field(ge=0, le=6)], str]], Field(max_length=200_000)]
    links: Annotated[
        list[tuple[Url, Annotated[str, StringConstraints(max_length=WORDS_CHARS)]]], Field(max_length=LINKS)
    ]


class MovedLine(_Shape):
    """See `Moved`."""

    what: Literal["moved"] = "moved"
    url: Url
    to: Url


class EndLine(_Shape):
    """The file is read to its end."""

    what: Literal["end"] = "end"


class RefusedLine(_Shape):
    """The file is not sound, or too large; `why` in words of our own."""

    what: Literal["refused"] = "refused"
    too_large: bool
    why: Annotated[str, StringConstraints(pattern=r"^[a-zA-Z0-9 ,.']{1,100}$")]


Line = BegunLine | PageLine | MovedLine | EndLine | RefusedLine
_ANY: Final[TypeAdapter[Line]] = TypeAdapter(Annotated[Line, Field(discriminator="what")])


class LieError(Exception):
    """A line that no honest child writes."""


def line_of(found: Begun | Read | Moved) -> Line:
    """What was found, as it is sent."""
    if isinstance(found, Begun):
        return BegunLine(record=found.record, position=found.position)
    if isinstance(found, Moved):
        return MovedLine(url=found.url, to=found.to)
    return PageLine(
        record=found.record,
        url=found.url,
        at=found.at,
        kind=found.kind,
        title=_whole(found.title),
        blocks=[(block.kind, block.level, _whole(block.text)) for block in found.blocks],
        links=[(url, _whole(words)) for url, words in found.links],
    )


def read(line: bytes) -> Line:
    """A line of the child's. Raises LieError."""
    try:
        found = _ANY.validate_json(line)
    except (ValidationError, RecursionError) as error:
        raise LieError from error
    if isinstance(found, PageLine):
        texts = sum(len(text) for _kind, _level, text in found.blocks)
        if texts > TEXT_CHARS or any(plain(url) != url for url in (found.url, *(url for url, _words in found.links))):
            raise LieError
    if isinstance(found, MovedLine) and (plain(found.url) != found.url or plain(found.to) != found.to):
        raise LieError
    return found


def page_of(line: PageLine) -> Read:
    """A page that was sent."""
    return Read(
        record=line.record,
        url=line.url,
        at=line.at,
        kind=line.kind,
        title=line.title,
        blocks=tuple(Block(kind, text, level) for kind, level, text in line.blocks),
        links=tuple(line.links),
    )


def _whole(text: str) -> str:
    return text.encode("utf-8", "replace").decode()
