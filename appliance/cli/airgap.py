"""`hako airgap`: the signed report that nothing leaves, its verification on any machine, and the tries to leave."""

import sys
from pathlib import Path
from typing import Final

import click

from appliance import durable
from appliance.cli.context import Terminal, language, reports_errors, say
from appliance.errors import AirgapOpenError, BadInputError
from appliance.health.airgap import report as reports
from appliance.vault.digests import KEY_BYTES
from webui import airgap_words

UNSURE: Final = 4
"""Exit code of a test that couldn't prove everything."""
_File = click.Path(path_type=Path, dir_okay=False)
_SIGNS: Final = {"ok": "✓", "warning": "!", "error": "×", "unknown": "?"}


@click.group("airgap")
def group() -> None:
    """The proof that nothing leaves the box."""


@group.command()
@click.option("--out", type=_File, help="File for the signed report; the text to read goes beside it.")
@click.option("--skip-files", is_flag=True, help="Don't read the files of software and models; the report says so.")
@click.pass_obj
@reports_errors
def report(terminal: Terminal, out: Path | None, *, skip_files: bool) -> None:
    """Have the box make a report of its air gap and sign it; that it was made is on record."""
    with terminal.client() as client:
        client.post("/airgap/report", {"check_files": not skip_files})
        made = reports.Signed.of(client.get("/airgap/report"))
    text = airgap_words.text(made.report(), language())
    if out is None:
        click.echo(text, nl=False)
    else:
        beside = out.with_suffix(".txt")
        durable.replace(out, made.text().encode())
        durable.replace(beside, text.encode())
        click.echo(say("cli.airgap.written", name=out.name, text=beside.name))
    click.echo(say("cli.airgap.key", hex=airgap_words.grouped(str(made.told["box"]))))


@group.command()
@click.argument("file", type=_File)
@click.option("--box", default="", help="Fingerprint of the box that must have signed it.")
@click.option("--text", is_flag=True, help="Print the whole report, too.")
@reports_errors
def verify(file: Path, box: str, *, text: bool) -> None:
    """Say whether the report in FILE is as a box has signed it, and which one. Needs no box."""
    found = reports.verify(file, _plain(box))
    told = found.report()
    if text:
        click.echo(airgap_words.text(told, language()))
    key = "cli.airgap.same" if box else "cli.airgap.holds"
    click.echo(say(key, at=airgap_words.moment(told.at)))
    click.echo(airgap_words.described(told, language()).sentence)
    click.echo(say("cli.airgap.key", hex=airgap_words.grouped(told.box)))


@group.command()
@click.pass_obj
@reports_errors
def test(terminal: Terminal) -> None:
    """Have every process of the box try to leave, now. Ends with 1 if anything could, with 4 if it can't be proven."""
    with terminal.client() as client:
        parts = {part["name"]: part for part in client.post("/airgap/test", {})["parts"]}
    part = parts["test"]
    for row in part["rows"]:
        click.echo("  ".join(cell for cell in row if cell))
    for name, value in part["facts"]:
        click.echo(f"{name}: {value}")
    for words in part["says"]:
        click.echo(f"{_SIGNS[part['state']]} {words}")
    if part["state"] == "error":
        raise AirgapOpenError(places=", ".join(name for name, _value in part["facts"][1:]))
    if part["state"] != "ok":
        sys.exit(UNSURE)


def _plain(box: str) -> str:
    """A fingerprint without blanks and colons. Raises BadInputError for what is none."""
    found = box.replace(" ", "").replace(":", "").lower()
    try:
        is_one = not found or len(bytes.fromhex(found)) == KEY_BYTES
    except ValueError:
        is_one = False
    if not is_one:
        raise BadInputError("fingerprint", field="--box")
    return found
