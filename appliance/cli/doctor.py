"""`hako doctor`: how the box is, in the terminal; also while it is sealed or doesn't run. Its support kit."""

import json
import os
import platform
import sys
import time
from pathlib import Path
from typing import Any, Final

import click

from appliance import __version__, clock, durable
from appliance.cli.client import BoxClient
from appliance.cli.context import Terminal, language, reports_errors, say
from appliance.cli.doctor_words import lines
from appliance.config import Settings
from appliance.errors import BoxNotRunningError, KitFileError, SealedError
from appliance.health import alone, told
from appliance.health.box.parts import Plain
from appliance.health.host import Host
from appliance.health.kit import kit as kits
from appliance.vault.client import KeysClient
from webui import locales

Json = dict[str, Any]

EXITS: Final = {"ok": 0, "unknown": 0, "warning": 1, "error": 2}
_FIRST_S: Final = 30.0
"""A box that has just been started has not looked at itself yet."""
_LOOK_S: Final = 60.0
"""What still hasn't been looked at then is shown as it was seen last."""
_POLL_S: Final = 0.5


@click.command()
@click.option("--look", is_flag=True, help="Have a running box look at everything anew first.")
@click.option("--json", "as_json", is_flag=True, help="Print it as JSON.")
@click.option(
    "--kit", type=click.Path(path_type=Path, dir_okay=False), help="Write a support kit into this ZIP instead."
)
@click.pass_obj
@reports_errors
def doctor(terminal: Terminal, kit: Path | None, *, look: bool, as_json: bool) -> None:
    """Tell how the box and its computer are. Ends with 0 if well, 1 with a warning, 2 with an error."""
    settings = terminal.settings()
    if kit is not None:
        _take(settings, kit)
        return
    how, found = _seen(settings, look=look)
    if as_json:
        click.echo(json.dumps({"box": how, **found}, ensure_ascii=False, indent=1))
    else:
        click.echo(
            say("cli.version", version=__version__) + f" · Python {platform.python_version()} · {platform.machine()}"
        )
        click.echo(say("cli.doctor.running" if how == "running" else f"cli.doctor.alone_{how}"))
        colour = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
        for line in lines(found, language(), with_colour=colour):
            click.echo(line, color=colour)
    sys.exit(EXITS[found["state"]])


def _seen(settings: Settings, *, look: bool) -> tuple[str, Json]:
    """How the box is: running, sealed or not running; and what is known of it."""
    try:
        return "running", _of_box(settings, look=look)
    except BoxNotRunningError:
        how = "not_running"
    except SealedError:
        how = "sealed"
    plain = _plain(settings)
    return how, told.looks([*alone.looks(plain, Host()), *alone.files(settings)], clock.now())


def _of_box(settings: Settings, *, look: bool) -> Json:
    with _client(settings) as client:
        asked = client.post("/health/look", {})["asked_at"] if look else ""
        until = clock.monotonic() + (_LOOK_S if look else _FIRST_S)
        while True:
            found: Json = client.get("/health")
            oldest = min((check["checked_at"] for check in found["checks"]), default="")
            if (oldest and oldest >= asked) or clock.monotonic() > until:
                return found
            time.sleep(_POLL_S)


def _take(settings: Settings, kit: Path) -> None:
    """A support kit, from the box where it runs and is open. Raises KitFileError."""
    try:
        whole = _written(settings, kit)
    except OSError as error:
        raise KitFileError(str(error), name=kit.name) from error
    click.echo(say("cli.doctor.kit" if whole else "cli.doctor.kit_alone", name=kit.name))


def _written(settings: Settings, kit: Path) -> bool:
    """Whether it could be had of the box."""
    try:
        with _client(settings) as client:
            client.download("/health/kit/file", kit)
    except (BoxNotRunningError, SealedError):
        made = kits.of_machine_alone(_plain(settings), Host(), _say)
        durable.replace(kit, made.packed())
        return False
    return True


def _say(wish: str, key: str) -> str:
    return locales.t(key, locales.choose(wish))


def _client(settings: Settings) -> BoxClient:
    if not settings.admin_socket.exists():
        raise BoxNotRunningError(str(settings.admin_socket))
    return BoxClient(settings, language())


def _plain(settings: Settings) -> Plain:
    return Plain(settings, KeysClient(settings.keys_socket).status, os.getpid())
