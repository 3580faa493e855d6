"""`hako models adapter`: LoRA adapters of a model, brought, listed and removed."""

from pathlib import Path

import click

from appliance.cli.amounts import size
from appliance.cli.context import Terminal, reports_errors, say
from appliance.cli.model_address import address


@click.group()
def adapter() -> None:
    """LoRA adapters of a model; `hako models set MODEL --adapter NAME` loads one with it."""


@adapter.command()
@click.argument("model")
@click.argument("path", type=click.Path(path_type=Path))
@click.pass_obj
@reports_errors
def add(terminal: Terminal, model: str, path: Path) -> None:
    """Bring the LoRA adapter at PATH (GGUF) to MODEL."""
    where = path.parent.resolve() / path.name  # a link as the last part is refused by the box
    with terminal.client() as client:
        name = client.post(address(model, "adapters"), {"path": str(where)})["name"]
    click.echo(say("cli.adapter.added", id=model, name=name))


@adapter.command("list")
@click.argument("model")
@click.pass_obj
@reports_errors
def list_adapters(terminal: Terminal, model: str) -> None:
    """List the adapters of MODEL."""
    with terminal.client() as client:
        items = client.get(address(model, "adapters"))["items"]
    for item in items:
        click.echo(f"{item['name']}  {size(item['size_bytes'])}")


@adapter.command()
@click.argument("model")
@click.argument("name")
@click.pass_obj
@reports_errors
def remove(terminal: Terminal, model: str, name: str) -> None:
    """Erase the adapter NAME of MODEL."""
    with terminal.client() as client:
        client.delete(address(model, "adapters", name))
    click.echo(say("cli.adapter.removed", id=model, name=name))
