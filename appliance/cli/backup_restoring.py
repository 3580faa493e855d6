"""`hako backup restore`, and rehearsals with the recovery key: what needs no box, only what was written down."""

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from appliance.backup import rehearsing, repository, restoring
from appliance.backup.repository import Repository
from appliance.cli.amounts import size
from appliance.cli.context import Terminal, reports_errors, say
from appliance.cli.init import prepare
from appliance.config import Settings
from appliance.processes.supervise import Supervisor
from appliance.vault.client import KeysClient

_Folder = click.Path(path_type=Path, file_okay=False)
_START_S = 20.0


@click.command()
@click.argument("folder", type=_Folder)
@click.option("--data-dir", "target", type=_Folder, help="Where to; the box's data folder when left out.")
@click.option("--snapshot", help="Which one, as `list` names it; the newest when left out.")
@click.option("--box", help="Beginning of the id of one box, where FOLDER has backups of several.")
@click.option("--recovery-key", is_flag=True, help="Open it with the recovery key instead of the passphrase.")
@click.option("--over", is_flag=True, help="Replace this very box; what it was stays beside it.")
@click.option("--secret", envvar="HAKO_SECRET", help="Passphrase or recovery key; asked for when left out.")
@click.pass_obj
@reports_errors
def restore(
    terminal: Terminal, folder: Path, target: Path | None, snapshot: str | None, box: str | None, secret: str | None,
    *, recovery_key: bool, over: bool,
) -> None:  # fmt: skip
    """Restore a backup in FOLDER to an empty data folder, while no box runs there."""
    place = (target or terminal.data_dir).absolute()
    source = folder.resolve()
    named = repository.only_box(source, box)
    restoring.demand_place(place, named, over=over)
    vault = (place / "vault.json").read_bytes() if over and (place / "vault.json").exists() else None
    vault = vault or repository.vault_file(source, named)
    with _opened(vault, secret, recovery_key=recovery_key) as keys:
        found = Repository(source, named, keys.derive("backup"))
        done = restoring.restore(found, keys.derive, vault, place, snapshot, _tell, over=over)
    _end_line()
    made = done.snapshot
    counts = say("cli.backup.counts", users=made.counts.users, bases=made.counts.bases, documents=made.counts.documents)
    click.echo(say("cli.backup.restored", id=made.id, folder=str(place), size=size(made.size)))
    click.echo("  " + counts)
    if done.replaced:
        click.echo("  " + say("cli.backup.replaced", folder=str(done.replaced)))
    left_out = [model.id for model in made.models if not (place / "models" / model.id).exists()]
    if left_out:
        click.echo("  " + say("cli.backup.no_models", names=", ".join(left_out)))


def rehearse_alone(folder: Path, box: str | None) -> dict[str, Any]:
    """A rehearsal as a new box would do it: with nothing but the stick and the recovery key."""
    named = repository.only_box(folder, box)
    with (
        _opened(repository.vault_file(folder, named), None, recovery_key=True) as keys,
        tempfile.TemporaryDirectory(prefix="hako-") as scratch,
    ):
        found = Repository(folder, named, keys.derive("backup"))
        seen = rehearsing.rehearse(found, keys.derive, Path(scratch) / "box", _tell)
    _end_line()
    return {**asdict(seen), "counts": seen.counts.model_dump()}


@contextmanager
def _opened(vault: bytes, secret: str | None, *, recovery_key: bool) -> Iterator[KeysClient]:
    """The keys of a vault file in a keys process of their own, which ends with this."""
    if secret is None:
        secret = str(
            click.prompt(say("cli.unlock.recovery" if recovery_key else "cli.init.passphrase"), hide_input=True)
        )
    with tempfile.TemporaryDirectory(prefix="hako-") as folder:
        settings = Settings(data_dir=Path(folder))
        prepare(settings)
        descriptor = os.open(settings.vault_file, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as target:
            target.write(vault)
        supervisor = Supervisor(settings.data_dir, None)
        try:
            supervisor.start("keys", _START_S)
            keys = KeysClient(settings.keys_socket)
            if recovery_key:
                keys.recover(secret)
            else:
                keys.unlock(secret)
            yield keys
        finally:
            supervisor.stop()


def _tell(stage: str, done: int, total: int) -> None:
    if sys.stdout.isatty() and total:
        click.echo(f"\r{say('cli.backup.stage_' + stage)} {done * 100 // total:3} %   ", nl=False)


def _end_line() -> None:
    if sys.stdout.isatty():
        click.echo("\r", nl=False)
