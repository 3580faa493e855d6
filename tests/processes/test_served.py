"""`hako serve` with all its processes: start, answers, kills of every part, a power cut, a clean end."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx2
import pytest

from appliance import config
from appliance.inference.client import InferenceClient
from appliance.machine import resources
from tests.simulators.served import HAKO, RunningBox, ServedBox, free_port

TEXT = "The boiler room key hangs behind the blue door. Ask Ms Sato for it before noon.\n"


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedBox]:
    with ServedBox(tmp_path_factory.mktemp("s") / "v") as box:
        yield box


def within(seconds: float, check: Callable[[], bool]) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if check():
            return True
        time.sleep(0.05)
    return False


def document(tmp_path: Path, name: str = "keys.txt", text: str = TEXT) -> Path:
    path = tmp_path / name
    path.write_text(text, "utf-8")
    return path


def test_the_command_line_takes_a_document_in_and_answers_with_its_source(served: ServedBox, tmp_path: Path) -> None:
    added = served.hako("kb", "add", str(document(tmp_path)), "--kb", "house")
    assert added.returncode == 0, added.stderr
    assert "keys.txt" in added.stdout
    asked = served.hako("ask", "Where does the boiler room key hang?", "--kb", "house", "--json")
    answer = json.loads(asked.stdout)
    citation = answer["citations"][0]
    assert (citation["document"], citation["page"]) == ("keys.txt", 1)
    assert "blue door" in citation["quote"]
    assert "house" in served.hako("kb", "list").stdout
    assert "blue door" in served.hako("kb", "search", "boiler room key").stdout
    assert "talker" in served.hako("models", "list").stdout
    assert "keys.txt, page 1" in served.hako("ask", "Where does the boiler room key hang?", "--kb", "house").stdout


def test_the_doctor_tells_what_the_box_knows(served: ServedBox, tmp_path: Path) -> None:
    told = json.loads(served.hako("doctor", "--look", "--json").stdout)
    seen = served.hako("doctor")
    assert seen.returncode == {"ok": 0, "unknown": 0, "warning": 1, "error": 2}[told["state"]]
    assert "The box is running." in seen.stdout
    assert "Air gap: Closed" in seen.stdout
    states = {check["name"]: check["state"] for check in told["checks"]}
    assert {states[name] for name in ("models", "audit", "digests", "index", "database")} == {"ok"}
    assert (told["box"], states["secrets"]) == ("running", "warning")  # its passphrase lies beside it
    assert "HK-HLT-055" in seen.stdout
    kit = tmp_path / "kit.zip"
    assert served.hako("doctor", "--kit", str(kit)).returncode == 0
    with zipfile.ZipFile(kit) as archive:
        assert {"hako-support/findings.json", "hako-support/log.jsonl"} <= set(archive.namelist())
    assert kit.stat().st_mode & 0o077 == 0


def test_the_doctor_finds_a_list_of_destinations_that_can_not_be_read(served: ServedBox) -> None:
    path = served.folder / "destinations.json"
    path.write_text("[{", "utf-8")
    try:
        seen = served.hako("doctor", "--look")
    finally:
        path.unlink()
    assert seen.returncode == 2
    assert "HK-HLT-054" in seen.stdout


def test_a_bad_command_is_one_sentence_with_a_code(served: ServedBox) -> None:
    answer = served.hako("ask", "x", "--kb", "no such base")
    assert answer.returncode == 1
    assert answer.stderr.strip().endswith("HK-BOX-004")
    assert len(answer.stderr.strip().splitlines()) == 1


def test_without_a_box_the_commands_exit_with_3_and_create_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "none"
    environment = {**os.environ, "LANG": "ja_JP.UTF-8", "LC_ALL": ""}
    ran = subprocess.run(
        [*HAKO, "--data-dir", str(folder), "ask", "x"], capture_output=True, text=True, env=environment, check=False
    )
    assert (ran.returncode, "HK-BOX-008" in ran.stderr, folder.exists()) == (3, True, False)
    assert "hako serve" in ran.stderr


def test_a_second_box_on_the_same_folder_is_refused(served: ServedBox) -> None:
    second = served.hako("serve", "--development", "--no-question")
    assert (second.returncode, "HK-BOX-021" in second.stderr) == (1, True)


STREAMS = pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/completions", "/v1/messages", "/api/chat"])
"""The engine's own bytes, and what is made of them piece by piece."""


def stream(served: ServedBox, key: str, path: str, prompt: str) -> socket.socket:
    """A raw streaming request, so that the test owns the connection."""
    said = {"prompt": prompt, "messages": [{"role": "user", "content": prompt}]}  # each path takes one of them
    body = json.dumps({"model": "talker", "stream": True, "max_tokens": 3000, **said})
    connection = socket.create_connection(("127.0.0.1", served.port), timeout=20)
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {key}\r\n"
    head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    connection.sendall((head + body).encode())
    return connection


@pytest.fixture(scope="module")
def key(served: ServedBox) -> str:
    return served.api_key("carla")


def busy(served: ServedBox) -> int:
    status = InferenceClient(config.load(data_dir=served.folder).inference_socket).status()
    return int(status.get("talker", {"busy": 0})["busy"])


@STREAMS
def test_a_client_that_leaves_frees_the_engine(served: ServedBox, key: str, path: str) -> None:
    connection = stream(served, key, path, "[[words 2000]] [[delay 20]] on and on")
    seen = b""
    while b"word3" not in seen:
        seen += connection.recv(4096)
    assert busy(served) == 1
    connection.close()
    assert within(5, lambda: busy(served) == 0)


