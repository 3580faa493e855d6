"""`hako publisher`: whose releases this machine installs. Only root's own hand at the machine changes that."""

import syslog
from typing import Final

import click

from appliance.bundle.trust.anchors import plain
from appliance.bundle.update.anchor import ANCHOR, MEMORY, RootsAnchor, fingerprint_of, on_stick
from appliance.cli.context import Terminal, demand_root, reports_errors, say
from appliance.cli.init import warn
from appliance.clock import iso
from appliance.config import Settings
from appliance.errors import NoPublisherError, PublisherTrustedError
from appliance.vault.client import KeysClient

_DIGITS: Final = 64
_GROUP: Final = 8


@click.command()
@click.option("--change", is_flag=True, help="Trust another one, whose root file lies on a stick.")
@click.pass_obj
@reports_errors
def publisher(terminal: Terminal, *, change: bool) -> None:
    """Show the publisher whose releases root installs, or change it with the vault's passphrase."""
    settings = terminal.settings()
    demand_root(settings)
    anchor = RootsAnchor(ANCHOR, MEMORY)
    try:
        trusted = fingerprint_of(anchor.trusted())
        click.echo(f"{say('cli.publisher.now')}\n  {_grouped(trusted)}")
    except NoPublisherError:
        trusted = ""
        click.echo(say("cli.publisher.none"))
    if change:
        _change(terminal, settings, anchor, trusted)


def _change(terminal: Terminal, settings: Settings, anchor: RootsAnchor, trusted: str) -> None:
    """What is on the stick isn't shown before its fingerprint was typed: what is on a screen would be copied."""
    media = settings.storage.media
    click.echo(say("cli.publisher.stick", folders=" ".join(map(str, media))))
    wanted = plain(click.prompt(say("cli.publisher.fingerprint")))
    if wanted == trusted:
        raise PublisherTrustedError(fingerprint=_grouped(trusted))
    root, described = on_stick(media, wanted)
    click.echo(say("cli.bundle.root", version=described.version, expires=iso(described.expires)[:10]))
    for name, (keys, threshold) in described.roles.items():
        click.echo(f"  {name:<10} {threshold}/{keys}")
    click.echo(f"{say('cli.bundle.fingerprint')}:\n  {_grouped(described.fingerprint)}")
    _prove(KeysClient(settings.keys_socket))
    with terminal.client() as client:
        warn(client)  # waits until the vault that may just have been opened is open for all
        client.post("/bundles/trust/machine", {"fingerprint": described.fingerprint, "replaces": trusted})
    anchor.replace(root)
    syslog.syslog(syslog.LOG_NOTICE, f"hako: publisher {trusted or 'none'} replaced by {described.fingerprint}")
    click.echo(say("cli.publisher.changed"))


def _prove(keys: KeysClient) -> None:
    """Whoever stands at the machine isn't yet whoever may change its publisher, even where the vault is open."""
    passphrase = click.prompt(say("cli.publisher.passphrase"), hide_input=True, default="", show_default=False)
    if passphrase:
        keys.unlock(passphrase)
    else:
        keys.recover(click.prompt(say("cli.unlock.recovery"), hide_input=True))


def _grouped(fingerprint: str) -> str:
    return " ".join(fingerprint[place : place + _GROUP] for place in range(0, _DIGITS, _GROUP))
