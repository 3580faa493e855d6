"""`hako chat`: a conversation in the terminal, with a model or with the documents of a base."""

from typing import Any

import click

from appliance.cli.ask import find_base
from appliance.cli.context import Terminal, language, reports_errors, say
from appliance.errors import HakoError
from webui import locales


@click.command()
@click.option("--kb", "base", help="Answer from the documents of this base.")
@click.option("--model", help="Model to talk to; the box's own choice when left out.")
@click.pass_obj
@reports_errors
def chat(terminal: Terminal, base: str | None, model: str | None) -> None:
    """Talk until an empty line or Ctrl-D; nothing is stored."""
    history: list[dict[str, str]] = []
    with terminal.client() as client:
        name = f"kb:{find_base(client, base)['name']}" if base else model or _default(client.get("/models")["items"])
        click.echo(say("cli.chat.hello", name=name))
        while question := _read():
            history.append({"role": "user", "content": question})
            answer = ""
            try:
                for piece in client.chat(name, history):
                    answer += piece
                    click.echo(piece, nl=False)
            except HakoError as error:
                click.echo(f"\n{locales.sentence(error, language())}  {error.code}", err=True)
                history.pop()
                continue
            click.echo("\n")
            history.append({"role": "assistant", "content": answer})


def _read() -> str:
    try:
        return input("> ").strip()
    except (EOFError, KeyboardInterrupt):
        click.echo()
        return ""


def _default(models: list[dict[str, Any]]) -> str:
    """The chat model that the settings name."""
    return str(next(model["id"] for model in models if model["kind"] == "chat" and model["default"]))
