"""`hako update`: which release runs here, changing to one that was taken in, going back, the box's own check."""

import json
import sys

import click

from appliance import __version__
from appliance.accounts.permissions import Principal
from appliance.bundle.update import launch
from appliance.bundle.update.state import Phase, Places, Release, Update
from appliance.bundle.update.system_state import Standing, SystemPlaces
from appliance.bundle.update.updates import BY_OPERATOR
from appliance.cli import update_check
from appliance.cli.context import Terminal, reports_errors, say
from appliance.errors import NoReleaseError
from webui import locales


@click.group("update")
def group() -> None:
    """Change the box to another release of itself, and back."""


@group.command()
@click.pass_obj
@reports_errors
def status(terminal: Terminal) -> None:
    """Say which release runs and how the last update went. Works while the box is down, too."""
    places = Places.of(terminal.data_dir)
    update = places.read()
    running = places.release(places.current)
    click.echo(say("cli.update.running", version=running.version if running else __version__))
    for line in [*told(update), *told_of_system(SystemPlaces(places.root).standing())]:
        click.echo(line)


@group.command()
@click.option("--irreversible", is_flag=True, help="Agree that there is no way back from this release.")
@click.option("--yes", is_flag=True, help="Don't ask.")
@click.pass_obj
@reports_errors
def start(terminal: Terminal, *, irreversible: bool, yes: bool) -> None:
    """Change to the release that was taken in: the box stops, comes back with it, and keeps it if it is healthy."""
    with terminal.client() as client:
        ready = client.get("/update")["ready"]
        if ready is None:
            raise NoReleaseError
        if not yes:
            click.confirm(say("cli.update.sure", version=ready["version"]), abort=True)
        client.post("/update/start", {"digest": ready["digest"], "irreversible": irreversible})
    click.echo(say("cli.update.started", version=ready["version"]))


@group.command()
@click.option("--yes", is_flag=True, help="Don't ask.")
@click.pass_obj
@reports_errors
def rollback(terminal: Terminal, *, yes: bool) -> None:
    """Take back the release on trial, or go back to the one before."""
    places = Places.of(terminal.data_dir)
    if not yes:
        click.confirm(say("cli.update.back_sure"), abort=True)
    if places.read().is_trial:  # the box may be sealed, or not answer at all
        with places.held() as held:
            if held.now.is_trial:
                held.change(phase=Phase.ROLLING_BACK, reason=BY_OPERATOR, actor=Principal.system_operator().name)
    else:
        with terminal.client() as client:
            client.post("/update/rollback", {})
    click.echo(say("cli.update.going_back"))


@group.command()
@click.option("--json", "as_json", is_flag=True, help="One line for programs.")
@click.pass_obj
@reports_errors
def check(terminal: Terminal, *, as_json: bool) -> None:
    """Look at the running box as a client does: sign in, ask the model, have a document read, check the records."""
    seen = update_check.watched(terminal.settings())
    if as_json:
        click.echo(json.dumps({"failed": seen.failed, "code": seen.code}))
    else:
        for part in seen.passed:
            click.echo(f"✓ {say('cli.update.part_' + part)}")
        if seen.failed:
            click.echo(f"× {say('cli.update.part_' + seen.failed)}  {seen.code}")
        if seen.status == launch.SEALED:
            click.echo(say("cli.doctor.sealed"))
        if seen.status == launch.NOT_YET:
            click.echo(say("cli.doctor.not_running"))
    sys.exit(seen.status)


def told(update: Update) -> list[str]:
    """How far an update is or how it ended, in sentences; nothing where there was none."""
    target: Release = update.target
    if not target.name:
        return []
    lines = [say(f"cli.update.phase_{update.phase.value}", version=target.version)]
    if update.is_trial:
        lines.append(say("cli.update.boots", count=update.boots_left))
    if update.reason:
        lines.append(reason(update.reason))
    return lines


def told_of_system(standing: Standing | None) -> list[str]:
    """The system below the box, and what is on its way into the other slot; nothing where there are no slots."""
    if standing is None:
        return []
    lines = [say("cli.update.system", number=standing.running.number, slot=standing.slot)]
    if standing.wanted is not None and not standing.is_resting:
        lines.append(say(f"cli.update.system_{standing.phase}", number=standing.wanted.number))
    return lines


def reason(word: str) -> str:
    """Why a release was taken back."""
    key = f"cli.update.reason_{word}"
    known = key in locales.catalogue("en")
    return say(key) if known else say("cli.update.reason_other", word=word)
