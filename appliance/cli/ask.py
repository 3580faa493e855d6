"""`hako ask`: one question, answered from the documents with sources."""

import json
from typing import Any

import click

from appliance.cli.client import BoxClient
from appliance.cli.context import Terminal, reports_errors, say
from appliance.errors import NotFoundError, by_code


@click.command()
@click.argument("question")
@click.option("--kb", "base", help="Base to search; all that are readable when left out.")
@click.option("--model", help="Model to write with.")
@click.option("--json", "as_json", is_flag=True, help="Print the whole answer as JSON.")
@click.pass_obj
@reports_errors
def ask(terminal: Terminal, question: str, base: str | None, model: str | None, *, as_json: bool) -> None:
    """Answer QUESTION from the documents, with sources."""
    with terminal.client() as client:
        body: dict[str, Any] = {"question": question}
        if base is not None:
            body["base_ids"] = [find_base(client, base)["id"]]
        if model is not None:
            body["model"] = model
        if as_json:
            click.echo(json.dumps(client.post("/ask", body), ensure_ascii=False, indent=2))
        else:
            print_answer(stream(client, body))


def find_base(client: BoxClient, name: str) -> dict[str, Any]:
    """A base by name or id.

    Raises:
        NotFoundError: none of that name.
    """
    # Ids first: a name can be chosen, also one that looks like another base's id.
    for item in sorted(client.get("/bases")["items"], key=lambda item: bool(item["id"] != name)):
        if name in (item["id"], item["name"]):
            return dict(item)
    raise NotFoundError(name)


def stream(client: BoxClient, body: dict[str, Any]) -> dict[str, Any]:
    """Print the answer while it is written; returns the whole message."""
    for kind, data in client.events("/ask", body):
        if kind == "delta":
            click.echo(data["text"], nl=False)
        elif kind == "stage" and data["stage"] == "thinking":
            click.echo(say("cli.ask.thinking"), err=True)
        elif kind == "error":
            click.echo()
            raise by_code(data["code"], **data.get("params", {}))
        elif kind == "done":
            click.echo()
            return dict(data["message"])
    raise by_code("HK-BOX-001")


def print_answer(message: dict[str, Any]) -> None:
    """The sources and figures below an answer that was printed already."""
    for citation in message["citations"]:
        place = say("cli.ask.page", document=citation["document"], page=citation["page"])
        mark = say(f"source.mark_{citation['mark']}")
        click.echo(f"  [{citation['n']}] {place} ({mark}): {citation['quote'].strip()}")
    stats = message["stats"]
    parts = [say(f"cli.ask.mode.{message['mode']}", model=stats["model"])]
    if "ttft_ms" in stats:
        parts.append(say("cli.ask.first", seconds=f"{stats['ttft_ms'] / 1000:.2f}"))
    if stats.get("tokens_per_s"):
        parts.append(say("cli.ask.speed", speed=stats["tokens_per_s"]))
    click.echo("  " + " · ".join(parts))
