"""`hako bundle web`: the publisher captures pages of a web site, for `hako bundle build --kind web`."""

from pathlib import Path

import click

from appliance.bundle.publish.web.capture import capture
from appliance.bundle.publish.web.journal import Done, Wish
from appliance.cli.context import reports_errors, say
from appliance.cli.snapshots import MB, end, name_of, snapshot_options
from appliance.errors import BadInputError
from appliance.warc import urls

_KINDS = ("html", "text", "pdf", "image", "css")


@click.command()
@click.argument("addresses", metavar="URL…", nargs=-1, required=True)
@snapshot_options
@click.option("--depth", type=click.IntRange(0, 100), default=1, show_default=True, help="Links to follow in a row.")
@click.option("--pages", type=click.IntRange(1, 100_000), default=100, show_default=True)
@click.option("--mb", type=click.IntRange(1, 100_000), default=200, show_default=True, help="In all.")
@click.option("--minutes", type=click.IntRange(1, 10_000), default=60, show_default=True, help="Of this run.")
@click.option("--delay", type=click.FloatRange(0, 60), default=1.0, show_default=True, help="Seconds between requests.")
@click.option("--types", default="html,text,pdf", show_default=True, help=f"Of {', '.join(_KINDS)}.")
@click.option("--user-agent", default="hako-capture", show_default=True, help="How it calls itself.")
@click.option("--allow-private", is_flag=True, help="Also from this machine and its network.")
@reports_errors
def web(
    addresses: tuple[str, ...], into: Path, name: str, licence: str, terms: str, by: str, title_ja: str, title_en: str,
    depth: int, pages: int, mb: int, file_mb: int, minutes: int, delay: float, types: str, user_agent: str,
    *, allow_private: bool,
) -> None:  # fmt: skip
    """Capture the pages at URL… and what they link to on the same hosts; one that was cut off is gone on with."""
    kinds = tuple(sorted({kind.strip() for kind in types.split(",")}))
    wish = Wish(
        name=name_of(name),
        starts=tuple(dict.fromkeys(_start(address) for address in addresses)),
        kinds=kinds,
        depth=depth,
        pages=pages,
        total_bytes=mb * MB,
        file_bytes=file_mb * MB,
        seconds=minutes * 60,
        delay_s=delay,
        agent=user_agent,
        by=by,
        licence=licence,
        terms=terms,
        title_ja=title_ja,
        title_en=title_en,
        allow_private=allow_private,
    )
    if not set(kinds) <= set(_KINDS) or not kinds:
        raise BadInputError(field="types")
    if not user_agent.isascii() or not user_agent.isprintable() or not user_agent.strip():
        raise BadInputError(field="user-agent")
    end(capture(into, wish, _tell))


def _tell(done: Done) -> None:
    if done.robots == "unreachable":
        click.echo(say("cli.web.robots_unreachable", url=done.url), err=True)
    elif done.why is not None:
        click.echo(f"- {done.url}  {say(f'cli.web.why_{done.why}')}", err=True)
    elif done.kept and not done.part:
        click.echo(f"+ {done.url}")


def _start(address: str) -> str:
    plain = urls.plain(address)
    if plain is None:
        raise BadInputError(field="URL")
    return plain
