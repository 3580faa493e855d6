"""`hako bundle zim`: the publisher makes a web snapshot of a ZIM file, for `hako bundle build --kind web`."""

from pathlib import Path

import click

from appliance.bundle.publish.web.zim_pages import ZimWish, convert
from appliance.cli.bundle_web import MB, end, name_of
from appliance.cli.context import reports_errors, say


@click.command("zim")
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--into", type=click.Path(path_type=Path, file_okay=False), required=True, help="Folder for `build`.")
@click.option("--name", required=True, help="Of the snapshot: small letters, digits and hyphens.")
@click.option("--licence", required=True, help="SPDX name, or the words of the site.")
@click.option("--terms", default="", help="Address of the terms of use, or who has allowed it.")
@click.option("--by", default="", help="Who has it made.")
@click.option("--site", default="", help="Address that its pages stand below; what the file names when left out.")
@click.option("--title-ja", default="", help="Title in Japanese; the file's when left out.")
@click.option("--title-en", default="", help="Title in English; the file's when left out.")
@click.option("--pages", type=click.IntRange(1, 100_000), default=100_000, show_default=True)
@click.option("--mb", type=click.IntRange(1, 100_000), default=2000, show_default=True, help="Of all pages, unpacked.")
@click.option("--file-mb", type=click.IntRange(1, 64), default=20, show_default=True, help="Of one page or file.")
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
