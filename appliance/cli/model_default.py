"""`hako models default`: which chat model and which reranker the box uses where none is named."""

import click

from appliance.cli.context import Terminal, reports_errors, say
from appliance.cli.model_address import address


@click.command()
@click.argument("model")
@click.option("--off", is_flag=True, help="Searches use this reranker no more.")
@click.pass_obj
@reports_errors
def default(terminal: Terminal, model: str, *, off: bool) -> None:
    """Use MODEL where none is named: for chats, or a reranker for searches."""
    path = address(model, "default")
    with terminal.client() as client:
        if off:
            client.delete(path)
        else:
            client.put(path, {})
    click.echo(say("cli.models.default_off" if off else "cli.models.default_set", id=model))
