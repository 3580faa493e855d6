"""`hako destinations`: other machines on the closed network, for their models or for alerts."""

import socket
from pathlib import Path
from typing import Any
from urllib.parse import quote

import click

from appliance.cli.context import Terminal, demand_private, reports_errors, say
from appliance.errors import BadInputError
from appliance.gateway import addresses, destinations

_LONGEST_FILE = 100_000


@click.group("destinations")
def group() -> None:
    """Models of other machines, and where alerts go."""


@group.command("list")
@click.pass_obj
@reports_errors
def list_destinations(terminal: Terminal) -> None:
    """List the destinations with their addresses and models."""
    with terminal.client() as client:
        items = client.get("/destinations")["items"]
    if not items:
        click.echo(say("cli.destinations.none"))
    for item in items:
        names = " ".join(f"{item['name']}/{model['name']}" for model in item["models"])
        click.echo(f"{item['name']:<20} {item['kind']:<7} {item['address']:<20} {item['url']}  {names}".rstrip())


@group.command()
@click.argument("name")
@click.argument("url")
@click.option(
    "--kind",
    type=click.Choice(["models", "alerts"]),
    default="models",
    show_default=True,
    help="It offers models, or takes alerts by POST at this URL.",
)
@click.option("--address", help="IP address of the URL's host; looked up once, here, when left out.")
@click.option("--private", is_flag=True, help="It is this machine or in its own network, and that is meant.")
@click.option("--open-gap", is_flag=True, help="It is outside, and that is meant: this opens the air gap.")
@click.option("--ca", type=click.Path(path_type=Path), help="PEM file of the authority of its certificate.")
@click.option("--fingerprint", default="", help="SHA-256 of its certificate.")
@click.option(
    "--key-file",
    type=click.Path(path_type=Path),
    help="File with the API key that it asks for, or the secret that signs alerts.",
)
@click.option("--at-once", type=click.IntRange(1, 256), default=8, show_default=True, help="Calls at the same time.")
@click.option("--model", "models", multiple=True, help="NAME=chat or NAME=embedding; may be repeated.")
@click.option("--context", type=int, default=4096, show_default=True, help="Tokens that these models hold.")
@click.pass_obj
@reports_errors
def add(
    terminal: Terminal,
    name: str,
    url: str,
    kind: str,
    address: str | None,
    ca: Path | None,
    fingerprint: str,
    key_file: Path | None,
    at_once: int,
    models: tuple[str, ...],
    context: int,
    *,
    private: bool,
    open_gap: bool,
) -> None:
    """Name the machine at URL, so that its models can be used as NAME/MODEL, or that it is told what is wrong."""
    body: dict[str, Any] = {
        "name": name,
        "kind": kind,
        "url": url,
        "private": private,
        "open_gap": open_gap,
        "fingerprint": fingerprint,
        "at_once": at_once,
        "models": [{**_model(model), "context": context} for model in models],
    }
    with terminal.client() as client:
        body["address"] = address or _looked_up(url)
        if ca is not None:
            body["ca"] = _read(ca)
        if key_file is not None:
            body["key"] = _read_key(key_file)
        made = client.post("/destinations", body)
    click.echo(say("cli.destinations.added", name=made["name"], address=made["address"]))


@group.command()
@click.argument("name")
@click.pass_obj
@reports_errors
def test(terminal: Terminal, name: str) -> None:
    """Ask a destination which models it has, or send it a test alert."""
    with terminal.client() as client:
        kinds = {item["name"]: item["kind"] for item in client.get("/destinations")["items"]}
        found = client.post(f"/destinations/{quote(name, safe='')}/test", {})["models"]
    if kinds.get(name) == "alerts":
        click.echo(say("cli.destinations.tested", name=name))
        return
    click.echo(say("cli.destinations.answers", name=name, count=len(found)))
    for model in found:
        click.echo(f"  {model}")


@group.command()
@click.argument("name")
@click.pass_obj
@reports_errors
def remove(terminal: Terminal, name: str) -> None:
    """Forget a destination and its key; its running answers are cut."""
    with terminal.client() as client:
        client.delete(f"/destinations/{quote(name, safe='')}")
    click.echo(say("cli.destinations.removed", name=name))


def _model(text: str) -> dict[str, str]:
    name, equals, kind = text.rpartition("=")
    if not equals:
        name, kind = text, "chat"
    if kind not in ("chat", "embedding"):
        raise BadInputError("model", field="--model")
    return {"name": name, "kind": kind}


def _looked_up(url: str) -> str:
    """The address of the URL's host now, asked for by this command and not by the box, which never asks."""
    host = addresses.parse_url(url).host
    try:
        return destinations.pinned(url, None)
    except BadInputError:
        pass
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except OSError as error:
        raise BadInputError("name not found", field="--address") from error
    return str(addresses.parse_address(str(found[0][4][0])))


def _read(file: Path) -> str:
    try:
        with file.open("rb") as source:
            return source.read(_LONGEST_FILE).decode("ascii")
    except (OSError, ValueError) as error:
        raise BadInputError("file", field=file.name) from error


def _read_key(file: Path) -> str:
    try:
        demand_private(file)
    except OSError as error:
        raise BadInputError("file", field=file.name) from error
    return _read(file).strip()
