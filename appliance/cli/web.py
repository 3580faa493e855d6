"""`hako web`: the web snapshots of this box, their pages, and removing them."""

from typing import Any

import click

from appliance.cli.amounts import size
from appliance.cli.client import BoxClient
from appliance.cli.context import Terminal, language, reports_errors, say
from appliance.errors import NotFoundError


@click.group("web")
def group() -> None:
    """Web snapshots that were taken in."""


@group.command("list")
@click.pass_obj
@reports_errors
def list_snapshots(terminal: Terminal) -> None:
    """List the snapshots, the newest first."""
    with terminal.client() as client:
        items = client.get("/web")["items"]
    for item in items:
        click.echo(
            f"{item['id']}  {item['captured_at'][:10]}  {size(item['size_bytes']):>8}"
            f"  {say('cli.web.pages', count=item['pages'])}  {item['licence']}  {item['title'][language()]}"
        )
    if not items:
        click.echo(say("cli.web.none"))


@group.command()
@click.argument("snapshot")
@click.option("--find", default="", help="Only pages that hold all of these words.")
@click.option("--page", type=click.IntRange(1), help="Number of a page to print.")
@click.pass_obj
@reports_errors
def show(terminal: Terminal, snapshot: str, find: str, page: int | None) -> None:
    """Say where SNAPSHOT, an id or a name, comes from, and list its pages; or print a page as text."""
    with terminal.client() as client:
        item = client.get(f"/web/{_id(client, snapshot)}")
        if page is not None:
            found = client.get(f"/web/{item['id']}/pages/{page}")
            click.echo(f"{found['title']}\n{found['url']}\n\n{found['text'] or say('cli.web.no_text')}")
            return
        if not find:
            _print(item)
        after: int | None = 0
        while after is not None:
            pages = client.get(f"/web/{item['id']}/pages", q=find, after=str(after))
            for each in pages["items"]:
                click.echo(f"{each['number']:>6}  {each['title'] or each['url']}  {each['url']}")
            after = pages["next"]


@group.command()
@click.argument("snapshot")
@click.option("--yes", is_flag=True, help="Don't ask.")
@click.pass_obj
@reports_errors
def remove(terminal: Terminal, snapshot: str, *, yes: bool) -> None:
    """Erase SNAPSHOT, an id or a name."""
    with terminal.client() as client:
        item = client.get(f"/web/{_id(client, snapshot)}")
        if not yes:
            click.confirm(say("cli.web.remove_sure", title=item["title"][language()]), abort=True)
        client.delete(f"/web/{item['id']}")
    click.echo(say("cli.web.removed", title=item["title"][language()]))


def _id(client: BoxClient, said: str) -> str:
    """Of the snapshot with this id, else of the newest one with this name. Raises NotFoundError."""
    items: list[dict[str, Any]] = client.get("/web")["items"]
    for key in ("id", "name"):
        for item in items:
            if item[key] == said:
                return str(item["id"])
    raise NotFoundError(said)


def _print(item: dict[str, Any]) -> None:
    click.echo(item["title"][language()])
    for url in item["starts"]:
        click.echo(f"  {url}")
    by = item["captured_by"] or "–"
    click.echo(say("cli.web.captured", date=item["captured_at"][:16].replace("T", " "), by=by))
    click.echo(say("cli.web.licence", licence=item["licence"], terms=item["terms"] or "–"))
    click.echo(say("cli.web.holds", count=item["pages"], size=size(item["size_bytes"])))
    if item["stopped"]:
        click.echo(say(f"cli.web.stopped_{item['stopped']}"))
    for why, count in item["left_out"].items():
        click.echo(say(f"cli.web.left_{why}", count=count))
