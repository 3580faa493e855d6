"""`hako models`: what the box can run."""

import click

from appliance.cli.context import Terminal, reports_errors, say


@click.group()
def models() -> None:
    """Models."""


@models.command("list")
@click.pass_obj
@reports_errors
def list_models(terminal: Terminal) -> None:
    """List the models with kind, state and memory."""
    with terminal.client() as client:
        items = client.get("/models")["items"]
    for item in items:
        memory = f"{(item['memory_bytes'] or 0) / 2**20:.0f} MiB"
        state = say(f"cli.models.{item['state']}")
        click.echo(f"{item['id']:<28} {item['kind']:<10} {state:<12} {memory:>9}  {item['licence']}")
