"""`hako bundle trust|look|take|accept-stale|request`: the box's side of what comes by stick."""

import json
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from appliance import durable
from appliance.cli.amounts import duration, size
from appliance.cli.client import BoxClient
from appliance.cli.context import Terminal, language, reports_errors, say
from appliance.errors import BoxUntrustedError, BundleInvalidError, CancelledError, by_code

_ROOT_BYTES = 512_000
_LOOK_S = 0.3

_Place = click.Path(path_type=Path)
_File = click.Path(path_type=Path, dir_okay=False)


@click.command()
@click.argument("root", type=_File, required=False)
@click.option("--fingerprint", help="What the publisher has told you it is; asked for when left out.")
@click.option("--replaces", help="Fingerprint of the root that counts now; asked for when left out.")
@click.pass_obj
@reports_errors
def trust(terminal: Terminal, root: Path | None, fingerprint: str | None, replaces: str | None) -> None:
    """Trust the publisher of the file ROOT from now on; without it, show who is trusted."""
    with terminal.client() as client:
        now = client.get("/bundles/trust")["publisher"]
        if root is None:
            if now is None:
                click.echo(say("cli.bundle.trusts_nobody"))
            else:
                _print_root(now)
            return
        text = _text(root)
        new = client.put("/bundles/trust", {"root": text, "dry_run": True})["publisher"]
        _print_root(new)
        if fingerprint is None:
            click.confirm(say("cli.bundle.trust_sure"), abort=True)
            fingerprint = str(new["fingerprint"])
        if now is not None and replaces is None:
            replaces = str(click.prompt(say("cli.bundle.old_fingerprint")))
        body = {"root": text, "fingerprint": fingerprint, "replaces": replaces or ""}
        client.put("/bundles/trust", body)
    click.echo(say("cli.bundle.trusted"))


@click.command()
@click.argument("folder", type=_Place)
@click.pass_obj
@reports_errors
def look(terminal: Terminal, folder: Path) -> None:
    """Say what lies in FOLDER, or in a box's pack, and what taking it would do. Copies nothing."""
    with terminal.client() as client:
        _print_look(client.post("/bundles/look", {"folder": str(folder.resolve())}))


@click.command("accept-stale")
@click.argument("folder", type=_Place)
@click.option("--reason", help="Why; it is recorded. Asked for when left out.")
@click.option("--secret", envvar="HAKO_SECRET", help="The recovery key; asked for when left out.")
@click.pass_obj
@reports_errors
def accept_stale(terminal: Terminal, folder: Path, reason: str | None, secret: str | None) -> None:
    """Take for a day what is signed in FOLDER, though it is past its date."""
    with terminal.client() as client:
        said = reason or click.prompt(say("cli.bundle.stale_reason"))
        key = secret or click.prompt(say("cli.unlock.recovery"), hide_input=True)
        body = {"folder": str(folder.resolve()), "reason": said, "recovery_key": key}
        seen = client.post("/bundles/stale", body)
    _print_look(seen)
    click.echo(f"\n{say('cli.bundle.stale_accepted' if seen['stale'] else 'cli.bundle.not_stale')}")


@click.command()
@click.argument("folder", type=_Place, required=False)
@click.option("--only", help="Digest of the bundle to take; all of them when left out.")
@click.option("--everyone", is_flag=True, help="Let everybody read new bases that come; else operators only.")
@click.option("--yes", is_flag=True, help="Don't ask.")
@click.option("--cancel", is_flag=True, help="Stop taking, and remove what has come so far.")
@click.pass_obj
@reports_errors
def take(terminal: Terminal, folder: Path | None, only: str | None, *, everyone: bool, yes: bool, cancel: bool) -> None:
    """Take the bundles in FOLDER, or a box's pack; one that was cut off is gone on with."""
    if (folder is None) is not cancel:
        raise click.UsageError("FOLDER, or --cancel")
    with terminal.client() as client:
        if folder is None:
            client.delete("/bundles/taking")
            click.echo(say("cli.bundle.cancelled"))
            return
        where = str(folder.resolve())
        seen = client.post("/bundles/look", {"folder": where})
        chosen = [item for item in seen["items"] if only in (None, item["digest"])]
        sender = seen["sender"]
        if sender is not None and not sender["trusted"]:
            raise BoxUntrustedError(box=sender["name"])
        if not chosen:
            raise BundleInvalidError("no such bundle")
        _print_look({**seen, "items": chosen})
        fit = [item for item in chosen if not item["plan"]["refusals"]]
        if fit and not yes:
            click.confirm(say("cli.bundle.take_sure", count=len(fit)), abort=True)
        for item in fit:
            _take(client, where, item, "everyone" if everyone else "private")
    if len(fit) < len(chosen):
        sys.exit(1)


@click.command()
@click.option("--out", type=_File, help="File to write; printed when left out.")
@click.pass_obj
@reports_errors
def request(terminal: Terminal, out: Path | None) -> None:
    """Say what this box has and is, for a publisher to make a bundle for it."""
    with terminal.client() as client:
        said = json.dumps(client.get("/bundles/request"), ensure_ascii=False, indent=1)
    if out is None:
        click.echo(said)
        return
    durable.replace(out, said.encode() + b"\n")
    click.echo(say("cli.bundle.requested", name=out.name))


