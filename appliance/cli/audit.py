"""`hako audit`: the record of actions; whether it is whole, and a file of it that outsiders can verify."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from appliance.cli import audit_words
from appliance.cli.client import BoxClient
from appliance.cli.context import Terminal, demand_private, reports_errors, say
from appliance.clock import iso
from appliance.config import Settings
from appliance.errors import AuditBrokenError, AuditExportError, BadInputError, BoxNotRunningError, NotInitialisedError
from appliance.storage import audit_export
from appliance.storage.audit import Audit
from appliance.storage.audit_check import Finding, Report
from appliance.storage.checkpoints import Witness
from appliance.storage.database import Database
from appliance.vault.digests import KEY_BYTES
from appliance.vault.keeper import Keeper
from appliance.vault.keyring import Keyring

_SHOWN = 16
"""Signs of a checkpoint's name, to be compared by eye."""
_File = click.Path(path_type=Path, dir_okay=False)


@click.group("audit")
def group() -> None:
    """The record of actions."""


@group.command("list")
@click.option("--limit", type=click.IntRange(1, 1000), default=50, show_default=True, help="How many, newest first.")
@click.option("--actor", default="", help="Only what this account did.")
@click.option("--action", default="", help="Only this action, such as signed-in.")
@click.option("--raw", is_flag=True, help="As recorded: names of actions, ids and details, times in UTC.")
@click.pass_obj
@reports_errors
def list_entries(terminal: Terminal, limit: int, actor: str, action: str, *, raw: bool) -> None:
    """Print who did what, newest first: a sentence each, and with --raw what was recorded, word for word."""
    with terminal.client() as client:
        for item in client.get("/audit", limit=str(limit), actor=actor, action=action)["items"]:
            if raw:
                detail = " ".join(f"{name}={value}" for name, value in item["detail"].items())
                words = f"{item['at'][:19]}Z  {item['actor_name']:<16} {item['action']:<22} {item['target']} {detail}"
            else:
                words = f"{audit_words.when(item)}  {audit_words.sentence(item)}  {audit_words.outcome(item)}"
            click.echo(f"{item['number']:>7}  {words}".rstrip())


@group.command()
@click.argument("file", type=_File, required=False)
@click.option("--key", help="Public key of the box, or a file with it, for verifying FILE.")
@click.option("--earlier", type=_File, help="An export from before; what it holds must be in FILE.")
@click.pass_obj
@reports_errors
def verify(terminal: Terminal, file: Path | None, key: str | None, earlier: Path | None) -> None:
    """Say whether the record is whole: the box's own, or that in FILE, which was exported. FILE needs no box."""
    if file is None:
        if key is not None or earlier is not None:
            raise click.UsageError("--key, --earlier: FILE")
        _print_report(_own_report(terminal))
        return
    if key is None:
        raise click.UsageError("FILE --key")
    try:
        found = audit_export.verify(file, _read_key(key), earlier)
    except OSError as error:
        raise AuditExportError(str(error), name=str(error.filename)) from error
    click.echo(say("cli.audit.box", name=found.header.name, at=found.header.exported_at))
    _print_report(_as_told(found.report))


@group.command()
@click.argument("file", type=_File)
@click.pass_obj
@reports_errors
def export(terminal: Terminal, file: Path) -> None:
    """Write the whole record into FILE, signed, for somebody who has only the public key."""
    with terminal.client() as client:
        client.download("/audit/export", file)
        told = client.get("/audit/key")
    click.echo(say("cli.audit.exported", name=file.name))
    click.echo(say("cli.audit.key", hex=told["public_key"]))


@group.command("key")
@click.option("--out", type=_File, help="File to write it into; printed when left out.")
@click.pass_obj
@reports_errors
def show_key(terminal: Terminal, out: Path | None) -> None:
    """Show the public key and the newest checkpoint, to be noted outside of the box."""
    with terminal.client() as client:
        told = client.get("/audit/key")
    if out is not None:
        out.write_text(told["public_key"] + "\n", "ascii")
    click.echo(say("cli.audit.key", hex=told["public_key"]))
    _print_newest(told["newest"])


