"""`hako models`: what the box can run, and bringing, checking and removing it."""

import sys
from pathlib import Path
from typing import Any
from urllib.parse import quote

import click

from appliance.cli.amounts import memory, size
from appliance.cli.client import BoxClient
from appliance.cli.context import Terminal, reports_errors, say
from appliance.cli.model_adapters import adapter
from appliance.cli.model_address import address
from appliance.cli.model_bench import bench
from appliance.cli.model_default import default
from appliance.cli.model_load import load
from appliance.cli.model_projector import projector as projector_command
from appliance.cli.model_requantise import Shown, print_change, requantise
from appliance.cli.model_settings import ps, set_settings
from appliance.errors import by_code
from appliance.inference.quantisations import TARGETS

_MB, _GB = 10**6, 10**9


@click.group()
def models() -> None:
    """Models."""


models.add_command(adapter)
models.add_command(projector_command, "projector")
models.add_command(bench)
models.add_command(default)
models.add_command(load)
models.add_command(requantise)
models.add_command(set_settings)
models.add_command(ps)


@models.command("list")
@click.pass_obj
@reports_errors
def list_models(terminal: Terminal) -> None:
    """List the models with kind, state and memory, and whether they fit."""
    with terminal.client() as client:
        items = client.get("/models")["items"]
    for item in items:
        taken = f"{(item['memory_bytes'] or 0) / 2**20:.0f} MiB"
        state = say(f"cli.models.{item['state']}")
        names = " ".join(["", *item["aliases"]])
        row = f"{item['id']:<28} {item['kind']:<10} {state:<12} {taken:>9}  {_room(item['estimate'])}"
        click.echo(f"{row}  {item['licence']}{names}")


@models.command()
@click.argument("model")
@click.pass_obj
@reports_errors
def show(terminal: Terminal, model: str) -> None:
    """Show one model: what it is, where it came from, the memory it takes."""
    with terminal.client() as client:
        item = client.get(address(model))
    _fact("name", item["name"])
    _fact("id", item["id"])
    _fact("aliases", ", ".join(item["aliases"]))
    _fact("state", say(f"cli.models.{item['state']}"))
    _fact("licence", item["licence"])
    _fact("source", item["source"])
    _fact("projector", item["projector"] or "")
    _facts(item)
    for file in item["files"]:
        click.echo(f"  {file['name']}  {size(file['size'])}  sha256 {file['sha256']}")


@models.command("import")
@click.argument("path", type=click.Path(path_type=Path))
@click.option("--licence", required=True, help="Its licence, e.g. Apache-2.0.")
@click.option("--source", help="Where it came from; the file's name when left out.")
@click.option("--language", "languages", multiple=True, help="A language that it is good at, e.g. ja; may be repeated.")
@click.option("--name", help="What people see; taken from the file when left out.")
@click.option("--link", is_flag=True, help="Share the file's bytes (hard link) instead of copying them.")
@click.option(
    "--engine",
    type=click.Choice(["llama", "ctransformers"]),
    default="llama",
    help="What runs it; ctransformers is for older Llama models only.",
)
@click.option("--kind", type=click.Choice(["embedding", "reranker"]), help="What an ONNX model is, if it doesn't say.")
@click.option("--pooling", type=click.Choice(["mean", "cls", "last"]), help="How vectors of tokens become one.")
@click.option("--query-prefix", help="Put before a question by an embedding model.")
@click.option("--passage-prefix", help="Put before a passage by an embedding model.")
@click.option("--projector", type=click.Path(path_type=Path), help="The file with which it sees pictures (mmproj).")
@click.option(
    "--requantise",
    "copy",
    type=click.Choice(TARGETS, case_sensitive=False),
    help="Also make a smaller copy, stored so.",
)
@click.option("--dry-run", is_flag=True, help="Only say what it is and whether it fits.")
@click.pass_obj
@reports_errors
def bring(
    terminal: Terminal,
    path: Path,
    licence: str,
    source: str | None,
    languages: tuple[str, ...],
    name: str | None,
    engine: str,
    kind: str | None,
    pooling: str | None,
    query_prefix: str | None,
    passage_prefix: str | None,
    projector: Path | None,
    copy: str | None,
    *,
    link: bool,
    dry_run: bool,
) -> None:
    """Bring the GGUF file, or the folder of an ONNX model, at PATH into the box."""
    body = {"path": _place(path), "licence": licence, "languages": languages, "link": link, "engine": engine}
    left_out = {
        "source": source,
        "name": name,
        "kind": kind,
        "pooling": pooling,
        "query_prefix": query_prefix,
        "passage_prefix": passage_prefix,
        "requantise": copy,
    }
    body |= {key: value for key, value in left_out.items() if value is not None}
    if projector is not None:
        body["projector"] = _place(projector)
    with terminal.client() as client:
        if dry_run:
            _print_plan(client.post("/models/import", {**body, "dry_run": True})["plan"])
            click.echo(say("cli.models.dry"))
            return
        done = _brought(client, body)
    if copy is None:
        _print_imported(done)
    elif failed := done["not_smaller"]:
        click.echo(say("cli.requantise.not_made", id=done["model"]))
        raise by_code(failed["code"], **failed["params"])
    else:
        print_change(done["smaller"])


