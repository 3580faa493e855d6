"""`hako kb`: put documents into bases and search them."""

import json
import time
from pathlib import Path
from typing import Any

import click

from appliance.cli.ask import find_base
from appliance.cli.client import BoxClient
from appliance.cli.context import Terminal, language, reports_errors, say
from appliance.errors import HakoError, NotFoundError, by_code
from webui import locales


@click.group()
def kb() -> None:
    """Bases of documents."""


@kb.command("list")
@click.pass_obj
@reports_errors
def list_bases(terminal: Terminal) -> None:
    """List the bases."""
    with terminal.client() as client:
        for base in client.get("/bases")["items"]:
            click.echo(say("cli.kb.base", name=base["name"], documents=base["documents"], passages=base["passages"]))


@kb.command()
@click.argument("paths", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
@click.option("--kb", "base", default="documents", show_default=True, help="Base to add to; made if it isn't there.")
@click.pass_obj
@reports_errors
def add(terminal: Terminal, paths: tuple[Path, ...], base: str) -> None:
    """Add files, or all files of folders, and wait until they can be searched."""
    with terminal.client() as client:
        try:
            target = find_base(client, base)
        except NotFoundError:
            target = client.post("/bases", {"name": base, "visibility": "everyone"})
        failed = 0
        for file in _files(paths):
            try:
                document = client.upload(f"/bases/{target['id']}/documents", file)
            except HakoError as error:
                click.echo(f"× {file.name}: {_sentence(error)}", err=True)
                failed += 1
                continue
            failed += not _wait(client, document)
    if failed:
        raise SystemExit(1)


def _files(paths: tuple[Path, ...]) -> list[Path]:
    return [
        file
        for path in paths
        for file in (sorted(path.rglob("*")) if path.is_dir() else [path])
        if file.is_file() and not file.name.startswith(".")
    ]


def _wait(client: BoxClient, document: dict[str, Any]) -> bool:
    if document.get("duplicate"):
        click.echo(say("cli.kb.duplicate", name=document["name"]))
        return True
    while document["state"] in ("waiting", "working"):
        time.sleep(0.3)
        document = client.get(f"/documents/{document['id']}")
    if document["state"] == "ready":
        click.echo(say("cli.kb.ready", name=document["name"], pages=document["pages"], passages=document["passages"]))
        return True
    problem = document["error"] or {"code": "HK-RUN-001", "params": {}}
    click.echo(f"× {document['name']}: {_sentence(by_code(problem['code'], **problem['params']))}", err=True)
    return False


def _sentence(error: HakoError) -> str:
    return f"{locales.sentence(error, language())}  {error.code}"


@kb.command()
@click.argument("query")
@click.option("--kb", "base", help="Base to search; all that are readable when left out.")
@click.option("--json", "as_json", is_flag=True, help="Print the passages as JSON.")
@click.option("-k", "count", default=5, show_default=True)
@click.pass_obj
@reports_errors
def search(terminal: Terminal, query: str, base: str | None, count: int, *, as_json: bool) -> None:
    """Find passages without asking a model."""
    with terminal.client() as client:
        body: dict[str, Any] = {"query": query, "k": count}
        if base:
            body["base_ids"] = [find_base(client, base)["id"]]
        found = client.post("/search", body)
    hits, reranker = found["hits"], found["reranker"]
    if reranker and reranker["failure"]:
        click.echo(say("cli.kb.not_reranked", name=reranker["model"], why=reranker["failure"]), err=True)
    if as_json:
        click.echo(json.dumps(hits, ensure_ascii=False, indent=2))
        return
    for hit in hits:
        place = say("cli.ask.page", document=hit["document"], page=hit["page"])
        click.echo(f"{hit['score']:.2f}  {place}\n      {' '.join(hit['text'].split())[:160]}")
