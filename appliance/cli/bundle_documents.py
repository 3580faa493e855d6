"""`hako bundle packs|boxes|export`: bases that came in bundles, boxes that are trusted, and packs for other boxes."""

import json
from pathlib import Path
from typing import Final

import click

from appliance.cli.amounts import duration, size
from appliance.cli.ask import find_base
from appliance.cli.context import Terminal, reports_errors, say
from appliance.errors import BadInputError

_GROUP = 8
_REQUEST_BYTES = 8 << 20
_File = click.Path(path_type=Path, dir_okay=False)


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


@click.command()
@click.option("--trust", "pack", type=_File, help="Pack of the box that is to be trusted.")
@click.option("--fingerprint", help="What the other operator has told you it is; asked for when left out.")
@click.option("--forget", help="Fingerprint of a box whose packs are not to be taken any more.")
@click.pass_obj
@reports_errors
def boxes(terminal: Terminal, pack: Path | None, fingerprint: str | None, forget: str | None) -> None:
    """Show what other boxes know this one by, and the boxes whose packs are taken."""
    with terminal.client() as client:
        if forget is not None:
            client.delete(f"/bundles/boxes/{forget}")
            click.echo(say("cli.bundle.box_forgotten"))
            return
        if pack is not None:
            if fingerprint is None:
                fingerprint = str(click.prompt(say("cli.bundle.box_fingerprint")))
            said = client.put("/bundles/boxes", {"folder": str(pack.resolve()), "fingerprint": fingerprint})
            click.echo(say("cli.bundle.box_trusted", name=said["box"]["name"]))
            return
        known = client.get("/bundles/boxes")
    own = known["own"]
    click.echo(f"{say('cli.bundle.own_fingerprint')}:\n  {_grouped(own['fingerprint'])}")
    click.echo(f"{say('cli.bundle.own_code')}:\n  {_grouped(own['receiving_code'])}")
    for box in known["items"]:
        click.echo(f"{box['name']}  {box['set_at'][:10]}\n  {_grouped(box['fingerprint'])}")


@click.command()
@click.argument("base")
@click.argument("file", type=_File)
@click.option("--for", "receiver", required=True, help="Receiving code of the other box, or its request file.")
@click.option("--licence", default="", help="SPDX name; that of the organisation itself when left out.")
@click.option("--yes", is_flag=True, help="Don't ask.")
@click.pass_obj
@reports_errors
def export(terminal: Terminal, base: str, file: Path, receiver: str, licence: str, *, yes: bool) -> None:
    """Write the documents of BASE to FILE, sealed for another box and signed by this one."""
    code = _code(receiver)
    with terminal.client() as client:
        found = find_base(client, base)
        wish = {"receiver": code, "licence": licence}
        plan = client.post(f"/bases/{found['id']}/export", {**wish, "dry_run": True})["plan"]
        figures = {"name": plan["name"], "documents": plan["documents"], "size": size(plan["size_bytes"])}
        click.echo(say("cli.bundle.export_plan", **figures))
        click.echo(f"{say('cli.bundle.export_for')}:\n  {_grouped(code)}")
        if not yes:
            click.confirm(say("cli.bundle.export_sure"), abort=True)
        ready = client.post(f"/bases/{found['id']}/export", wish)["export"]
        client.download(f"/bundles/exports/{ready}", file)
    click.echo(say("cli.bundle.exported", name=file.name))


def _code(receiver: str) -> str:
    """From a request file, if there is one of that name. Raises BadInputError."""
    path = Path(receiver)
    if not path.is_file():
        return receiver
    try:
        with path.open("rb") as file:
            return str(json.loads(file.read(_REQUEST_BYTES))["receiving_code"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BadInputError(field="for") from error


def _grouped(text: str) -> str:
    plain = "".join(text.split())
    return " ".join(plain[at : at + _GROUP] for at in range(0, len(plain), _GROUP))


COMMANDS: Final = (packs, boxes, export)
