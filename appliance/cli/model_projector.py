"""`hako models projector`: the file with which a model sees pictures, brought to one that is on the box, or removed."""

from pathlib import Path

import click

from appliance.cli.amounts import size
from appliance.cli.context import Terminal, reports_errors, say
from appliance.cli.model_address import address


@click.group()
def projector() -> None:
    """The projector of a model, the file with which it sees pictures; its name begins with mmproj."""


@projector.command()
@click.argument("model")
@click.argument("path", type=click.Path(path_type=Path))
@click.option("--dry-run", is_flag=True, help="Only say what it is and whether it fits the model.")
@click.pass_obj
@reports_errors
def add(terminal: Terminal, model: str, path: Path, *, dry_run: bool) -> None:
    """Bring the projector at PATH (GGUF) to MODEL."""
    where = path.parent.resolve() / path.name  # a link as the last part is refused by the box
    with terminal.client() as client:
        found = client.post(address(model, "projector"), {"path": str(where), "dry_run": dry_run})
    words = {"id": model, "name": found["name"], "size": size(found["size_bytes"])}
    click.echo(say("cli.projector.fits" if dry_run else "cli.projector.added", **words))


@projector.command()
@click.argument("model")
@click.pass_obj
@reports_errors
def remove(terminal: Terminal, model: str) -> None:
    """Erase the projector of MODEL."""
    with terminal.client() as client:
        client.delete(address(model, "projector"))
    click.echo(say("cli.projector.removed", id=model))
