"""`hako`: the command line's front door."""

from pathlib import Path

import click

from appliance import __version__
from appliance.cli import (
    airgap,
    ask,
    audit,
    backup,
    bundle,
    chat,
    container,
    destinations,
    doctor,
    erase,
    init,
    install,
    kb,
    models,
    publisher,
    serve,
    update,
    users,
    way_out,
    web,
)
from appliance.cli.context import Terminal, say


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.option(
    "--data-dir",
    type=click.Path(path_type=Path, file_okay=False),
    envvar="HAKO_DATA_DIR",
    default=Path("var"),
    show_default=True,
    help="Folder of the box's data.",
)
@click.pass_context
def main(context: click.Context, data_dir: Path) -> None:
    """Hako, an air-gapped AI appliance."""
    context.obj = Terminal(data_dir.absolute())


@main.command()
def version() -> None:
    """Print the version."""
    click.echo(say("cli.version", version=__version__))


for command in (
    serve.serve,
    init.init,
    init.unlock,
    init.passphrase,
    container.setup_code,
    install.install,
    ask.ask,
    chat.chat,
    kb.kb,
    models.models,
    destinations.group,
    bundle.group,
    update.group,
    publisher.publisher,
    way_out.way_out,
    backup.group,
    users.user,
    web.group,
    audit.group,
    airgap.group,
    doctor.doctor,
    erase.erase,
):
    main.add_command(command)
