"""`hako serve`: the whole box under one supervisor, in the foreground."""

import fcntl
import os
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from appliance import __version__, clock, config, logs
from appliance.bundle import provision
from appliance.bundle.update import launch
from appliance.bundle.update.state import Places
from appliance.cli import ask, audit, init, update
from appliance.cli import container as in_container
from appliance.cli.client import BoxClient
from appliance.cli.context import Terminal, language, reports_errors, say
from appliance.config import Settings
from appliance.errors import AlreadyRunningError, NotInitialisedError, PortTakenError, UnitsError
from appliance.image.box import starter
from appliance.machine import erasing
from appliance.processes import egress
from appliance.processes.supervise import Supervisor, names
from appliance.vault.client import KeysClient
from webui import locales

_START_S = {"keys": 20.0, "inference": 60.0, "worker": 30.0, "health": 30.0, "web": 30.0}
_SAMPLES_S = 300.0


@click.command()
@click.option("--development", is_flag=True, help="Loopback only, vault opened from a file, sample documents loaded.")
@click.option(
    "--container", is_flag=True, help="As in a container: settings and certificate made once, log to the terminal."
)
@click.option(
    "--name", "known_as", multiple=True, envvar="HAKO_NAMES", help="Of the host, at the first start of a container."
)
@click.option("--no-question", is_flag=True, help="Don't ask the sample question after the start.")
@click.pass_obj
@reports_errors
def serve(
    terminal: Terminal, *, development: bool, container: bool, known_as: tuple[str, ...], no_question: bool
) -> None:
    """Start the box and stay until Ctrl-C."""
    began = clock.monotonic()
    os.umask(0o077)
    if container:
        in_container.settle(terminal.data_dir, known_as)
        _run(terminal.data_dir, began, development=False, question=False)
        return
    options = [*(["--development"] if development else []), *(["--no-question"] if no_question else [])]
    launch.hand_over(terminal.data_dir, options)
    if not _run(terminal.data_dir, began, development=development, question=not no_question):
        launch.hand_over(terminal.data_dir, options)


def _run(data_dir: Path, began: float, *, development: bool, question: bool) -> bool:
    """Until somebody ends it, or another release is to follow; whether it was somebody."""
    settings = _settings(data_dir, development=development)
    with only_one(settings):
        if erasing.is_wished(settings.data_dir):  # it was cut off
            erasing.erase(settings.data_dir)
            init.prepare(settings)
        _check_ports(settings)
        log_file = None if settings.container else settings.data_dir / "log" / "hako.log"
        logs.configure("serve", "WARNING")
        stop = _Signals()
        supervisor = Supervisor(settings.data_dir, log_file, needs={"egress": lambda: egress.is_wanted(settings)})
        try:
            _start(settings, supervisor, stop)
            if not stop.is_set():
                _welcome(settings, stop, seconds=clock.monotonic() - began, question=question)
                supervisor.watch(
                    lambda: stop.is_set() or (not settings.container and launch.is_to_make_way(settings.data_dir)),
                    lambda name: click.echo(say("cli.serve.restarted", name=name)),
                )
        finally:
            click.echo(say("cli.serve.stopping"))
            supervisor.stop()
            click.echo(say("cli.serve.stopped"))
    return stop.is_set()


class _Signals:
    """Ctrl-C and SIGTERM as a flag; a second Ctrl-C interrupts at once."""

    def __init__(self) -> None:
        self._set = False
        signal.signal(signal.SIGINT, self._take)
        signal.signal(signal.SIGTERM, self._take)

    def _take(self, _number: int, _frame: object) -> None:
        if self._set:
            raise KeyboardInterrupt
        self._set = True

    def is_set(self) -> bool:
        """Whether the box should stop."""
        return self._set


def _settings(data_dir: Path, *, development: bool) -> Settings:
    """The settings; `--development` writes them once, since every process reads them itself."""
    file = data_dir / "hako.toml"
    if development and not file.exists():
        data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        file.write_text("# Made by `hako serve --development`.\ndevelopment = true\n", "utf-8")
    settings = config.load(data_dir=data_dir)
    if settings.accounts.are_separate:
        raise UnitsError
    init.prepare(settings)
    if not settings.vault_file.exists() and not settings.development and not settings.container:
        raise NotInitialisedError
    return settings


