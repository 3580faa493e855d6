"""`hako bundle collect`: the publisher gathers the wheels of a release, for `hako bundle build --kind release`."""

from pathlib import Path

import click

from appliance.bundle.publish import releases
from appliance.cli.context import reports_errors, say

_Folder = click.Path(path_type=Path, file_okay=False)
_File = click.Path(path_type=Path, dir_okay=False, exists=True)


@click.command()
@click.argument("folder", type=_Folder)
@click.option("--wheel", type=_File, required=True, help="The box's own wheel, as `make wheel` builds it.")
@click.option("--lock", type=_File, required=True, help="Every other wheel with its hash: requirements/run.txt.")
@click.option("--wheels", type=_Folder, help="Folder that they come from; the package registry when left out.")
@reports_errors
def collect(folder: Path, wheel: Path, lock: Path, wheels: Path | None) -> None:
    """Gather the wheels of a release in FOLDER, with a manifest and a list of its parts."""
    made = releases.collect(folder, wheel, lock, wheels)
    click.echo(say("cli.bundle.collected", version=made.version, counter=made.counter, count=len(made.wheels)))
