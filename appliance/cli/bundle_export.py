"""`hako bundle export-onnx`: from a publisher's Hugging Face folder to a model that the box's ONNX engine runs."""

import shlex
from pathlib import Path
from typing import Literal

import click

from appliance.cli.amounts import size
from appliance.cli.context import reports_errors, say
from appliance.errors import ExporterMissingError

_Folder = click.Path(path_type=Path, file_okay=False)


@click.command("export-onnx")
@click.argument("folder", type=_Folder)
@click.argument("out", type=_Folder)
@click.option("--licence", required=True, help="SPDX name.")
@click.option("--source", default="", help="Where the model comes from; the folder's name when left out.")
@click.option("--kind", type=click.Choice(["embedding", "reranker"]), help="What it is, if its files don't say.")
@click.option(
    "--quantise", type=click.Choice(["int8", "none"]), default="int8", show_default=True, help="How weights are stored."
)
@click.option("--pooling", type=click.Choice(["mean", "cls"]), help="How vectors of tokens become one, if not said.")
@click.option("--language", "languages", multiple=True, help="A language that it is good at, e.g. ja; may be repeated.")
@click.option("--query-prefix", help="Put before a question by an embedding model.")
@click.option("--passage-prefix", help="Put before a passage by an embedding model.")
@reports_errors
def export_onnx(
    folder: Path,
    out: Path,
    licence: str,
    source: str,
    kind: Literal["embedding", "reranker"] | None,
    quantise: Literal["int8", "none"],
    pooling: Literal["mean", "cls"] | None,
    languages: tuple[str, ...],
    query_prefix: str | None,
    passage_prefix: str | None,
) -> None:
    """Make the ONNX folder OUT from the Hugging Face folder FOLDER: BERT and (XLM-)RoBERTa, for vectors or scores."""
    try:
        from appliance.bundle.export import exporting, likeness  # onnx is there only where models are built
    except ModuleNotFoundError as error:
        raise ExporterMissingError(str(error.name)) from error

    wish = exporting.Wish(
        folder=folder,
        out=out,
        licence=licence,
        source=source,
        quantise=quantise,
        kind=kind,
        pooling=pooling,
        languages=languages,
        query_prefix=query_prefix,
        passage_prefix=passage_prefix,
    )
    with exporting.Export(wish) as export:
        click.echo(say(f"cli.export.{export.kind}", pooling=export.pooling or ""))
        if not export.can_be_imported:
            click.echo(say("cli.export.vocabulary"))
        done = export.write()
    if done.cosine is not None:
        click.echo(say("cli.export.cosine", cosine=f"{done.cosine:.4f}", least=f"{likeness.LEAST_COSINE:.2f}"))
    millions = f"{done.parameters / 1e6:.1f}"
    click.echo(say("cli.export.written", name=out.name, size=size(done.size), millions=millions))
    if done.model:
        command = shlex.join(["hako", "models", "import", str(out), "--licence", licence])
        click.echo(say("cli.export.import", model=done.model, command=command))
