"""The keys process's socket: requests, refusals, bad and slow clients, and the client's side of it."""

import json
import os
import shutil
import socket
import tempfile
import threading
from collections.abc import Iterator
from itertools import chain, repeat
from pathlib import Path

import pytest

from appliance import clock
from appliance.errors import (
    BadInputError,
    ConflictError,
    HakoError,
    KeysUnreachableError,
    NotInitialisedError,
    RecoveryTypoError,
    SealedError,
    TooManyTriesError,
    VaultDamagedError,
    WeakPasswordError,
    WrongPassphraseError,
)
from appliance.machine import peers
from appliance.vault.client import KeysClient, VaultStatus
from appliance.vault.keeper import Keeper
from appliance.vault.keyring import Keyring
from appliance.vault.protocol import LONGEST_LINE
from appliance.vault.server import KeysServer

PASSPHRASE = "正しい馬の電池と留め金"


@pytest.fixture
def folder() -> Iterator[Path]:
    """Short enough for a unix socket's path."""
    folder = Path(tempfile.mkdtemp(prefix="hako-"))
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def server(folder: Path, keyring: Keyring) -> Iterator[KeysServer]:
    server = KeysServer(folder / "keys.sock", Keeper(keyring), peers.is_own_or_root)
    server.start()
    yield server
    server.stop()


@pytest.fixture
def client(server: KeysServer, folder: Path) -> KeysClient:
    return KeysClient(folder / "keys.sock")


