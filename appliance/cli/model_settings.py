"""`hako models set` and `hako models ps`: how a model is to be loaded, and what runs now."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from appliance.cli.amounts import memory, size
from appliance.cli.context import Terminal, reports_errors, say
from appliance.cli.model_address import address


@click.command("set")
@click.argument("model")
@click.option("--context", type=click.IntRange(256), help="Tokens of one answer, question included.")
@click.option("--parallel", type=click.IntRange(1, 64), help="Answers at once.")
@click.option("--threads", type=click.IntRange(1, 1024), help="Threads to compute with.")
@click.option("--pin/--no-pin", "pinned", default=None, help="Load it with the box and never unload it for others.")
@click.option("--idle-minutes", type=click.IntRange(0), help="Unload it after so long without a question; 0 for never.")
@click.option("--speculation", type=click.Choice(["auto", "ngram", "off"]), help="Guess words of documents.")
@click.option("--cache-type", type=click.Choice(["f16", "q8_0", "q4_0"]), help="How exactly it keeps what it has read.")
@click.option("--overflow", type=click.Choice(["auto", "stop", "middle", "rolling"]), help="If a chat gets too long.")
@click.option("--max-tokens", type=click.IntRange(0), help="Tokens of one answer at most, whoever asks; 0 for no cap.")
@click.option("--adapter", help="A LoRA adapter of the model to load with it; '' for none.")
@click.option("--adapter-scale", type=click.FloatRange(-4, 4), help="How strongly it counts; 1 as it was trained.")
@click.option(
    "--template-file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Jinja chat template; an empty file for the model's own.",
)
@click.option("--reset", is_flag=True, help="Forget what was set before.")
@click.pass_obj
@reports_errors
def set_settings(
    terminal: Terminal, /, model: str, template_file: Path | None, *, reset: bool, **wishes: str | float | bool | None
) -> None:
    """Set how MODEL is loaded; without options, show it."""
    wanted: dict[str, Any] = {name: value for name, value in wishes.items() if value is not None}
    if template_file is not None:
        try:
            wanted["template"] = template_file.read_text("utf-8").strip()
        except UnicodeDecodeError:
            raise click.UsageError(f"{template_file}: not UTF-8") from None
    path = address(model, "settings")
    with terminal.client() as client:
        known = client.get(path)
        if wanted or reset:
            before = {} if reset else known["settings"]
            known = client.put(path, {**before, **wanted})
            click.echo(say("cli.models.did_set", id=model))
    _print(known)


@click.command()
@click.pass_obj
@reports_errors
def ps(terminal: Terminal) -> None:
    """List the models that run now, with what they do and take."""
    with terminal.client() as client:
        items = client.get("/models/running")["items"]
    if not items:
        click.echo(say("cli.models.none_running"))
    for item in items:
        state = say(f"cli.models.{item['state']}")
        taken = size(item["memory_bytes"] or 0)
        provider = (item["provider"] or "-").upper()
        click.echo(f"{item['id']:<28} {state:<8} {taken:>8}  {provider:<5} {'  '.join(_work(item))}")


def _work(item: dict[str, Any]) -> Iterator[str]:
    yield say(
        "cli.models.work",
        busy=item["busy"],
        places=item["parallel"] or 0,
        waiting=item["waiting"],
        answered=item["answered"],
    )
    if item["write_per_s"]:
        yield say("cli.models.writes", n=item["write_per_s"])
    if item["wait_s"]:
        yield say("cli.models.next_waits", seconds=item["wait_s"])
    if item["context"]:
        yield say("cli.models.context_now", n=item["context"])
    if item["pinned"]:
        yield say("cli.models.is_pinned")


def _print(known: dict[str, Any]) -> None:
    for name, value in known["settings"].items():
        told = value
        if name == "template":
            told = say("cli.models.own_template" if value else "cli.models.models_template")
        elif value == "auto" and name in known["box"]:
            told = f"{value} ({known['box'][name]})"
        elif value is None:
            box = known["box"][name]
            told = "-" if box is None else f"{box} ({say('cli.models.as_the_box')})"
        elif isinstance(value, bool):
            told = say("cli.models.yes" if value else "cli.models.no")
        click.echo(f"{name:<14} {told}")
    if known["estimate"]:
        click.echo(memory(known["estimate"]))
