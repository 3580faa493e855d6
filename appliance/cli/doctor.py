"""`hako doctor`: look at the box from the terminal, running or not."""

import os
import platform
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import click

from appliance import __version__
from appliance.bundle.update.state import Places
from appliance.cli.client import BoxClient
from appliance.cli.context import Terminal, language, reports_errors, say
from appliance.cli.update import told
from appliance.config import Settings
from appliance.errors import AuditBrokenError, HakoError, KeysUnreachableError, ModelNotFoundError
from appliance.gateway.aliases import Aliases
from appliance.gateway.destinations import Destinations
from appliance.inference import extras, flavour, genai, legacy, manifest
from appliance.inference.catalog import Catalog
from appliance.inference.verify import verify_files
from appliance.vault.client import KeysClient
from webui import locales

_SIGNS = {"ok": "✓", "warning": "!", "error": "×", "unknown": "?"}
_LOW_DISK_BYTES = 2 << 30


_State = Literal["ok", "warning", "error", "unknown"]


@dataclass(frozen=True)
class _Seen:
    state: _State
    text: str


@click.command()
@click.pass_obj
@reports_errors
def doctor(terminal: Terminal) -> None:
    """Check this machine, the data folder and, if it runs, the box."""
    settings = terminal.settings()
    click.echo(
        say("cli.version", version=__version__) + f" · Python {platform.python_version()} · {platform.machine()}"
    )
    worst = "ok"
    checks = (_disk, _update, _permissions, _flavour, _legacy, _genai, _models, _destinations, _vault, _box)
    for check in checks:
        for seen in _safely(check, settings):
            click.echo(f"{_SIGNS[seen.state]} {seen.text}")
            worst = "error" if seen.state == "error" else worst
    sys.exit(1 if worst == "error" else 0)


def _safely(check: Callable[[Settings], Iterator[_Seen]], settings: Settings) -> Iterator[_Seen]:
    try:
        yield from check(settings)
    except HakoError as error:
        yield _Seen("error", f"{locales.sentence(error, language())}  {error.code}")


def _disk(settings: Settings) -> Iterator[_Seen]:
    folder = settings.data_dir if settings.data_dir.exists() else settings.data_dir.parent
    free = shutil.disk_usage(folder).free
    state: Literal["ok", "warning"] = "warning" if free < _LOW_DISK_BYTES else "ok"
    yield _Seen(state, say("cli.doctor.disk", free_gb=f"{free / 1e9:.1f}"))


def _permissions(settings: Settings) -> Iterator[_Seen]:
    if not settings.data_dir.exists():
        yield _Seen("unknown", say("cli.doctor.no_data", folder=str(settings.data_dir)))
        return
    open_to_others = settings.data_dir.stat().st_mode & (0o007 if settings.accounts.are_separate else 0o077)
    if open_to_others:
        yield _Seen("error", say("cli.doctor.readable", folder=str(settings.data_dir)))
    else:
        yield _Seen("ok", say("cli.doctor.private", folder=str(settings.data_dir)))
    if settings.passphrase_file.exists():
        yield _Seen("warning", say("cli.serve.development", file=str(settings.passphrase_file)))


def _update(settings: Settings) -> Iterator[_Seen]:
    """Nothing where there was no update, or the last one is kept."""
    update = Places.of(settings.data_dir).read()
    if update.is_trial or update.reason:
        yield _Seen("warning", " ".join(told(update)))


def _flavour(_settings: Settings) -> Iterator[_Seen]:
    flavours = flavour.installed()
    if flavour.is_sound(flavours):
        yield _Seen("ok", say("cli.doctor.flavour", flavour=flavours[0]))
    else:
        yield _Seen("error", say("cli.doctor.flavours", count=len(flavours)))


def _legacy(_settings: Settings) -> Iterator[_Seen]:
    version = legacy.version()
    yield _Seen("ok", say("cli.doctor.legacy", version=version) if version else say("cli.doctor.no_legacy"))


def _genai(_settings: Settings) -> Iterator[_Seen]:
    found = genai.installed()
    if not found:
        yield _Seen("ok", say("cli.doctor.no_genai"))
    elif tuple(found) == flavour.installed():
        yield _Seen("ok", say("cli.doctor.genai", version=genai.version(), flavour=flavour.installed()[0]))
    else:
        yield _Seen("error", say("cli.doctor.genai_mixed", flavours=" + ".join(found)))


def _models(settings: Settings) -> Iterator[_Seen]:
    folders = sorted(settings.models.iterdir()) if settings.models.is_dir() else []
    if not folders:
        yield _Seen("warning", say("cli.doctor.no_models"))
    for folder in folders:
        found = manifest.read(folder)
        verify_files(folder, found)
        if missing := extras.missing(found.engine, found.name):
            raise missing
        yield _Seen("ok", say("cli.doctor.model", name=found.id))
    catalog = Catalog(settings.models)
    ranker = Aliases(settings.model_aliases, catalog).resolve(settings.inference.reranker_model)
    if ranker and not catalog.has(ranker):
        raise ModelNotFoundError(name=ranker)


def _destinations(settings: Settings) -> Iterator[_Seen]:
    """Nothing where none is named, which is the rule; the error of a list that can't be read."""
    named = Destinations(settings.destinations).known()
    if named:
        yield _Seen("warning", say("cli.doctor.destinations", names=", ".join(named)))


def _vault(settings: Settings) -> Iterator[_Seen]:
    try:
        status = KeysClient(settings.keys_socket).status()
    except KeysUnreachableError:
        yield _Seen("unknown", say("cli.doctor.not_running"))
        return
    yield _Seen(
        "warning" if status.sealed else "ok", say("cli.doctor.sealed" if status.sealed else "cli.doctor.unsealed")
    )
    if not status.recovery_confirmed:
        yield _Seen("warning", say("cli.doctor.recovery"))


def _backup(seen: Mapping[str, Any] | None) -> Iterator[_Seen]:
    """Backups by the clock: on, and made in time?"""
    if seen is None:
        return
    states: dict[str, _State] = {"ok": "ok", "failed": "error"}
    day = str(seen["made_at"] or "–")[:16]
    yield _Seen(states.get(seen["state"], "warning"), say(f"cli.doctor.backup_{seen['state']}", made=day))


def _box(settings: Settings) -> Iterator[_Seen]:
    if not settings.admin_socket.exists():
        return
    with BoxClient(settings, language()) as client:
        for item in client.get("/models")["items"]:
            failed = item["state"] in ("failed", "quarantined")
            text = f"{item['id']}: {say('cli.models.' + item['state'])} ({item['provider'] or '–'})"
            yield _Seen("error" if failed else "ok", text)
        log = client.get("/audit/verify")
        if log["sound"]:
            yield _Seen("ok", say("cli.doctor.audit", number=log["newest"]["number"] if log["newest"] else 0))
        else:
            raised = AuditBrokenError(count=sum(not found["accepted"] for found in log["findings"]))
            yield _Seen("error", f"{locales.sentence(raised, language())}  {raised.code}")
        seen = client.get("/state")
        yield from _backup(seen.get("backup"))
        gap = seen["gap"]["state"]
        state: Literal["ok", "warning", "unknown"] = {"closed": "ok", "open": "warning"}.get(gap, "unknown")  # type: ignore[assignment]
        yield _Seen(state, say(f"cli.doctor.gap.{gap}"))
    yield _Seen("ok", say("cli.doctor.threads", cores=os.cpu_count() or 1))
