"""The way out between two real sockets: only where it was named, cut at once, never sent elsewhere."""

import hashlib
import json
import socket
import ssl
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from appliance.errors import CancelledError, HakoError, ModelFailedError
from appliance.gateway.destinations import Destination, Destinations, FarModel
from appliance.gateway.egress import NO_KEY, EgressServer
from appliance.inference.transport import ChildConnection
from appliance.machine import peers
from tests.simulators.far_server import FarServer

CHAT = {"model": "talker", "stream": True, "messages": [{"role": "user", "content": "one two three"}]}
LONG = {**CHAT, "messages": [{"role": "user", "content": "word " * 500}]}


class RefusedError(HakoError):
    """What the egress process or the destination said."""


def refused(status: int, body: bytes, _model: str) -> HakoError:
    return RefusedError(body.decode("utf-8", "replace"), status=status)


def within(seconds: float, check: Callable[[], bool]) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if check():
            return True
        time.sleep(0.02)
    return False


@pytest.fixture
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as name:  # short enough for a socket
        yield Path(name)


@pytest.fixture
def named(folder: Path) -> Destinations:
    return Destinations(folder / "destinations.json")


@pytest.fixture
def egress(folder: Path, named: Destinations) -> Iterator[Path]:
    server = EgressServer(folder / "run" / "egress.sock", named, peers.is_own_or_root)
    server.start()
    yield folder / "run" / "egress.sock"
    server.stop()


@pytest.fixture
def far() -> Iterator[FarServer]:
    with FarServer(key="far-key") as server:
        yield server


def name(named: Destinations, url: str, **more: Any) -> None:
    values = {"name": "lab", "url": url, "address": "127.0.0.1", "private": True, "models": (FarModel(name="talker"),)}
    named.add(Destination(**{**values, **more}))


def connected(path: Path, key: str = "far-key") -> ChildConnection:
    return ChildConnection(path, key, "lab", refused)


def ask(path: Path, target: str, body: dict[str, Any] = CHAT, key: str = "far-key") -> bytes:
    with connected(path, key) as connection:
        connection.send(target, body)
        connection.begin()
        return b"".join(connection.chunks())


def status_of(path: Path, target: str, body: dict[str, Any] = CHAT, key: str = "far-key") -> int:
    with pytest.raises(RefusedError) as told:
        ask(path, target, body, key)
    return int(told.value.params["status"])


def test_a_request_reaches_the_destination_and_its_answer_comes_back(
    egress: Path, named: Destinations, far: FarServer
) -> None:
    name(named, far.url)
    answer = ask(egress, "/lab/v1/chat/completions")
    assert [word in answer for word in (b"one", b"two", b"three", b"[DONE]")] == [True] * 4
    method, path, headers, body = far.seen[0]
    assert (method, path, body) == ("POST", "/v1/chat/completions", CHAT)
    assert headers["Host"] == f"127.0.0.1:{far.port}"
    assert headers["Authorization"] == "Bearer far-key"
    assert {name.lower() for name in headers} == {
        "host", "accept-encoding", "connection", "authorization", "content-type", "content-length",
    }  # fmt: skip


def test_one_connection_carries_several_requests(egress: Path, named: Destinations, far: FarServer) -> None:
    name(named, far.url)
    with connected(egress) as connection:
        for _ in range(3):
            assert connection.json("/lab/v1/embeddings", {"input": ["a"]})["usage"] == {"prompt_tokens": 7}


def test_the_list_of_models_is_asked_for_with_get(egress: Path, named: Destinations, far: FarServer) -> None:
    name(named, far.url)
    assert json.loads(ask(egress, "/lab/v1/models", {}))["data"] == [{"id": "talker"}, {"id": "embedder"}]
    assert far.seen[0][:2] == ("GET", "/v1/models")


def test_without_a_key_none_is_sent(egress: Path, named: Destinations) -> None:
    with FarServer() as open_server:
        name(named, open_server.url)
        ask(egress, "/lab/v1/models", {}, NO_KEY)
        assert "Authorization" not in open_server.seen[0][2]


