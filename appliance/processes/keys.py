"""The keys process: holds the master key, opens with passphrase or recovery key, hands out derived keys."""

import os
import signal
from pathlib import Path
from typing import Final

from appliance import logs
from appliance.config import Settings
from appliance.errors import HakoError, PrivateFileError
from appliance.machine import peers
from appliance.processes.notify import Notifier
from appliance.vault import memory
from appliance.vault.client import KeysClient
from appliance.vault.keeper import Keeper
from appliance.vault.keyring import Keyring
from appliance.vault.server import KeysServer

log = logs.get(__name__)

CREDENTIAL: Final = "hako-passphrase"
"""Its name among systemd's credentials."""
_LONGEST_FILE = 4096
_WARNING = "NOT FOR REAL DATA: the passphrase lies beside the data, so the vault protects nothing"


def run(settings: Settings, notifier: Notifier) -> None:
    """Serve until SIGTERM or SIGINT; ready once the socket answers.

    Raises:
        ConflictError: another keys process serves this data folder.
        PrivateFileError: others can read the development passphrase.
        AccountError: an account that may ask is not there.
    """
    endings = {signal.SIGTERM, signal.SIGINT}
    signal.pthread_sigmask(signal.SIG_BLOCK, endings)  # before any thread starts: they inherit it
    memory.harden()
    keeper = Keeper(Keyring(settings.vault_file))
    allowed = peers.allowing(settings.accounts.web, settings.accounts.worker)
    server = KeysServer(settings.keys_socket, keeper, allowed)
    if settings.development:
        _open_from_file(settings, keeper)
    else:
        _open_from_credential(settings, keeper)
    try:
        server.start()
        notifier.ready()
        notifier.watch(lambda: _answers(settings))
        signal.sigwait(endings)
    finally:
        server.stop()
        keeper.seal()


def _answers(settings: Settings) -> bool:
    """Whether this process does, as others see it."""
    try:
        KeysClient(settings.keys_socket).status()
    except HakoError:
        return False
    return True


def _open_from_credential(settings: Settings, keeper: Keeper) -> None:
    """The passphrase that systemd has unsealed by the TPM, where there is one. One that doesn't fit is for a person."""
    folder = os.environ.get("CREDENTIALS_DIRECTORY")
    if not folder or not settings.vault_file.exists():
        return
    try:
        passphrase = Path(folder, CREDENTIAL).read_text("utf-8").strip("\r\n")
    except FileNotFoundError:
        return
    except (OSError, UnicodeDecodeError) as error:
        log.warning("credential_unreadable", reason=type(error).__name__)
        return
    try:
        keeper.unlock(passphrase)
    except HakoError as error:
        log.warning("credential_does_not_open", code=error.code, detail=error.detail)
        return
    log.info("opened_by_credential")


def _open_from_file(settings: Settings, keeper: Keeper) -> None:
    """Development only. A passphrase that doesn't fit leaves the vault sealed, to be opened by hand."""
    if not settings.passphrase_file.exists() or not settings.vault_file.exists():
        return
    passphrase = _read_private(settings)
    try:
        keeper.unlock(passphrase)
    except HakoError as error:
        log.warning("development_passphrase_does_not_open", code=error.code, detail=error.detail)
        return
    log.warning("development_mode", file=str(settings.passphrase_file), warning=_WARNING)


def _read_private(settings: Settings) -> str:
    name = settings.passphrase_file.name
    try:
        descriptor = os.open(settings.passphrase_file, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise PrivateFileError(str(error), name=name) from error
    with os.fdopen(descriptor, "rb") as file:
        found = os.fstat(file.fileno())
        if found.st_mode & 0o077 or found.st_uid not in {0, os.geteuid()}:
            raise PrivateFileError(f"mode {found.st_mode & 0o777:o}", name=name)
        content = file.read(_LONGEST_FILE)
    return content.decode(errors="replace").strip("\r\n")
