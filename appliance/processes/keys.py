"""The keys process: holds the master key, opens with passphrase or recovery key, hands out derived keys."""

import os
import signal
from collections.abc import Callable

from appliance import logs
from appliance.config import Settings
from appliance.errors import HakoError, PrivateFileError
from appliance.machine import peers
from appliance.vault import memory
from appliance.vault.keeper import Keeper
from appliance.vault.keyring import Keyring
from appliance.vault.server import KeysServer

log = logs.get(__name__)

_LONGEST_FILE = 4096
_WARNING = "NOT FOR REAL DATA: the passphrase lies beside the data, so the vault protects nothing"


def run(settings: Settings, ready: Callable[[], None]) -> None:
    """Serve until SIGTERM or SIGINT; `ready` is called once the socket answers.

    Raises:
        ConflictError: another keys process serves this data folder.
        PrivateFileError: others can read the development passphrase.
    """
    endings = {signal.SIGTERM, signal.SIGINT}
    signal.pthread_sigmask(signal.SIG_BLOCK, endings)  # before any thread starts: they inherit it
    memory.harden()
    keeper = Keeper(Keyring(settings.vault_file))
    server = KeysServer(settings.keys_socket, keeper, peers.is_own_or_root)
    if settings.development:
        _open_from_file(settings, keeper)
    try:
        server.start()
        ready()
        signal.sigwait(endings)
    finally:
        server.stop()
        keeper.seal()


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
