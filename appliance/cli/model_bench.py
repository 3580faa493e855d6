"""`hako models bench`: measure a model on this box, and say what that means for people."""

from typing import Any

import click

from appliance.cli.context import Terminal, reports_errors, say
from appliance.cli.model_address import address
from appliance.errors import by_code


@click.command()
@click.argument("model")
@click.option("--last", is_flag=True, help="Only show what was measured last.")
@click.pass_obj
@reports_errors
def bench(terminal: Terminal, model: str, *, last: bool) -> None:
    """Measure how fast MODEL reads and writes here, and how many people that serves."""
    path = address(model, "bench")
    with terminal.client() as client:
        if last:
            _print(client.get(path))
            return
        for kind, data in client.events(path, {}):
            if kind == "stage":
                click.echo(say(f"cli.bench.{data['stage']}"))
            elif kind == "error":
                raise by_code(data["code"], **data.get("params", {}))
            elif kind == "done":
                _print(data)


def _print(found: dict[str, Any]) -> None:
    figures, means = found["figures"], found["capacity"]
    if figures is None:
        click.echo(say("cli.bench.never"))
    elif found["stale"]:
        click.echo(say("cli.bench.stale"))
    elif means is None:
        click.echo(say("cli.bench.passages", passages_per_s=figures["passages_per_s"]))
    else:
        click.echo(say("cli.bench.speeds", read_per_s=figures["read_per_s"], write_per_s=figures["write_per_s"]))
        if figures["quoting_gain"]:
            word = "cli.bench.guessing" if found["guesses"] else "cli.bench.not_guessing"
            click.echo(say(word, quoting=figures["quoting_gain"], other=figures["other_gain"]))
        click.echo(say("cli.bench.at_once", count=means["at_once"], each_per_s=means["each_per_s"]))
        click.echo(say("cli.bench.people", people=means["people"]))
        if means["long_wait_s"] is None:
            click.echo(say("cli.bench.no_long"))
        else:
            click.echo(say("cli.bench.long_wait", seconds=means["long_wait_s"]))
