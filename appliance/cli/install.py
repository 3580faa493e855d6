"""`hako install`: a box on a server that is there already, as systemd's units; and away again."""

import os
import sys
from pathlib import Path
from typing import Final

import click

from appliance import modes
from appliance.cli import init
from appliance.cli.context import Terminal, reports_errors, say
from appliance.errors import HakoError
from appliance.image import server
from appliance.image.box import certificate
from appliance.image.server import Wish

_FOLDER: Final = click.Path(path_type=Path, file_okay=False, exists=True, resolve_path=True)

_HTTPS: Final = 443


@click.command()
@click.option("--from", "source", type=_FOLDER, help="A release that `hako bundle collect` has gathered.")
@click.option("--models", type=_FOLDER, help="Built starter models, to be there from the first start.")
@click.option("--port", type=click.IntRange(1, 65535), help="Where the pages listen; 443 at first.")
@click.option("--firewall", is_flag=True, help="Also load the box's firewall, which closes all other ports.")
@click.option("--root", type=_FOLDER, default=Path("/"), help="Install into this folder instead, starting nothing.")
@click.option("--dry-run", is_flag=True, help="Only say what would be done.")
@click.option("--remove", is_flag=True, help="Take it away again; data, trust and accounts stay.")
@reports_errors
def install(
    source: Path | None,
    models: Path | None,
    port: int | None,
    root: Path,
    *,
    firewall: bool,
    dry_run: bool,
    remove: bool,
) -> None:
    """Make this server a box, or bring an installed one up to date; as root, as often as you like."""
    wish = Wish(root, source, models, port, firewall)
    if not dry_run:
        server.demand_fit(wish, removing=remove)
    modes.open_to_all()
    os.umask(modes.umask())
    for step in server.removal(wish) if remove else server.steps(wish):
        if dry_run:
            click.echo(f"  {say(f'cli.install.{step.kind}', what=step.what)}")
        else:
            sign = "✓" if step.do() else "·"
            click.echo(f"{sign} {say(f'cli.install.{step.kind}', what=step.what)}")
    if remove:
        click.echo(say("cli.install.kept", data=f"/{server.DATA}"))
    elif wish.is_live and not dry_run:
        _first_steps()
    else:
        click.echo(say("cli.install.next"))


def _first_steps() -> None:
    """Where the pages are, and the link to the first account; a box without a vault gets one, if somebody is there."""
    terminal = Terminal(Path("/") / server.DATA)
    port = terminal.settings().web.port
    suffix = "" if port == _HTTPS else f":{port}"
    pages = [f"https://{f'[{each}]' if ':' in each else each}{suffix}" for each in certificate.addresses()]
    pages = pages or [f"https://localhost{suffix}"]
    click.echo(say("cli.install.pages", where=" ".join(pages)))
    click.echo(say("cli.install.fingerprint", fingerprint=certificate.fingerprint()))
    if not terminal.settings().vault_file.exists():
        if not sys.stdin.isatty():
            click.echo(say("cli.install.init"))
            return
        context = click.get_current_context()
        context.obj = terminal
        context.invoke(init.init, passphrase=None)
    try:
        with terminal.client() as client:
            init.warn(client)
            invitation = client.post("/setup-link", {})
    except HakoError as error:
        click.echo(say("cli.install.sealed", code=error.code))
        return
    if invitation["path"]:
        for each in pages:
            click.echo(say("cli.serve.setup", url=each + invitation["path"]))
        click.echo(say("cli.serve.code", code=invitation["code"]))