@contextmanager
def only_one(settings: Settings) -> Iterator[None]:
    """Two boxes on one data folder would fight over its sockets. Raises AlreadyRunningError."""
    with (settings.run_dir / "serve.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise AlreadyRunningError(name=str(settings.data_dir)) from error
        yield


def _check_ports(settings: Settings) -> None:
    for listener, port in settings.web.ports.items():
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((settings.web.host, port))
            except OSError as error:
                name = "web.port" if listener == "main" else f"web.{listener}_port"
                raise PortTakenError(str(error), port=port, name=name) from error


def _start(settings: Settings, supervisor: Supervisor, stop: _Signals) -> None:
    click.echo(say("cli.serve.starting", version=__version__, folder=str(settings.data_dir)))
    before = Places.of(settings.data_dir).read()
    if before.is_trial or before.reason:
        for line in update.told(before):
            click.secho("  " + line, fg="yellow")
    built = starter.BUILT if settings.container else config.REPOSITORY / ".build" / "models"
    if (settings.development or settings.container) and settings.models_dir is None and built.is_dir():
        for name in provision.install(built, settings.models):
            click.echo("  " + say("cli.serve.model", name=name))
    for name in names():
        if stop.is_set():
            return
        seconds = supervisor.start(name, _START_S[name])
        click.echo("  " + say("cli.serve.ready", name=name, seconds=f"{seconds:.1f}"))
        if name == "keys":
            _open_vault(settings)


def _open_vault(settings: Settings) -> None:
    keys = KeysClient(settings.keys_socket)
    if settings.development and not keys.status().exists:
        keys.create(init.development_passphrase(settings))
        click.echo("  " + say("cli.serve.vault_made"))
    if settings.development:
        click.secho("  " + say("cli.serve.development", file=str(settings.passphrase_file)), fg="yellow")


def _welcome(settings: Settings, stop: _Signals, *, seconds: float, question: bool) -> None:
    if settings.container:
        in_container.welcome(settings)
        return
    url = settings.web.url
    if KeysClient(settings.keys_socket).status().sealed:
        click.echo(say("cli.serve.sealed", url=url))
        click.echo(say("cli.serve.stop"))
        return
    with BoxClient(settings, language()) as client:
        click.echo(say("cli.serve.up", url=url, seconds=f"{seconds:.1f}"))
        audit.warn(client)
        if question and settings.development and settings.samples and _wait_for_samples(client, stop):
            _first_questions(client)
        invitation = client.post("/setup-link", {})
    click.echo()
    click.secho(say("cli.serve.open", url=url), bold=True)
    if invitation["path"]:
        click.secho(say("cli.serve.setup", url=url + invitation["path"]), bold=True)
        click.echo(say("cli.serve.code", code=invitation["code"]))
    click.echo(say("cli.serve.stop"))


def _wait_for_samples(client: BoxClient, stop: _Signals) -> bool:
    """True once every sample document can be searched; progress in between."""
    until = clock.monotonic() + _SAMPLES_S
    told = -1
    while clock.monotonic() < until and not stop.is_set():
        bases = [base for base in client.get("/bases")["items"] if base["system"]]
        documents = [item for base in bases for item in client.get(f"/bases/{base['id']}/documents")["items"]]
        open_ones = [item for item in documents if item["state"] in ("waiting", "working")]
        if documents and not open_ones:
            return True
        done = len(documents) - len(open_ones)
        if documents and done != told:
            told = done
            click.echo("  " + say("cli.serve.samples", done=done, total=len(documents)))
        time.sleep(0.5)
    return False


def _first_questions(client: BoxClient) -> None:
    """One question in the terminal's language; one in English too if no model wrote the first answer."""
    if _asked(client, say("cli.serve.question")) != "generated" and language() != "en":
        _asked(client, locales.t("cli.serve.question", "en"))


def _asked(client: BoxClient, question: str) -> str:
    """Ask, print the answer with its sources and figures, and tell how it came about."""
    click.echo()
    click.secho("? " + question, bold=True)
    answer = ask.stream(client, {"question": question})
    ask.print_answer(answer)
    return str(answer["mode"])