def raw(folder: Path, sent: bytes) -> dict[str, object] | None:
    """What comes back for these bytes; None if nothing."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(30)
        connection.connect(str(folder / "keys.sock"))
        connection.sendall(sent)
        connection.shutdown(socket.SHUT_WR)
        line = connection.makefile("rb").readline()
    answer: dict[str, object] | None = json.loads(line) if line else None
    return answer


def test_a_vault_is_made_sealed_opened_and_recovered_over_the_socket(client: KeysClient) -> None:
    assert client.status() == VaultStatus(exists=False, sealed=True, recovery_confirmed=False)
    client.create(PASSPHRASE)
    recovery_key = client.new_recovery()
    client.confirm_recovery()
    assert client.status() == VaultStatus(exists=True, sealed=False, recovery_confirmed=True)
    database = client.derive("database")
    assert len(database) == 32
    assert client.derive("blobs") != database
    client.seal()
    assert client.status().sealed
    client.unlock(PASSPHRASE)
    client.change_passphrase(PASSPHRASE, "another passphrase")
    client.seal()
    client.recover(recovery_key)
    client.reset_passphrase(recovery_key, "a third passphrase")
    client.seal()
    client.unlock("a third passphrase")
    assert client.derive("database") == database


def test_refusals_arrive_with_their_class_and_parameters(client: KeysClient) -> None:
    with pytest.raises(NotInitialisedError):
        client.unlock(PASSPHRASE)
    with pytest.raises(SealedError):
        client.derive("database")
    with pytest.raises(WeakPasswordError) as weak:
        client.create("short")
    assert weak.value.params == {"min_length": 8}
    client.create(PASSPHRASE)
    with pytest.raises(ConflictError) as conflict:
        client.create(PASSPHRASE)
    assert conflict.value.params == {"name": "vault.json"}
    with pytest.raises(BadInputError):
        client.derive("everything")
    with pytest.raises(RecoveryTypoError) as typo:
        client.recover("")
    assert typo.value.params == {"group": 1}
    for left in (4, 3, 2, 1, 0):
        with pytest.raises(WrongPassphraseError) as wrong:
            client.unlock("wrong passphrase")
        assert wrong.value.params == {"tries_left": left}
    with pytest.raises(TooManyTriesError) as many:
        client.unlock(PASSPHRASE)
    assert 1 <= int(many.value.params["retry_after_s"]) <= 30


def test_a_damaged_vault_file_is_told_over_the_socket(client: KeysClient, keyring: Keyring) -> None:
    keyring._path.write_bytes(b"{}")
    with pytest.raises(VaultDamagedError) as caught:
        client.status()
    assert caught.value.params == {"name": "vault.json"}


def test_a_disk_that_can_not_be_written_is_told_as_an_error_of_the_box(
    client: KeysClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read_only(_descriptor: int) -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(os, "fsync", read_only)
    with pytest.raises(HakoError) as caught:
        client.create(PASSPHRASE)
    assert caught.value.code == "HK-BOX-001"
    assert not client.status().exists


@pytest.mark.parametrize(
    ("sent", "field"),
    [
        (b"hello\n", "message"),
        (b"[]\n", "message"),
        (b"\xff\n", "message"),
        (b"[" * 30_000 + b"\n", "message"),
        (b"{}\n", "op"),
        (b'{"op": ["status"]}\n', "op"),
        (b'{"op": "format-disk"}\n', "op"),
        (b'{"op": "unlock"}\n', "passphrase"),
        (b'{"op": "unlock", "passphrase": 12345678}\n', "passphrase"),
        (b'{"op": "create", "passphrase": "\\ud800\\ud800\\ud800\\ud800\\ud800\\ud800\\ud800\\ud800"}\n', "passphrase"),
    ],
)
def test_a_malformed_request_is_refused_and_names_the_field(
    server: KeysServer, client: KeysClient, folder: Path, sent: bytes, field: str
) -> None:
    assert raw(folder, sent) == {"error": "HK-BOX-003", "params": {"field": field}}
    assert client.status().sealed


def test_half_a_request_gets_no_answer(server: KeysServer, client: KeysClient, folder: Path) -> None:
    assert raw(folder, b'{"op": "status"') is None
    assert raw(folder, b"") is None
    assert client.status().sealed


def test_an_endless_line_is_refused(server: KeysServer, client: KeysClient, folder: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(30)
        connection.connect(str(folder / "keys.sock"))
        with pytest.raises((BrokenPipeError, ConnectionResetError)):
            connection.sendall(b"x" * (64 << 20))
    assert client.status().sealed


def test_too_long_a_secret_is_refused(client: KeysClient) -> None:
    client.create(PASSPHRASE)
    with pytest.raises(BadInputError):
        client.unlock("x" * LONGEST_LINE)
    with pytest.raises(BadInputError):
        client.unlock("x" * 2000)


def test_a_slow_client_is_let_go_and_stops_nobody(folder: Path, keyring: Keyring) -> None:
    server = KeysServer(folder / "keys.sock", Keeper(keyring), peers.is_own_or_root, patience_s=0.3)
    server.start()
    try:
        client = KeysClient(folder / "keys.sock")
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(30)
            connection.connect(str(folder / "keys.sock"))
            connection.sendall(b'{"op"')
            assert client.status().sealed
            assert connection.recv(1) == b""
    finally:
        server.stop()


def test_more_silent_clients_than_places_only_delay_the_others(folder: Path, keyring: Keyring) -> None:
    server = KeysServer(folder / "keys.sock", Keeper(keyring), peers.is_own_or_root, patience_s=0.3)
    server.start()
    silent = [socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) for _ in range(80)]
    try:
        for connection in silent:
            connection.connect(str(folder / "keys.sock"))
        assert KeysClient(folder / "keys.sock").status().sealed
    finally:
        for connection in silent:
            connection.close()
        server.stop()


def test_a_stranger_gets_no_answer(folder: Path, keyring: Keyring) -> None:
    server = KeysServer(folder / "keys.sock", Keeper(keyring), lambda _connection: False)
    server.start()
    try:
        with pytest.raises(KeysUnreachableError):
            KeysClient(folder / "keys.sock").status()
    finally:
        server.stop()


def test_the_socket_belongs_to_its_owner_alone_and_goes_with_the_server(server: KeysServer, folder: Path) -> None:
    assert (folder / "keys.sock").stat().st_mode & 0o777 == 0o600
    server.stop()
    assert not (folder / "keys.sock").exists()
    with pytest.raises(KeysUnreachableError):
        KeysClient(folder / "keys.sock").status()


def test_a_second_server_on_the_same_socket_is_refused_and_harms_nothing(
    server: KeysServer, client: KeysClient, folder: Path, keyring: Keyring
) -> None:
    second = KeysServer(folder / "keys.sock", Keeper(keyring), peers.is_own_or_root)
    with pytest.raises(ConflictError):
        second.start()
    second.stop()
    assert client.status().sealed


def test_a_socket_that_a_killed_process_left_is_replaced(folder: Path, keyring: Keyring) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as dead:
        dead.bind(str(folder / "keys.sock"))
    with pytest.raises(KeysUnreachableError):
        KeysClient(folder / "keys.sock").status()
    server = KeysServer(folder / "keys.sock", Keeper(keyring), peers.is_own_or_root)
    server.start()
    try:
        assert KeysClient(folder / "keys.sock").status().sealed
    finally:
        server.stop()


def test_an_answer_that_never_comes_ends_the_wait(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as silent:
        silent.bind(str(folder / "keys.sock"))
        silent.listen()
        begun = clock.monotonic()
        times = chain([begun, begun + 5], repeat(begun + 11))
        monkeypatch.setattr(clock, "monotonic", lambda: next(times))
        accepted: list[socket.socket] = []
        thread = threading.Thread(target=lambda: accepted.append(silent.accept()[0]))
        thread.start()

        def drip() -> None:
            thread.join()
            accepted[0].sendall(b"{")

        dripping = threading.Thread(target=drip)
        dripping.start()
        with pytest.raises(KeysUnreachableError):
            KeysClient(folder / "keys.sock").status()
        dripping.join()
        accepted[0].close()
