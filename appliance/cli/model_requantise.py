"""`hako models requantise`: make a smaller model out of one, keep both, and say how much quicker it is here."""

import sys
from typing import Any

import click

from appliance.cli.amounts import size
from appliance.cli.context import Terminal, reports_errors, say
from appliance.cli.model_address import address
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
    path = address(model, "requantise")
    with terminal.client() as client:
        click.echo(say("cli.requantise.making", name=model, to=to))
        shown = Shown()
        for kind, data in client.events(path, {"to": to, "measure": not no_measure}):
            if kind == "error":
                raise by_code(data["code"], **data.get("params", {}))
            if kind == "done":
                print_change(data)
                return
            shown.take(kind, data)
    raise by_code("HK-BOX-001")


class Shown:
    """Prints what is told while a smaller model is made; a terminal sees the percentage, a file only the facts."""

    def __init__(self) -> None:
        self._has_terminal = sys.stdout.isatty()
        self._measuring = ""

    def take(self, kind: str, data: dict[str, Any]) -> None:
        """One event of the making."""
        if kind == "progress" and self._has_terminal and data["stage"] == "quantising":
            click.echo(f"\r{data['done'] * 100 // max(data['total'], 1):3} %", nl=False)
        elif kind == "made":
            click.echo("\r" if self._has_terminal else "", nl=False)
            _print_made(data)
        elif kind == "stage" and data["model"] != self._measuring:
            self._measuring = data["model"]
            click.echo(say("cli.requantise.measuring", id=self._measuring))


def _print_made(made: dict[str, Any]) -> None:
    before, after = size(made["original_size_bytes"]), size(made["size_bytes"])
    click.echo(say("cli.requantise.made", id=made["model"], before=before, after=after))


def print_change(done: dict[str, Any]) -> None:
    """What both models do per second, and how much quicker the new one is."""
    for key in ("before", "after"):
        if figures := done[key]:
            speeds = {name: figures[name] for name in ("read_per_s", "write_per_s")}
            click.echo(say(f"cli.requantise.{key}", **speeds))
    if failed := done["not_measured"]:
        click.echo(say("cli.requantise.not_measured", title=failed["title"]))
    if change := done["change"]:
        click.echo(say("cli.requantise.change", read=change["read"], write=change["write"]))
    click.echo(say("cli.requantise.answers"))
