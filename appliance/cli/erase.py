"""`hako erase`: factory reset. The keys of everything that is stored are destroyed, and the next start is the first."""

import subprocess

import click

from appliance.cli.context import Terminal, reports_errors, say
from appliance.cli.serve import only_one
from appliance.errors import HelperFailedError, WrongBoxNameError
from appliance.machine import erasing, seen

_UNIT = "hako-erase.service"


@click.command()
@click.option("--name", help="The machine's name, to be sure which box it is about. Asked for when left out.")
@click.pass_obj
@reports_errors
def erase(terminal: Terminal, name: str | None) -> None:
    """Destroy the keys of all that is stored here, and begin anew. There is no way back."""
    settings, own = terminal.settings(), seen.name()
    if name is None:
        click.secho(say("cli.erase.warning", folder=str(settings.data_dir)), fg="yellow")
        name = click.prompt(say("cli.erase.name", name=own))
    if str(name).strip().lower() != own.lower():
        raise WrongBoxNameError(name=own)
    if settings.accounts.are_separate:  # root stops the processes, and goes on after a power cut
        erasing.wish(settings.data_dir)
        try:
            subprocess.run(["systemctl", "start", _UNIT], check=True, capture_output=True)
        except (OSError, subprocess.SubprocessError) as error:
            raise HelperFailedError(str(error), verb="erase") from error
    else:
        with only_one(settings):
            erasing.erase(settings.data_dir)
    click.echo(say("cli.erase.done"))
