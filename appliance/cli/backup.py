"""`hako backup`: made, listed, verified and rehearsed by the running box; restored by `backup_restoring`."""

import sys
import time
from pathlib import Path
from typing import Any

import click

from appliance.cli import backup_restoring
from appliance.cli.amounts import size
from appliance.cli.client import BoxClient
from appliance.cli.context import Terminal, reports_errors, say
from appliance.errors import BackupDamagedError, CancelledError, by_code

_LOOK_S = 0.3
_Folder = click.Path(path_type=Path, file_okay=False)


@click.group("backup")
def group() -> None:
    """Make backups, check them, rehearse and restore them."""


group.add_command(backup_restoring.restore)


@group.command()
@click.argument("folder", type=_Folder, required=False)
@click.option("--models", is_flag=True, help="Copy the models' files too; without it they are only listed.")
@click.option("--keep", type=click.IntRange(0), default=0, help="Remove all but so many of the newest; 0 for none.")
@click.option("--cancel", is_flag=True, help="Stop what is under way.")
@click.pass_obj
@reports_errors
def create(terminal: Terminal, folder: Path | None, keep: int, *, models: bool, cancel: bool) -> None:
    """Back the running box up into FOLDER; what lies there already is not written again."""
    if (folder is None) is not cancel:
        raise click.UsageError("FOLDER, or --cancel")
    with terminal.client() as client:
        if folder is None:
            client.delete("/backups/work")
            click.echo(say("cli.backup.cancelled"))
            return
        said = _work(client, "create", folder, models=models, keep=keep)
    click.echo(say("cli.backup.made", id=said["snapshot"], size=size(said["size"]), new=size(said["new_bytes"])))
    if said["missing"]:
        click.echo(say("cli.backup.missing", count=said["missing"]))


@group.command("list")
@click.argument("folder", type=_Folder)
@click.pass_obj
@reports_errors
def list_backups(terminal: Terminal, folder: Path) -> None:
    """List the backups of this box in FOLDER, the newest first."""
    with terminal.client() as client:
        items = client.post("/backups/look", {"folder": str(folder.resolve())})["items"]
    for item in items:
        if item["error"]:
            click.echo(f"{item['id']}  {item['error']['title']}  {item['error']['code']}")
            continue
        counts = say("cli.backup.counts", **{name: item["counts"][name] for name in ("users", "bases", "documents")})
        copied = sum(model["copied"] for model in item["models"])
        click.echo(f"{item['id']}  {item['made_at'][:16]}  {size(item['size_bytes']):>9}  {counts}"
                   + (f"  {say('cli.backup.with_models', count=copied)}" if copied else ""))  # fmt: skip
    if any(item["error"] for item in items):
        raise BackupDamagedError(count=sum(bool(item["error"]) for item in items))


@group.command()
@click.argument("folder", type=_Folder)
@click.pass_obj
@reports_errors
def verify(terminal: Terminal, folder: Path) -> None:
    """Read every byte of the backups in FOLDER and check it."""
    with terminal.client() as client:
        said = _work(client, "verify", folder)
    click.echo(say("cli.backup.verified", count=said["snapshots"], size=size(said["size"])))


@group.command()
@click.argument("folder", type=_Folder)
@click.option("--recovery-key", is_flag=True, help="With the recovery key, as on a new box; needs no running box.")
@click.option("--box", help="Beginning of the id of one box, where FOLDER has backups of several.")
@click.pass_obj
@reports_errors
def rehearse(terminal: Terminal, folder: Path, box: str | None, *, recovery_key: bool) -> None:
    """Restore the newest backup in FOLDER into a scratch folder, look at it, and wipe it."""
    if recovery_key:
        said = backup_restoring.rehearse_alone(folder.resolve(), box)
    else:
        with terminal.client() as client:
            said = _work(client, "rehearse", folder)
    counts = {name: said["counts"][name] for name in ("users", "bases", "documents")}
    click.echo(say("cli.backup.rehearsed", id=said["snapshot"], seconds=f"{said['seconds']:.0f}"))
    click.echo("  " + say("cli.backup.counts", **counts))
    click.echo("  " + say("cli.backup.looked", audit=said["audit"], opened=said["opened"], files=said["blobs"]))


def _work(client: BoxClient, action: str, folder: Path, **more: Any) -> dict[str, Any]:
    """Have it done, and watch it to its end. The box goes on with it also when nobody watches."""
    job = client.post("/backups/work", {"action": action, "folder": str(folder.resolve()), **more})["job"]
    begun, shown = job["id"], sys.stdout.isatty()
    while job["state"] in ("waiting", "running"):
        if shown and job["total"]:
            stage = say(f"cli.backup.stage_{job['stage']}")
            click.echo(f"\r{stage} {job['done'] * 100 // job['total']:3} %   ", nl=False)
        time.sleep(_LOOK_S)
        job = client.get("/backups/work")["job"]
        if job["id"] != begun:
            raise CancelledError
    click.echo("\r" if shown else "", nl=False)
    if job["error"]:
        raise by_code(job["error"]["code"], **job["error"]["params"])
    if job["state"] == "cancelled":
        raise CancelledError
    said: dict[str, Any] = client.get("/backups")["last"][action]
    return said
