"""What both commands that make a web snapshot share: options, the name, and what is said at the end."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import click
from pydantic import TypeAdapter, ValidationError

from appliance.cli.amounts import size
from appliance.cli.context import say
from appliance.errors import BadInputError
from appliance.warc.manifest import Manifest, Name

MB: Final = 1 << 20
_NAME: Final[TypeAdapter[str]] = TypeAdapter(Name)
_OPTIONS: Final = (
    click.option("--into", type=click.Path(path_type=Path, file_okay=False), required=True, help="Folder for `build`."),
    click.option("--name", required=True, help="Of the snapshot: small letters, digits and hyphens."),
    click.option("--licence", required=True, help="SPDX name, or the words of the site."),
    click.option("--terms", default="", help="Address of the terms of use, or who has allowed it."),
    click.option("--by", default="", help="Who has it made."),
    click.option("--title-ja", default="", help="Title in Japanese; the first page's or the file's when left out."),
    click.option("--title-en", default="", help="Title in English; the first page's or the file's when left out."),
    click.option("--file-mb", type=click.IntRange(1, 64), default=20, show_default=True, help="Of one page or file."),
)


def snapshot_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Of every command that makes one."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def name_of(name: str) -> str:
    """Of a snapshot. Raises BadInputError."""
    try:
        return _NAME.validate_python(name)
    except ValidationError as error:
        raise BadInputError(field="name") from error


def end(made: Manifest) -> None:
    """Say what it holds, and what was left out."""
    total = sum(file.size for file in made.files.values())
    click.echo(say("cli.web.captured_done", name=made.name, count=made.pages, size=size(total)))
    for why, count in made.left_out.items():
        click.echo(say(f"cli.web.left_{why}", count=count))
    if made.stopped:
        click.echo(say(f"cli.web.stopped_{made.stopped}"))
    if not made.terms:
        click.echo(say("cli.web.no_terms"))