@models.command()
@click.argument("model")
@click.pass_obj
@reports_errors
def unload(terminal: Terminal, model: str) -> None:
    """Free a model's memory once its answers have ended."""
    with terminal.client() as client:
        client.post(address(model, "unload"), {})
    click.echo(say("cli.models.did_unload", id=model))


@models.command()
@click.argument("model")
@click.option("--yes", is_flag=True, help="Don't ask.")
@click.pass_obj
@reports_errors
def remove(terminal: Terminal, model: str, *, yes: bool) -> None:
    """Erase a model's files."""
    with terminal.client() as client:
        if not yes:
            click.confirm(say("cli.models.sure", id=model), abort=True)
        client.delete(address(model))
    click.echo(say("cli.models.did_remove", id=model))


@models.command()
@click.argument("name")
@click.argument("model", required=False)
@click.option("--remove", "forget", is_flag=True, help="Forget the alias.")
@click.pass_obj
@reports_errors
def alias(terminal: Terminal, name: str, model: str | None, *, forget: bool) -> None:
    """Let programs call MODEL by NAME, e.g. gpt-4o-mini."""
    if (model is None) is not forget:
        raise click.UsageError("NAME MODEL, or NAME --remove")
    with terminal.client() as client:
        if model is None:
            client.delete(f"/models/aliases/{quote(name)}")
            click.echo(say("cli.models.alias_gone", name=name))
        else:
            client.put(f"/models/aliases/{quote(name)}", {"model": model})
            click.echo(say("cli.models.alias_set", name=name, id=model))


@models.command()
@click.argument("model")
@click.option("--renew", is_flag=True, help="Also accept what it answers from its next load on.")
@click.pass_obj
@reports_errors
def verify(terminal: Terminal, model: str, *, renew: bool) -> None:
    """Compare every file of a model with its digest."""
    with terminal.client() as client:
        seen = client.post(address(model, "verify"), {})
        click.echo(say("cli.models.verified", id=model, size=size(seen["size_bytes"])))
        if renew:
            client.post(address(model, "renew"), {})
            click.echo(say("cli.models.renewed", id=model))


def _place(path: Path) -> str:
    """As the box is told; a link as the last part stays one, and is refused there."""
    return str(path.parent.resolve() / path.name)


def _room(estimate: dict[str, Any] | None) -> str:
    """What it needs and whether that fits; a dash where nobody can say."""
    if estimate is None:
        return f"{'-':<20}"
    return f"{size(estimate['needed_bytes']):>8} {say('cli.models.' + estimate['verdict']):<11}"


def _brought(client: BoxClient, body: dict[str, Any]) -> dict[str, Any]:
    """The import with its progress; a terminal sees the percentage, a file only the facts."""
    shown, copying = sys.stdout.isatty(), Shown()
    for kind, data in client.events("/models/import", body):
        if kind == "plan":
            _print_plan(data)
        elif kind == "progress" and shown:
            click.echo(f"\r{data['done'] * 100 // data['total']:3} %", nl=False)
        elif kind == "error":
            raise by_code(data["code"], **data.get("params", {}))
        elif kind == "imported":
            click.echo("\r" if shown else "", nl=False)
            _print_imported(data)
            click.echo(say("cli.requantise.making", name=data["model"], to=body["requantise"]))
        elif kind == "smaller":
            copying.take(data["kind"], data["data"])
        elif kind == "done":
            click.echo("\r" if shown else "", nl=False)
            return data
    raise by_code("HK-BOX-001")


def _print_imported(done: dict[str, Any]) -> None:
    click.echo(say("cli.models.twin" if done["already_there"] else "cli.models.imported", id=done["model"]))


def _print_plan(plan: dict[str, Any]) -> None:
    _fact("name", plan["name"])
    _fact("id", plan["model"])
    _fact("architecture", f"{plan['architecture']}, {plan['vocabulary']}")
    if plan["kind"] != "chat":
        _vector_facts(plan)
    _fact("stated_licence", plan["stated_licence"])
    _fact("projector", plan["projector"] or "")
    _facts(plan)
    _fact("smaller", ", ".join(plan["smaller"]))
    if plan["kind"] == "chat" and not plan["chat_template"]:
        click.echo(say("cli.models.no_template"))
    if plan["languages"] == ["und"]:
        click.echo(say("cli.models.no_language"))


def _vector_facts(plan: dict[str, Any]) -> None:
    _fact("kind", say(f"cli.models.kind_{plan['kind']}"))
    if plan["kind"] == "embedding":
        _fact("dimensions", str(plan["dimensions"]))
        _fact("pooling", plan["pooling"] or "")
        for key in ("query_prefix", "passage_prefix"):
            _fact(key, f"“{plan[key]}”" if plan[key] else "")


def _facts(item: dict[str, Any]) -> None:
    _fact("parameters", _count(item["parameters"]) if item["parameters"] else "")
    _fact("quantization", item["quantization"])
    _fact("context", str(item["context"]))
    _fact("languages", ", ".join(item["languages"]))
    _fact("size", size(item["size_bytes"]))
    estimate = item["estimate"]
    if estimate:
        _fact("memory", memory(estimate))


def _fact(key: str, value: str) -> None:
    if value:
        click.echo(f"{say('cli.models.fact_' + key)}: {value}")


def _count(number: int) -> str:
    """Parameters as people say them: 135 M, 7.2 B."""
    return f"{number / _GB:.1f} B" if number >= _GB else f"{number / _MB:.3g} M"
