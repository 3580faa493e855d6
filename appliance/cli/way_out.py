"""`hako way-out`: whether anything may leave this machine at all. Only root's own hand at the machine changes that."""

import syslog

import click

from appliance.cli.context import Terminal, demand_root, reports_errors, say
from appliance.errors import HakoError, WayOutError
from appliance.health.airgap import way_out as gate
from appliance.machine.gap import WAY_OUT


@click.command("way-out")
@click.option("--open/--shut", "wish", default=None, help="Let named destinations be reached, or nothing.")
@click.pass_obj
@reports_errors
def way_out(terminal: Terminal, *, wish: bool | None) -> None:
    """Show whether this machine may reach the destinations that are named, or change it."""
    settings = terminal.settings()
    demand_root(settings)
    try:
        if wish:
            _record(terminal, is_open=True)
            gate.open_up(WAY_OUT)
        elif wish is False:
            gate.shut(settings.data_dir, WAY_OUT)
    except OSError as error:
        raise WayOutError(str(error)) from error
    if wish is False:
        try:
            _record(terminal, is_open=False)
        except HakoError:  # shutting it must go even where nothing can be recorded
            click.echo(say("cli.way_out.not_recorded"), err=True)
    click.echo(say("cli.way_out.open" if WAY_OUT.exists() else "cli.way_out.shut"))


def _record(terminal: Terminal, *, is_open: bool) -> None:
    with terminal.client() as client:
        client.post("/machine/way-out", {"open": is_open})
    syslog.syslog(syslog.LOG_NOTICE, f"hako: way out {'opened' if is_open else 'shut'}")
