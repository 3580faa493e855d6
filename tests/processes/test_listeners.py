"""A served box with a port for Ollama's clients and one for LM Studio's: each has its dialect and nothing else."""

import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx2
import ollama
import pytest

from tests.simulators.served import ServedBox, free_port

ASKED = {"model": "talker", "input": "[[words 3]] hi"}


@dataclass(frozen=True)
class Ports:
    """Where what listens."""

    box: ServedBox
    ollama: str
    lmstudio: str
    key: str

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.key}"}


@pytest.fixture(scope="module")
def ports(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ports]:
    first, second = free_port(), free_port()
    web = f"ollama_port = {first}\nlmstudio_port = {second}"
    with ServedBox(tmp_path_factory.mktemp("p") / "v", web=web) as box:
        yield Ports(box, f"http://127.0.0.1:{first}", f"http://127.0.0.1:{second}", box.api_key("program"))


def test_the_unmodified_ollama_client_works_at_its_port(ports: Ports) -> None:
    with ollama.Client(host=ports.ollama, headers=ports.headers, timeout=60) as client:
        assert "talker:latest" in {model.model for model in client.list().models}
        messages = [{"role": "user", "content": "[[words 3]] hi"}]
        assert client.chat("talker", messages).message.content == "word0 word1 word2"
        pieces = client.chat("talker", messages, stream=True)
        assert "".join(piece.message.content for piece in pieces) == "word0 word1 word2"
    assert httpx2.get(ports.ollama).text == "Hako is running"
    assert httpx2.head(ports.ollama).status_code == 200


def test_lm_studios_newer_chat_is_at_its_port_only(ports: Ports) -> None:
    whole = httpx2.post(f"{ports.lmstudio}/api/v1/chat", json=ASKED, headers=ports.headers, timeout=60)
    assert whole.json()["output"] == [{"type": "message", "content": "word0 word1 word2"}]
    with httpx2.stream(
        "POST", f"{ports.lmstudio}/api/v1/chat", json=ASKED | {"stream": True}, headers=ports.headers, timeout=60
    ) as answer:
        names = [line.removeprefix("event: ") for line in answer.iter_lines() if line.startswith("event: ")]
    assert (names[0], names[-1]) == ("chat.start", "chat.end")
    for elsewhere in (ports.box.url, ports.ollama):
        assert httpx2.post(f"{elsewhere}/api/v1/chat", json=ASKED, headers=ports.headers).status_code in (404, 405)


def test_pages_and_our_own_api_are_at_our_own_port_only(ports: Ports) -> None:
    for path in ("/sign-in", "/api/v1/bases", "/api/v1/state"):
        assert httpx2.get(ports.box.url + path, headers=ports.headers).status_code in (200, 303)
        for port in (ports.ollama, ports.lmstudio):
            answer = httpx2.get(port + path, headers=ports.headers | {"Accept": "text/html"})
            assert (answer.status_code, answer.headers["content-type"]) == (404, "application/json")


def test_a_key_is_wanted_at_every_port_and_what_the_host_header_says_changes_nothing(ports: Ports) -> None:
    for port in (ports.box.url, ports.ollama, ports.lmstudio):
        assert httpx2.get(f"{port}/v1/models").status_code == 401
        assert httpx2.get(f"{port}/v1/models", headers=ports.headers).status_code == 200
    for host, status in ((f"127.0.0.1:{ports.box.port}", 404), ("evil.example", 421)):
        answer = httpx2.get(f"{ports.lmstudio}/api/v1/bases", headers=ports.headers | {"Host": host})
        assert answer.status_code == status


def test_a_taken_port_is_told_before_anything_starts(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        refused = ServedBox(tmp_path / "v", web=f"ollama_port = {port}").hako("serve", "--development")
    assert (refused.returncode, "HK-BOX-022" in refused.stderr, "web.ollama_port" in refused.stderr) == (1, True, True)


def test_two_listeners_can_not_share_a_port(tmp_path: Path) -> None:
    refused = ServedBox(tmp_path / "v", web="ollama_port = 4321\nlmstudio_port = 4321").hako("serve", "--development")
    assert (refused.returncode, "HK-BOX-002" in refused.stderr) == (1, True)
