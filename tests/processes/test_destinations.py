"""A whole box and another machine: named, asked, stopped, cut, removed; nothing of it while none is named."""

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx2
import pytest

from tests.simulators.far_server import FarServer
from tests.simulators.served import ServedBox

KEY = "sk-far-4711-secret"


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedBox]:
    with ServedBox(tmp_path_factory.mktemp("s") / "v") as box:
        yield box


@pytest.fixture(scope="module")
def bearer(served: ServedBox) -> dict[str, str]:
    return {"Authorization": f"Bearer {served.api_key('bob')}"}


@pytest.fixture
def far() -> Iterator[FarServer]:
    with FarServer(key=KEY) as server:
        yield server


@pytest.fixture
def lab(served: ServedBox, far: FarServer, tmp_path: Path) -> Iterator[FarServer]:
    """The far server as destination `lab`, named on the command line."""
    file = tmp_path / "far.key"
    file.touch(0o600)
    file.write_text(KEY + "\n", "utf-8")
    options = ("--private", "--key-file", str(file), "--model", "talker=chat", "--model", "embedder=embedding")
    added = served.hako("destinations", "add", "lab", far.url, *options)
    assert added.returncode == 0, added.stderr
    assert "127.0.0.1" in added.stdout
    yield far
    served.hako("destinations", "remove", "lab")


def within(seconds: float, check: Callable[[], bool]) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if check():
            return True
        time.sleep(0.05)
    return False


def chat(text: str, *, stream: bool) -> dict[str, object]:
    return {"model": "lab/talker", "stream": stream, "messages": [{"role": "user", "content": text}]}


def test_the_way_out_is_there_only_while_a_destination_is_named(served: ServedBox, far: FarServer) -> None:
    assert within(10, lambda: "egress" not in served.processes())
    assert "no destinations" in served.hako("destinations", "list").stdout
    refused = served.hako("destinations", "add", "lab", far.url)
    assert (refused.returncode, "HK-NET-002" in refused.stderr) == (1, True)
    time.sleep(1.5)
    assert "egress" not in served.processes()
    assert served.hako("destinations", "add", "lab", far.url, "--private").returncode == 0
    assert within(5, lambda: "egress" in served.processes())
    assert served.hako("destinations", "remove", "lab").returncode == 0
    assert within(5, lambda: "egress" not in served.processes())


def test_a_chat_and_vectors_come_from_the_other_machine(
    served: ServedBox, lab: FarServer, bearer: dict[str, str]
) -> None:
    tested = served.hako("destinations", "test", "lab")
    assert (tested.returncode, "talker" in tested.stdout) == (0, True), tested.stderr
    with httpx2.Client(base_url=served.url, headers=bearer, timeout=30) as client:
        whole = client.post("/v1/chat/completions", json=chat("red green", stream=False)).json()
        assert whole["choices"][0]["message"]["content"] == "red green "
        streamed = client.post("/v1/chat/completions", json=chat("red green", stream=True)).text
        assert streamed.endswith("data: [DONE]\n\n")
        vectors = client.post("/v1/embeddings", json={"model": "lab/embedder", "input": ["a", "bb"]}).json()
        assert [item["embedding"][0] for item in vectors["data"]] == [1.0, 2.0]
    assert "lab/talker" in served.hako("models", "list").stdout
    assert {headers["Authorization"] for _, _, headers, _ in lab.seen} == {f"Bearer {KEY}"}


def test_a_client_that_leaves_stops_the_other_machine(
    served: ServedBox, lab: FarServer, bearer: dict[str, str]
) -> None:
    lab.pause_s = 0.02
    body = chat("word " * 2000, stream=True)
    with (
        httpx2.Client(base_url=served.url, headers=bearer, timeout=30) as client,
        client.stream("POST", "/v1/chat/completions", json=body) as response,
    ):
        next(response.iter_lines())
        assert lab.writing == 1
    assert within(2, lambda: lab.writing == 0)


def test_a_machine_that_dies_in_the_middle_is_told_in_the_stream(
    served: ServedBox, lab: FarServer, bearer: dict[str, str]
) -> None:
    lab.pause_s = 0.02
    with (
        httpx2.Client(base_url=served.url, headers=bearer, timeout=30) as client,
        client.stream("POST", "/v1/chat/completions", json=chat("word " * 2000, stream=True)) as response,
    ):
        lines = response.iter_lines()
        next(lines)
        lab.die()
        last = [line for line in lines if line.startswith("data: ")][-1]
    assert json.loads(last[6:])["error"]["hako_code"] == "HK-MOD-003"


def test_a_removed_destination_is_refused_at_once(served: ServedBox, lab: FarServer, bearer: dict[str, str]) -> None:
    lab.pause_s = 0.02
    with httpx2.Client(base_url=served.url, headers=bearer, timeout=30) as client:
        with client.stream("POST", "/v1/chat/completions", json=chat("word " * 2000, stream=True)) as response:
            next(response.iter_lines())
            assert served.hako("destinations", "remove", "lab").returncode == 0
            assert within(3, lambda: lab.writing == 0)
        asked = len(lab.seen)
        assert client.post("/v1/chat/completions", json=chat("x", stream=False)).status_code == 404
        assert len(lab.seen) == asked


def test_the_key_is_in_no_file_no_log_and_no_command_line(
    served: ServedBox, lab: FarServer, bearer: dict[str, str]
) -> None:
    lab.answers["/v1/chat/completions"] = (500, {}, json.dumps({"error": {"message": f"bad {KEY}"}}).encode())
    answer = httpx2.post(f"{served.url}/v1/chat/completions", json=chat("x", stream=False), headers=bearer, timeout=30)
    assert (answer.status_code, KEY in answer.text) == (502, False)
    assert lab.seen[-1][2]["Authorization"] == f"Bearer {KEY}"
    holding = [path for path in served.folder.rglob("*") if path.is_file() and KEY.encode() in path.read_bytes()]
    assert holding == []
    for pid in served.processes().values():
        assert KEY.encode() not in Path(f"/proc/{pid}/cmdline").read_bytes()
        assert KEY.encode() not in Path(f"/proc/{pid}/environ").read_bytes()


def test_a_key_that_others_can_read_is_not_taken(served: ServedBox, far: FarServer, tmp_path: Path) -> None:
    file = tmp_path / "open.key"
    file.write_text(KEY, "utf-8")
    file.chmod(0o644)
    refused = served.hako("destinations", "add", "open", far.url, "--private", "--key-file", str(file))
    assert (refused.returncode, "HK-BOX-010" in refused.stderr) == (1, True)
    assert "no destinations" in served.hako("destinations", "list").stdout
