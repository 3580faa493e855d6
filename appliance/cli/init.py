"""`hako init` makes the vault of a new box; `hako unlock` opens it after a start."""

import os
import secrets
import time
from typing import Final

import click

from appliance import clock
from appliance.cli import audit
from appliance.cli.client import BoxClient
from appliance.cli.context import Terminal, reports_errors, say
from appliance.config import Settings
from appliance.errors import ConflictError, PrivateFileError, SealedError
from appliance.machine import erasing
from appliance.processes.supervise import Supervisor
from appliance.vault.client import KeysClient

_OPEN_WITHIN_S: Final = 5.0
_LOOK_S: Final = 0.1


@click.command()
@click.option("--passphrase", envvar="HAKO_PASSPHRASE", help="Asked for when left out.")
@click.pass_obj
@reports_errors
def init(terminal: Terminal, passphrase: str | None) -> None:
    """Make the data folder and a new vault, and print the recovery key once."""
    settings = terminal.settings()
    if erasing.is_wished(settings.data_dir) and not settings.accounts.are_separate:  # it was cut off
        erasing.erase(settings.data_dir)
    if settings.vault_file.exists():
        raise ConflictError(name=str(settings.vault_file))
    if passphrase is None:
        passphrase = click.prompt(say("cli.init.passphrase"), hide_input=True, confirmation_prompt=True)
    if settings.accounts.are_separate:  # its folders are made, and its keys process runs, as the account that may
        _create(settings, str(passphrase))
        click.echo(say("cli.init.done_units"))
        return
    prepare(settings)
    supervisor = Supervisor(settings.data_dir, settings.data_dir / "log" / "hako.log")
    try:
        supervisor.start("keys", 20)
        _create(settings, str(passphrase))
    finally:
        supervisor.stop()
    click.echo(say("cli.init.done"))


def _create(settings: Settings, passphrase: str) -> None:
    keys = KeysClient(settings.keys_socket)
    keys.create(passphrase)
    recovery_key = keys.new_recovery()
    click.echo(say("cli.init.recovery"))
    click.echo(f"\n    {recovery_key}\n")
    if click.confirm(say("cli.init.noted"), default=True):
        keys.confirm_recovery()


@click.command()
@click.option("--recovery-key", is_flag=True, help="Use the recovery key, and choose a new passphrase.")
@click.pass_obj
@reports_errors
def unlock(terminal: Terminal, *, recovery_key: bool) -> None:
    """Open the vault of a running box."""
    settings = terminal.settings()
    keys = KeysClient(settings.keys_socket)
    if recovery_key:
        secret = click.prompt(say("cli.unlock.recovery"), hide_input=True)
        keys.recover(secret)
        new = click.prompt(say("cli.unlock.new_passphrase"), hide_input=True, confirmation_prompt=True)
        keys.reset_passphrase(secret, new)
    else:
        keys.unlock(click.prompt(say("cli.init.passphrase"), hide_input=True))
    click.echo(say("cli.unlock.done"))
    _tell_setup_link(terminal, settings)


@click.command()
@click.pass_obj
@reports_errors
def passphrase(terminal: Terminal) -> None:
    """Change the passphrase of the vault."""
    keys = KeysClient(terminal.settings().keys_socket)
    old = click.prompt(say("cli.init.passphrase"), hide_input=True)
    new = click.prompt(say("cli.unlock.new_passphrase"), hide_input=True, confirmation_prompt=True)
    keys.change_passphrase(old, new)
    click.echo(say("cli.passphrase.done"))


def _tell_setup_link(terminal: Terminal, settings: Settings) -> None:
    """A box without accounts wants its first operator: print where to make one. A broken audit log comes first."""
    with terminal.client() as client:
        warn(client)
        invitation = client.post("/setup-link", {})
    if invitation["path"]:
        click.echo(say("cli.serve.setup", url=settings.web.url + invitation["path"]))
        click.echo(say("cli.serve.code", code=invitation["code"]))


def warn(client: BoxClient) -> None:
    """What the audit log has to say. Web may take a vault that was just opened for sealed a moment longer."""
    until = clock.monotonic() + _OPEN_WITHIN_S
    while True:
        try:
            return audit.warn(client)
        except SealedError:
            if clock.monotonic() > until:
                raise
        time.sleep(_LOOK_S)


def prepare(settings: Settings) -> None:
    """The data folder and its parts, readable by this account only."""
    for folder in (settings.data_dir, settings.run_dir, settings.data_dir / "log", settings.models):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if settings.run_dir.stat().st_uid != os.geteuid():  # made by somebody else in a folder that all may write to
        raise PrivateFileError(name=str(settings.run_dir))
    settings.data_dir.chmod(0o700)
    settings.run_dir.chmod(0o700)


def development_passphrase(settings: Settings) -> str:
    """Make and keep a random passphrase in a file of mode 600; for development only."""
    passphrase = secrets.token_urlsafe(24)
    settings.passphrase_file.touch(0o600)
    settings.passphrase_file.write_text(passphrase + "\n", "ascii")
    return passphrase
