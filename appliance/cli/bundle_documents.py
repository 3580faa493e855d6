"""`hako bundle packs`: bases that came in bundles, how far each has been read, and removing one."""

from typing import Final

import click

from appliance.cli.amounts import duration
from appliance.cli.context import Terminal, reports_errors, say


@click.command()
@click.option("--remove", help="Id of what is to be erased, as it is listed.")
@click.option("--yes", is_flag=True, help="Don't ask.")
@click.pass_obj
@reports_errors
def packs(terminal: Terminal, remove: str | None, *, yes: bool) -> None:
    """List the bases that came in bundles, how far each has been read, and what could not be read."""
    with terminal.client() as client:
        if remove is not None:
            if not yes:
                click.confirm(say("cli.bundle.pack_sure"), abort=True)
            client.delete(f"/bundles/packs/{remove}")
            click.echo(say("cli.bundle.pack_removed"))
            return
        items = client.get("/bundles/packs")["items"]
    if not items:
        click.echo(say("cli.bundle.packs_none"))
    for item in items:
        figures = {name: item[name] for name in ("version", "documents", "ready", "failed")}
        state = say(f"cli.bundle.pack_{item['state']}")
        click.echo(say("cli.bundle.pack", name=item["base_name"], state=state, **figures))
        click.echo(f"  {item['id']}")
        if item["left_s"] is not None:
            click.echo(f"  {say('cli.bundle.documents_time', time=duration(item['left_s']))}")
        for failure in item["failures"]:
            click.echo(f"  × {failure['name']}: {failure['error']['title']}  {failure['error']['code']}")


COMMANDS: Final = (packs,)
