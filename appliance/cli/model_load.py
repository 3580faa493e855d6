"""`hako models load`: have a model loaded; a terminal sees how far it has come."""

import sys
from concurrent.futures import ThreadPoolExecutor, wait
from typing import Any, Final

import click

from appliance.cli.context import Terminal, reports_errors, say
from appliance.cli.model_address import address

_LOOK_S: Final = 0.5
_CLEAR: Final = "\r\x1b[K"


@click.command()
@click.argument("model")
@click.pass_obj
@reports_errors
def load(terminal: Terminal, model: str) -> None:
    """Load a model and keep it loaded."""
    with terminal.client() as client, terminal.client() as looking, ThreadPoolExecutor(1) as pool:
        loading = pool.submit(client.post, address(model, "load"), {})
        while sys.stdout.isatty() and not wait([loading], _LOOK_S).done:
            if now := looking.get(address(model))["loading"]:
                click.echo(_CLEAR + _step(now), nl=False)
        if sys.stdout.isatty():
            click.echo(_CLEAR, nl=False)
        loading.result()
    click.echo(say("cli.models.did_load", id=model))


def _step(now: dict[str, Any]) -> str:
    return say(
        "cli.models.load_step",
        stage=say(f"cli.models.load_{now['stage']}"),
        percent=round(now["fraction"] * 100),
        seconds=round(now["elapsed_s"]),
    )