def _take(client: BoxClient, folder: str, item: Mapping[str, Any], visibility: str) -> None:
    """Begin, and watch it to its end. The box goes on with it also when nobody watches."""
    wish = {"folder": folder, "digest": item["digest"], "visibility": visibility}
    job = client.post("/bundles/taking", wish)["job"]
    shown = sys.stdout.isatty()
    while job["state"] in ("waiting", "running"):
        if shown and job["total"]:
            stage = say(f"cli.bundle.stage_{job['stage']}")
            click.echo(f"\r{stage} {job['done'] * 100 // job['total']:3} %   ", nl=False)
        time.sleep(_LOOK_S)
        job = client.get("/bundles/taking")["job"]
        if job["digest"] != item["digest"]:
            raise CancelledError
    click.echo("\r" if shown else "", nl=False)
    if job["state"] == "cancelled":
        raise CancelledError
    if job["error"]:
        raise by_code(job["error"]["code"], **job["error"]["params"])
    click.echo(say("cli.bundle.taken", name=item["name"], version=item["version"]))
    if item["plan"]["documents"]:
        click.echo(say("cli.bundle.taken_documents"))


def _print_root(root: Mapping[str, Any]) -> None:
    grouped = " ".join(root["fingerprint"][place : place + 8] for place in range(0, 64, 8))
    click.echo(say("cli.bundle.root", version=root["version"], expires=root["expires"][:10]))
    for name, role in root["roles"].items():
        click.echo(f"  {name:<10} {role['threshold']}/{role['keys']}")
    click.echo(f"{say('cli.bundle.fingerprint')}:\n  {grouped}")


def _print_look(seen: Mapping[str, Any]) -> None:
    sender = seen["sender"]
    if sender is not None:
        known = "cli.bundle.sender" if sender["trusted"] else "cli.bundle.sender_unknown"
        click.echo(say(known, name=sender["name"]))
    click.echo(say("cli.bundle.signed_on", day=seen["issued"][:10]))
    if not seen["clock_is_credible"]:
        click.echo(say("cli.bundle.clock"))
    if seen["stale"]:
        click.echo(say("cli.bundle.stale"))
    if seen["broken_chain"] is not None:
        click.echo(say("cli.bundle.broken_chain", version=seen["broken_chain"]))
    for item in seen["items"]:
        _print_item(item)


def _print_item(item: Mapping[str, Any]) -> None:
    plan = item["plan"]
    click.echo(f"\n{item['kind']}  {item['name']} {item['version']}  {size(item['size_bytes'])}  {item['licence']}")
    click.echo(f"  {item['digest']}")
    for words in (item["title"][language()], item["notes"][language()]):
        if words:
            click.echo("".join(f"  {line}\n" for line in words.splitlines()), nl=False)
    for model in plan["models"]:
        state = say(f"cli.bundle.model_{model['state']}")
        click.echo(f"  {model['id']:<28} {size(model['size_bytes']):>10}  {state}")
    for snapshot in plan["snapshots"]:
        state = say(f"cli.bundle.model_{snapshot['state']}")
        pages = say("cli.web.pages", count=snapshot["pages"])
        click.echo(
            f"  {snapshot['id']:<28} {size(snapshot['size_bytes']):>10}  {state}  {pages}  {snapshot['starts'][0]}"
        )
    if plan["documents"]:
        _print_documents(plan["documents"])
    if plan["refusals"]:
        for refusal in plan["refusals"]:
            click.echo(f"  {refusal['title']}  {refusal['code']}")
        return
    sizes = {"copy": size(plan["to_copy_bytes"]), "free": size(plan["free_bytes"])}
    if plan["system"]:
        sizes |= {"number": str(plan["system"]["number"]), "minutes": str(-(-int(plan["system"]["seconds"]) // 60))}
    way = "plan_system" if plan["system"] else "plan_release" if plan["restarts"] else "plan"
    click.echo(f"  {say(f'cli.bundle.{way}', **sizes)}")
    if plan["from_box_bytes"]:
        click.echo(f"  {say('cli.bundle.plan_thin', size=size(plan['from_box_bytes']))}")


def _print_documents(documents: Mapping[str, Any]) -> None:
    replaced = {"version": documents["replaces"]}
    state = say(f"cli.bundle.documents_{documents['state']}", **replaced)
    click.echo(f"  {say('cli.bundle.documents', count=documents['count'])}  {state}")
    if documents["room_bytes"]:
        click.echo(f"  {say('cli.bundle.documents_room', size=size(documents['room_bytes']))}")
    if documents["seconds"] is not None:
        click.echo(f"  {say('cli.bundle.documents_time', time=duration(documents['seconds']))}")


def _text(path: Path) -> str:
    """A root file; the box says what is wrong with one that is none."""
    try:
        with path.open("rb") as file:
            return file.read(_ROOT_BYTES + 1).decode()
    except (OSError, UnicodeDecodeError) as error:
        raise BundleInvalidError(f"{path.name}: {type(error).__name__}") from error
