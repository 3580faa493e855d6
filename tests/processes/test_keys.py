"""The keys process as it really runs: started, killed, told to stop, fed from a file, asked by a stranger."""

import multiprocessing
import os
import resource
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from appliance.errors import KeysUnreachableError, NotReadyError, SealedError
from appliance.processes.supervise import Supervisor
from appliance.vault.client import KeysClient, VaultStatus
from appliance.vault.keyring import Keyring
from appliance.vault.passphrase import Cost
from tests.simulators import nursery

PASSPHRASE = "正しい馬の電池と留め金"
START_S = 60.0
NOBODY = 65534


@pytest.fixture
def data_dir() -> Iterator[Path]:
    """Short enough for unix sockets."""
    folder = Path(tempfile.mkdtemp(prefix="hako-"))
    (folder / "run").mkdir(mode=0o700)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def supervisor(data_dir: Path) -> Iterator[Supervisor]:
    supervisor = Supervisor(data_dir, data_dir / "keys.log")
    yield supervisor
    supervisor.stop()


@pytest.fixture
def client(data_dir: Path) -> KeysClient:
    return KeysClient(data_dir / "run" / "keys.sock")


def logged(data_dir: Path) -> str:
    return (data_dir / "keys.log").read_text("utf-8")


def make_development_box(data_dir: Path, mode: int) -> None:
    (data_dir / "hako.toml").write_text("development = true\n", "utf-8")
    Keyring(data_dir / "vault.json", Cost(8, 1)).create(PASSPHRASE)
    (data_dir / "dev-passphrase").write_text(PASSPHRASE + "\n", "utf-8")
    (data_dir / "dev-passphrase").chmod(mode)


def test_kill_9_seals_the_vault_and_the_same_keys_come_back(
    supervisor: Supervisor, client: KeysClient, data_dir: Path
) -> None:
    supervisor.start("keys", START_S)
    client.create(PASSPHRASE)
    recovery_key = client.new_recovery()
    database = client.derive("database")
    os.kill(supervisor.pids()["keys"], signal.SIGKILL)
    supervisor.stop()
    with pytest.raises(KeysUnreachableError):
        client.status()
    assert (data_dir / "run" / "keys.sock").exists()

    supervisor.start("keys", START_S)
    assert client.status() == VaultStatus(exists=True, sealed=True, recovery_confirmed=False)
    with pytest.raises(SealedError):
        client.derive("database")
    client.recover(recovery_key)
    assert client.derive("database") == database
    seen = logged(data_dir)
    for secret in (PASSPHRASE, recovery_key, database.hex()):
        assert secret not in seen


def test_told_to_stop_it_takes_its_socket_along(supervisor: Supervisor, client: KeysClient, data_dir: Path) -> None:
    supervisor.start("keys", START_S)
    assert (data_dir / "run" / "keys.sock").stat().st_mode & 0o777 == 0o600
    os.kill(supervisor.pids()["keys"], signal.SIGINT)
    supervisor.stop()
    assert not (data_dir / "run" / "keys.sock").exists()


def test_a_second_keys_process_is_refused_and_the_first_goes_on(
    supervisor: Supervisor, client: KeysClient, data_dir: Path
) -> None:
    supervisor.start("keys", START_S)
    client.create(PASSPHRASE)
    second = subprocess.run(
        [sys.executable, "-m", "appliance.processes", "keys", "--data-dir", str(data_dir)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert second.returncode == 1
    assert "HK-BOX-009" in second.stderr
    assert not client.status().sealed


def test_it_gives_up_core_dumps_where_its_parent_may_have_them(supervisor: Supervisor) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (hard, hard))
    try:
        supervisor.start("keys", START_S)
    finally:
        resource.setrlimit(resource.RLIMIT_CORE, (soft, hard))
    assert resource.prlimit(supervisor.pids()["keys"], resource.RLIMIT_CORE) == (0, 0)


def test_in_development_the_vault_is_opened_from_the_file_with_a_warning(
    supervisor: Supervisor, client: KeysClient, data_dir: Path
) -> None:
    make_development_box(data_dir, 0o600)
    supervisor.start("keys", START_S)
    assert not client.status().sealed
    assert "development_mode" in logged(data_dir)
    assert PASSPHRASE not in logged(data_dir)


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o602])
def test_a_passphrase_file_that_others_can_read_is_refused(
    supervisor: Supervisor, client: KeysClient, data_dir: Path, mode: int
) -> None:
    make_development_box(data_dir, mode)
    with pytest.raises(NotReadyError):
        supervisor.start("keys", START_S)
    assert "HK-BOX-010" in logged(data_dir)
    with pytest.raises(KeysUnreachableError):
        client.status()


def test_a_passphrase_file_that_does_not_fit_leaves_the_vault_sealed(
    supervisor: Supervisor, client: KeysClient, data_dir: Path
) -> None:
    make_development_box(data_dir, 0o600)
    (data_dir / "dev-passphrase").write_text("another passphrase\n", "utf-8")
    supervisor.start("keys", START_S)
    assert client.status().sealed
    client.unlock(PASSPHRASE)


def test_outside_development_the_file_is_not_looked_at(
    supervisor: Supervisor, client: KeysClient, data_dir: Path
) -> None:
    make_development_box(data_dir, 0o644)
    (data_dir / "hako.toml").unlink()
    supervisor.start("keys", START_S)
    assert client.status().sealed


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_another_user_gets_no_answer_even_when_the_socket_is_open_to_all(
    supervisor: Supervisor, client: KeysClient, data_dir: Path
) -> None:
    supervisor.start("keys", START_S)
    client.create(PASSPHRASE)
    path = data_dir / "run" / "keys.sock"
    assert _as_nobody(path) == "PermissionError"
    for folder in (data_dir, data_dir / "run"):
        folder.chmod(0o755)
    assert _as_nobody(path) == "PermissionError"
    path.chmod(0o666)
    assert _as_nobody(path) == "nothing"
    assert "stranger_refused" in logged(data_dir)
    assert not client.status().sealed


def _as_nobody(path: Path) -> str:
    """What a process of another user gets from the socket."""
    reading, writing = multiprocessing.Pipe(duplex=False)
    assert nursery.run(_ask, path, writing) == 0
    answer: str = reading.recv()
    return answer


def _ask(path: Path, told: Connection) -> None:
    os.setgroups([])
    os.setgid(NOBODY)
    os.setuid(NOBODY)
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(30)
            connection.connect(str(path))
            connection.sendall(b'{"op":"derive","purpose":"database"}\n')
            told.send(connection.recv(4096).decode() or "nothing")
    except ConnectionError:
        told.send("nothing")
    except OSError as error:
        told.send(type(error).__name__)
