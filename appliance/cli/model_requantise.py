"""`hako models requantise`: make a smaller model out of one, keep both, and say how much quicker it is here."""

import sys
from typing import Any
from urllib.parse import quote

import click

from appliance.cli.amounts import size
from appliance.cli.context import Terminal, reports_errors, say
from appliance.errors import by_code
from appliance.inference.quantisations import TARGETS


@click.command()
@click.argument("model")
@click.option(
    "--to", required=True, type=click.Choice(TARGETS, case_sensitive=False), help="What its weights are stored as."
)
@click.option("--no-measure", is_flag=True, help="Don't measure both models afterwards.")
@click.pass_obj
@reports_errors
def requantise(terminal: Terminal, model: str, to: str, *, no_measure: bool) -> None:
    """Make a smaller, usually quicker model out of MODEL; the original stays."""
    path = f"/models/{quote(model, safe='')}/requantise"
    shown = sys.stdout.isatty()
    with terminal.client() as client:
        click.echo(say("cli.requantise.making", name=model, to=to))
        measuring = ""
        for kind, data in client.events(path, {"to": to, "measure": not no_measure}):
            if kind == "progress" and shown and data["stage"] == "quantising":
                click.echo(f"\r{data['done'] * 100 // max(data['total'], 1):3} %", nl=False)
            elif kind == "made":
                click.echo("\r" if shown else "", nl=False)
                _print_made(data)
            elif kind == "stage" and data["model"] != measuring:
                measuring = data["model"]
                click.echo(say("cli.requantise.measuring", id=measuring))
            elif kind == "error":
                raise by_code(data["code"], **data.get("params", {}))
            elif kind == "done":
                _print_change(data)
                return
    raise by_code("HK-BOX-001")


def _print_made(made: dict[str, Any]) -> None:
    before, after = size(made["original_size_bytes"]), size(made["size_bytes"])
    click.echo(say("cli.requantise.made", id=made["model"], before=before, after=after))


def _print_change(done: dict[str, Any]) -> None:
    for key in ("before", "after"):
        if figures := done[key]:
            speeds = {name: figures[name] for name in ("read_per_s", "write_per_s")}
            click.echo(say(f"cli.requantise.{key}", **speeds))
    if failed := done["not_measured"]:
        click.echo(say("cli.requantise.not_measured", title=failed["title"]))
    if change := done["change"]:
        click.echo(say("cli.requantise.change", read=change["read"], write=change["write"]))
    click.echo(say("cli.requantise.answers"))
