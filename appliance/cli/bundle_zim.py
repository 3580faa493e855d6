"""`hako bundle zim`: the publisher makes a web snapshot of a ZIM file, for `hako bundle build --kind web`."""

from pathlib import Path

import click

from appliance.bundle.publish.web.zim_pages import ZimWish, convert
from appliance.cli.context import reports_errors, say
from appliance.cli.snapshots import MB, end, name_of, snapshot_options


@click.command("zim")
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@snapshot_options
@click.option("--site", default="", help="Address that its pages stand below; what the file names when left out.")
@click.option("--pages", type=click.IntRange(1, 100_000), default=100_000, show_default=True)
@click.option("--mb", type=click.IntRange(1, 100_000), default=2000, show_default=True, help="Of all pages, unpacked.")
@reports_errors
def zim(
    file: Path, into: Path, name: str, licence: str, terms: str, by: str, site: str, title_ja: str, title_en: str,
    pages: int, mb: int, file_mb: int,
) -> None:  # fmt: skip
    """Make a web snapshot of the pages in the ZIM file FILE. Pictures and films in it are left out."""
    wish = ZimWish(
        name=name_of(name),
        licence=licence,
        terms=terms,
        by=by,
        site=site,
        title_ja=title_ja,
        title_en=title_en,
        pages=pages,
        total_bytes=mb * MB,
        file_bytes=file_mb * MB,
    )
    end(convert(file, into, wish, lambda count: click.echo(say("cli.web.pages", count=count), err=True)))
