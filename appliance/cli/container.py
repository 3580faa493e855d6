"""A box in a container: what `hako serve --container` sees to before its processes start, and what it says then."""

import os
import re
import socket
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final

import click

from appliance import config, durable, modes
from appliance.cli.client import BoxClient
from appliance.cli.context import Terminal, language, reports_errors, say
from appliance.config import Settings
from appliance.errors import ContainerDataError, ContainerSettingsError
from appliance.health.checks.sandbox import SandboxCheck
from appliance.health.host import Host
from appliance.image.box import certificate
from appliance.vault.client import KeysClient

_TLS: Final = "tls"
_FIRST: Final = """\
# Made at the first start of this container. All settings: the manual, "Operating the box".
container = true

[web]
host = "0.0.0.0"
port = 4256
names = {names}
tls_certificate = {certificate}
tls_key = {key}
"""
_NUMBERED: Final = re.compile(r"[0-9a-f]{12}")
"""The name that a runtime gives a container that has none."""
_NAME: Final = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")


def settle(data: Path, names: Sequence[str]) -> None:
    """Settings and certificate, at each start. `names`: by which people reach it, taken at the first one alone.

    Raises:
        ContainerDataError: the folder isn't this account's.
        ContainerSettingsError: the settings there are another kind of box's.
        ConfigError: they can't be used.
        ImageStepError: the certificate couldn't be made.
    """
    try:
        data.mkdir(mode=modes.folder(), parents=True, exist_ok=True)
        is_ours = data.stat().st_uid == os.geteuid() and os.access(data, os.W_OK | os.X_OK)
    except OSError:
        is_ours = False
    if not is_ours:
        raise ContainerDataError(name=str(data), account=os.geteuid())
    file, tls = data / "hako.toml", data / _TLS
    if not file.exists():
        quoted = ", ".join(map(_quoted, names))
        made = _FIRST.format(
            names=f"[{quoted}]", certificate=_quoted(str(tls / "box.pem")), key=_quoted(str(tls / "box.key"))
        )
        durable.replace(file, made.encode(), mode=modes.file())
    settings = config.load(data_dir=data)
    if not settings.container:
        raise ContainerSettingsError(name=str(file))
    if settings.web.tls_certificate == tls / "box.pem":
        found = list(settings.web.names)
        numbers = [name for name in found if config.is_address(name)]
        certificate.make(tls, lambda: sorted({*certificate.addresses(), *numbers}), also=list(_local(found)))


def _quoted(text: str) -> str:
    """As TOML has it."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _local(names: Sequence[str]) -> Iterator[str]:
    """Names that the box's own authority may sign: those that end with `.local`."""
    host = socket.gethostname().lower()
    if _NAME.fullmatch(host) and not _NUMBERED.fullmatch(host):
        yield f"{host}.local"
    yield from (name.lower() for name in names if name.lower().endswith(".local"))


def welcome(settings: Settings, tell: Callable[[str], None] = click.echo) -> None:
    """What the container's log says once the box answers: the way in, and what of the sandbox doesn't hold."""
    tell(say("cli.container.pages", port=settings.web.port))
    if settings.web.tls_certificate is not None:
        tell(say("cli.install.fingerprint", fingerprint=certificate.fingerprint(settings.web.tls_certificate)))
    for finding in SandboxCheck().look(Host()).findings:
        tell(say("cli.container.sandbox", missing=str(finding.params["missing"]), code=finding.code))
    if not settings.vault_file.exists():
        with BoxClient(settings, language()) as client:
            tell(say("cli.container.code", code=client.post("/first-setup", {})["code"]))
    elif KeysClient(settings.keys_socket).status().sealed:
        tell(say("cli.container.sealed"))
    sys.stdout.flush()  # nobody reads a container's log line by line otherwise


@click.command("setup-code")
@click.pass_obj
@reports_errors
def setup_code(terminal: Terminal) -> None:
    """Print a new set-up code for first set-up; the one before is then worthless."""
    first = "/setup-link" if terminal.settings().vault_file.exists() else "/first-setup"
    with terminal.client() as client:
        code = client.post(first, {})["code"]
    click.echo(say("cli.serve.code", code=code) if code else say("cli.container.set_up"))