@pytest.mark.parametrize(
    "target",
    ["/other/v1/models", "/lab/v1/files", "/lab/v1/models/x", "/lab/v1/../admin", "/lab//v1/models", "/lab", "/"],
)
def test_what_was_not_named_is_refused(egress: Path, named: Destinations, far: FarServer, target: str) -> None:
    name(named, far.url)
    assert status_of(egress, target) == 421
    assert far.seen == []


def test_a_redirect_is_an_error_and_nobody_follows_it(egress: Path, named: Destinations, far: FarServer) -> None:
    name(named, far.url)
    with FarServer() as elsewhere:
        far.answers["/v1/chat/completions"] = (307, {"Location": elsewhere.url + "/chat/completions"}, b"")
        assert status_of(egress, "/lab/v1/chat/completions") == 508
        assert elsewhere.seen == []


def test_no_name_is_looked_up_and_no_proxy_asked(
    egress: Path, named: Destinations, far: FarServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked_up: list[object] = []

    def look_up(*arguments: object, **_more: object) -> list[object]:
        looked_up.append(arguments)
        raise socket.gaierror("no")

    for function in ("getaddrinfo", "gethostbyname", "gethostbyname_ex", "getfqdn"):
        monkeypatch.setattr(socket, function, look_up)
    for variable in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(variable, "http://127.0.0.1:9")
    name(named, f"http://lab.example:{far.port}/v1")
    assert b"three" in ask(egress, "/lab/v1/chat/completions")
    assert (looked_up, far.seen[0][2]["Host"]) == ([], f"lab.example:{far.port}")


def test_an_error_of_the_destination_comes_back_with_its_status(
    egress: Path, named: Destinations, far: FarServer
) -> None:
    name(named, far.url)
    assert status_of(egress, "/lab/v1/chat/completions", CHAT, "wrong") == 401
    far.answers["/v1/chat/completions"] = (400, {}, b"x" * (1 << 20))
    with pytest.raises((RefusedError, ModelFailedError)):  # far longer than a refusal has to be
        ask(egress, "/lab/v1/chat/completions")


def test_who_does_not_listen_is_told_as_unreachable(egress: Path, named: Destinations) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        name(named, f"http://127.0.0.1:{probe.getsockname()[1]}/v1")
        assert status_of(egress, "/lab/v1/models", {}) == 502


def test_who_speaks_no_http_is_told_as_unreachable(egress: Path, named: Destinations) -> None:
    with socket.create_server(("127.0.0.1", 0)) as odd:
        name(named, f"http://127.0.0.1:{odd.getsockname()[1]}/v1")
        with connected(egress) as connection:
            connection.send("/lab/v1/models", {})
            far, _ = odd.accept()
            with far:
                far.recv(4096)
                far.sendall(b"220 ready\r\n\r\n")
                with pytest.raises(RefusedError) as told:
                    connection.begin()
    assert told.value.params["status"] == 502


def test_endless_headers_are_not_read(egress: Path, named: Destinations, far: FarServer) -> None:
    name(named, far.url)
    far.answers["/v1/models"] = (200, {"X-Long": "x" * 60_000}, b"{}")
    assert status_of(egress, "/lab/v1/models", {}) == 502


def test_a_stop_reaches_the_destination_within_half_a_second(egress: Path, named: Destinations) -> None:
    with FarServer(pause_s=0.02) as slow:
        name(named, slow.url)
        with connected(egress) as connection:
            connection.send("/lab/v1/chat/completions", LONG)
            connection.begin()
            next(connection.chunks())
            assert slow.writing == 1
        assert within(0.5, lambda: slow.writing == 0)
        assert slow.words < 500


def test_a_stop_before_the_first_word_reaches_it_too(egress: Path, named: Destinations) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        name(named, f"http://127.0.0.1:{silent.getsockname()[1]}/v1")
        with connected(egress) as connection:
            connection.send("/lab/v1/chat/completions", CHAT)
            far, _ = silent.accept()
            with pytest.raises(CancelledError):
                connection.begin(lambda: True)
        with far:
            far.settimeout(0.5)
            while far.recv(65536):
                pass


def test_a_destination_that_dies_in_the_middle_ends_the_answer(egress: Path, named: Destinations) -> None:
    with FarServer(pause_s=0.02) as dying:
        name(named, dying.url)
        with connected(egress) as connection:
            connection.send("/lab/v1/chat/completions", LONG)
            connection.begin()
            chunks = connection.chunks()
            next(chunks)
            dying.die()
            with pytest.raises(ModelFailedError):
                for _ in chunks:
                    pass


def test_a_destination_that_was_removed_is_refused_at_once_and_cut(egress: Path, named: Destinations) -> None:
    with FarServer(pause_s=0.02) as slow:
        name(named, slow.url)
        with connected(egress) as connection:
            connection.send("/lab/v1/chat/completions", LONG)
            connection.begin()
            chunks = connection.chunks()
            next(chunks)
            named.remove("lab")
            assert status_of(egress, "/lab/v1/models", {}) == 421
            with pytest.raises(ModelFailedError):
                for _ in chunks:
                    pass
        assert within(2, lambda: slow.writing == 0)


def test_more_calls_than_it_may_have_are_told_that_it_is_busy(egress: Path, named: Destinations) -> None:
    with FarServer(pause_s=0.02) as slow:
        name(named, slow.url, at_once=1)
        with connected(egress) as connection:
            connection.send("/lab/v1/chat/completions", LONG)
            connection.begin()
            assert status_of(egress, "/lab/v1/chat/completions") == 429
        assert within(2, lambda: slow.writing == 0)
        time.sleep(0.1)
        slow.pause_s = 0
        assert b"[DONE]" in ask(egress, "/lab/v1/chat/completions")


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Key and certificate of lab.example in one file."""
    file = tmp_path_factory.mktemp("tls") / "lab.pem"
    key = file.with_name("key.pem")
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    command += ["-subj", "/CN=lab.example", "-addext", "subjectAltName=DNS:lab.example", "-days", "2"]
    subprocess.run([*command, "-keyout", key, "-out", file], check=True, capture_output=True)
    file.write_text(file.read_text() + key.read_text())
    return file


@pytest.fixture
def tls_far(certificate: Path, far: FarServer) -> FarServer:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    far.use_tls(context)
    return far


def test_over_tls_the_certificate_must_be_of_the_named_authority_and_host(
    egress: Path, named: Destinations, tls_far: FarServer, certificate: Path
) -> None:
    pem = certificate.read_text().split("-----BEGIN PRIV")[0]
    name(named, f"https://lab.example:{tls_far.port}/v1", ca=pem)
    assert b"three" in ask(egress, "/lab/v1/chat/completions")
    name(named, f"https://other.example:{tls_far.port}/v1", ca=pem, name="wrong-host")
    assert status_of(egress, "/wrong-host/v1/models", {}) == 525
    name(named, f"https://lab.example:{tls_far.port}/v1", name="unknown-authority")
    assert status_of(egress, "/unknown-authority/v1/models", {}) == 525
    assert len(tls_far.seen) == 1


def test_a_pinned_certificate_stands_for_itself(
    egress: Path, named: Destinations, tls_far: FarServer, certificate: Path
) -> None:
    der = ssl.PEM_cert_to_DER_cert(certificate.read_text().split("-----BEGIN PRIV")[0])
    url = f"https://127.0.0.1:{tls_far.port}/v1"
    name(named, url, fingerprint=hashlib.sha256(der).hexdigest())
    assert b"three" in ask(egress, "/lab/v1/chat/completions")
    name(named, url, name="other", fingerprint="0" * 64)
    assert status_of(egress, "/other/v1/models", {}) == 525


def test_others_can_not_open_its_socket(egress: Path) -> None:
    assert egress.stat().st_mode & 0o777 == 0o600