@STREAMS
def test_a_client_that_leaves_before_the_first_word_frees_the_engine_too(
    served: ServedBox, key: str, path: str
) -> None:
    connection = stream(served, key, path, "[[think 20000]] hmm")
    assert within(10, lambda: busy(served) == 1)
    connection.close()
    assert within(5, lambda: busy(served) == 0)


@pytest.mark.parametrize("name", ["inference", "keys", "web"])
def test_a_killed_process_is_back_and_the_box_answers_again(served: ServedBox, name: str, tmp_path: Path) -> None:
    served.hako("kb", "add", str(document(tmp_path)), "--kb", "house")
    killed = served.processes()[name]
    os.kill(killed, signal.SIGKILL)
    # Its own child may go on answering for a moment; that is not what this is about.
    assert within(30, lambda: served.processes().get(name, killed) != killed)

    def answers() -> bool:
        asked = served.hako("ask", "Where does the boiler room key hang?", "--kb", "house", "--json")
        return asked.returncode == 0 and "blue door" in asked.stdout

    assert within(60, answers)
    assert within(30, lambda: is_up(served))


def is_up(served: ServedBox) -> bool:
    try:
        return httpx2.get(f"{served.url}/api/v1/state").status_code == 200
    except httpx2.TransportError:
        return False


def test_a_worker_that_is_killed_in_the_middle_loses_no_document(served: ServedBox, tmp_path: Path) -> None:
    text = "".join(f"Paragraph {i} tells about machine number {i}.\n\n" for i in range(3000))
    with served.client() as client:
        base = client.post("/bases", {"name": "long", "visibility": "everyone"})
        added = client.upload(f"/bases/{base['id']}/documents", document(tmp_path, "long.txt", text))

        def state() -> str:
            return str(client.get(f"/documents/{added['id']}")["state"])

        assert within(30, lambda: state() != "waiting")
        os.kill(served.processes()["worker"], signal.SIGKILL)
        assert within(90, lambda: state() == "ready")
        found = client.post(f"/bases/{base['id']}/search", {"query": "machine number 2987"})
    assert "2987" in found["hits"][0]["text"]


@pytest.mark.slow
def test_after_a_power_cut_everything_that_was_told_is_there(tmp_path: Path) -> None:
    box = ServedBox(tmp_path / "v")
    box.start("--no-question")
    assert box.hako("kb", "add", str(document(tmp_path)), "--kb", "house").returncode == 0
    with box.client() as client:
        base = client.get("/bases")["items"][0]
        client.upload(
            f"/bases/{base['id']}/documents",
            document(tmp_path, "half.txt", "Half way through, the light went out. " * 4000),
        )
    box.kill()
    took = box.start("--no-question")
    items = box.wait_for_documents(base["id"])
    assert {item["name"]: item["state"] for item in items} == {"keys.txt": "ready", "half.txt": "ready"}
    assert "blue door" in box.hako("ask", "Where does the boiler room key hang?", "--json").stdout
    pids = resources.tree(box.pid)
    assert box.stop() == 0
    assert took < 60
    assert within(5, lambda: not any(Path(f"/proc/{pid}").exists() for pid in pids))


def test_who_unlocks_at_the_terminal_is_told_so_however_often_others_have_just_looked(tmp_path: Path) -> None:
    (tmp_path / "hako.toml").write_text(f"[web]\nport = {(port := free_port())}\n", "utf-8")
    box, passphrase = RunningBox(tmp_path, port), "seven quiet lanterns by the river"
    assert box.hako("init", input=f"{passphrase}\n{passphrase}\ny\n").returncode == 0
    box.start("--no-question")
    asked = threading.Event()

    def looks_and_looks() -> None:
        with httpx2.Client(base_url=box.url) as stranger:
            while not asked.is_set():
                stranger.get("/api/v1/bases")

    looking = threading.Thread(target=looks_and_looks)
    looking.start()
    try:
        told = box.hako("unlock", input=f"{passphrase}\n")
    finally:
        asked.set()
        looking.join()
        box.stop()
    assert (told.returncode, "/setup?token=" in told.stdout) == (0, True), told.stdout + told.stderr


def can_unshare() -> bool:
    command = ["unshare", "-rn", "sh", "-c", "ip link set lo up"]
    return bool(shutil.which("unshare") and shutil.which("ip")) and subprocess.run(command, check=False).returncode == 0


@pytest.mark.skipif(not can_unshare(), reason="this machine lets nobody make a network namespace")
def test_the_whole_box_answers_with_no_network_but_loopback(tmp_path: Path) -> None:
    script = f"""
set -e
ip link set lo up
{sys.executable} - <<'END'
from pathlib import Path
from tests.simulators.served import ServedBox
import urllib.request
with ServedBox(Path({str(tmp_path / "v")!r})) as box:
    print(box.hako("kb", "add", {str(document(tmp_path))!r}, "--kb", "house").stdout)
    print(box.hako("ask", "Where does the boiler room key hang?", "--json").stdout)
    print(urllib.request.urlopen(box.url + "/sign-in").status)
END
ip route
"""
    ran = subprocess.run(
        ["unshare", "-rn", "bash", "-c", script], capture_output=True, text=True, timeout=100, check=False
    )
    assert ran.returncode == 0, ran.stderr
    assert "blue door" in ran.stdout
    assert "200" in ran.stdout