@group.command()
@click.option("--yes", is_flag=True, help="Don't ask whether you are sure.")
@click.option("--reason", default="", help="Why nothing is wrong any more; goes on record. Asked for when left out.")
@click.pass_obj
@reports_errors
def accept(terminal: Terminal, *, yes: bool, reason: str) -> None:
    """Take note of what was found, so that it is no longer told as new. It stays in the record."""
    with terminal.client() as client:
        found = [item for item in client.post("/audit/verify", {})["findings"] if not item["accepted"]]
        if not found:
            click.echo(say("cli.audit.nothing"))
            return
        for item in found:
            click.echo(f"× {item['title']}")
        if not yes:
            click.confirm(say("cli.audit.sure"), abort=True)
        why = reason or click.prompt(say("cli.audit.reason"))
        client.post("/audit/accept", {"findings": [item["key"] for item in found], "reason": why})
    click.echo(say("cli.audit.accepted"))


def warn(client: BoxClient) -> None:
    """Say that the record isn't whole, if the start has found that."""
    if not client.get("/audit/verify")["sound"]:
        click.secho(say("cli.audit.not_whole"), fg="red", err=True)


def _own_report(terminal: Terminal) -> Mapping[str, Any]:
    """From the running box; if none runs, from its files, with the passphrase."""
    try:
        with terminal.client() as client:
            report: Mapping[str, Any] = client.post("/audit/verify", {})
            return report
    except BoxNotRunningError:
        with _opened(terminal.settings()) as audit:
            return _as_told(audit.verify())


@contextmanager
def _opened(settings: Settings) -> Iterator[Audit]:
    """The log of a box that doesn't run, opened with its passphrase. Raises NotInitialisedError without a box."""
    if not settings.vault_file.exists() or not settings.database.exists():
        raise NotInitialisedError
    keeper = Keeper(Keyring(settings.vault_file))
    keeper.unlock(_passphrase(settings))
    database = Database(settings.database, keeper.derive("database"), settings.cipher)
    try:
        database.migrate()
        witness = Witness(settings.audit_checkpoints, keeper.derive("audit-signing"))
        yield Audit(database, keeper.derive("audit"), witness)
    finally:
        database.close()
        keeper.seal()


def _passphrase(settings: Settings) -> str:
    if settings.development and settings.passphrase_file.exists():
        demand_private(settings.passphrase_file)
        return settings.passphrase_file.read_text("utf-8").strip("\r\n")
    return str(click.prompt(say("cli.init.passphrase"), hide_input=True))


def _read_key(key: str) -> bytes:
    """From the option's text or the file that it names. Raises BadInputError for anything but 32 bytes in hex."""
    path = Path(key)
    try:
        text = path.read_text("ascii") if path.is_file() else key
        found = bytes.fromhex(text.strip())
    except (OSError, ValueError) as error:
        raise BadInputError("public key", field="--key") from error
    if len(found) != KEY_BYTES:
        raise BadInputError("public key", field="--key")
    return found


def _as_told(report: Report) -> dict[str, Any]:
    """As the API tells it."""
    said = report.newest.statement if report.newest else None
    return {
        "sound": report.is_sound,
        "entries": report.entries,
        "checkpoints": report.checkpoints,
        "newest": {"number": said.number, "at": iso(said.at), "name": said.name} if said else None,
        "findings": [{"accepted": found.is_accepted, "title": _words(found)} for found in report.findings],
    }


def _words(found: Finding) -> str:
    return say(f"audit.finding.{found.kind}", first=found.first, last=found.last, number=found.number)


def _print_report(report: Mapping[str, Any]) -> None:
    """What was found; ends with exit code 1 if it is anything new."""
    if report["sound"]:
        click.echo(say("cli.audit.sound", entries=report["entries"], checkpoints=report["checkpoints"]))
    for found in report["findings"]:
        click.echo(f"✓ {say('cli.audit.known', title=found['title'])}" if found["accepted"] else f"× {found['title']}")
    _print_newest(report["newest"])
    if not report["sound"]:
        raise AuditBrokenError(count=sum(not found["accepted"] for found in report["findings"]))


def _print_newest(newest: Mapping[str, Any] | None) -> None:
    if newest:
        name = newest["name"][:_SHOWN]
        click.echo(say("cli.audit.signed", at=newest["at"][:19], number=newest["number"], name=name))
