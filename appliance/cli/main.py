"""`hako`: the command line's front door. A command's module is loaded when it is wanted: most want few of the box's."""

from importlib import import_module
from pathlib import Path
from typing import Final

import click

from appliance import __version__
from appliance.cli.context import Terminal, say

_WHERE: Final = {
    "serve": "serve.serve",
    "init": "init.init",
    "unlock": "init.unlock",
    "passphrase": "init.passphrase",
    "setup-code": "container.setup_code",
    "install": "install.install",
    "ask": "ask.ask",
    "chat": "chat.chat",
    "kb": "kb.kb",
    "models": "models.models",
    "destinations": "destinations.group",
    "bundle": "bundle.group",
    "update": "update.group",
    "publisher": "publisher.publisher",
    "way-out": "way_out.way_out",
    "backup": "backup.group",
    "user": "users.user",
    "web": "web.group",
    "audit": "audit.group",
    "airgap": "airgap.group",
    "doctor": "doctor.doctor",
    "erase": "erase.erase",
}
"""Module of `appliance.cli` and name in it."""


class _Commands(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted([*super().list_commands(ctx), *_WHERE])

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _WHERE:
            return super().get_command(ctx, cmd_name)
        module, name = _WHERE[cmd_name].split(".")
        command: click.Command = getattr(import_module(f"appliance.cli.{module}"), name)
        return command


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
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
