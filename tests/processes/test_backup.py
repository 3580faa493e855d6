"""A served box backs itself up while it answers; on another machine it comes back with the recovery key alone."""

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2
import pytest

from appliance import config
from appliance.vault.client import KeysClient
from tests.simulators.served import PASSWORD, ServedBox
from tests.simulators.waiting import eventually


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedBox]:
    with ServedBox(tmp_path_factory.mktemp("b") / "v") as box:
        yield box


@contextmanager
def browser(box: ServedBox, name: str) -> Iterator[httpx2.Client]:
    with httpx2.Client(base_url=box.url, timeout=30) as client:
        assert client.post("/sign-in", data={"name": name, "password": PASSWORD}).status_code == 303
        yield client


def keys(box: ServedBox) -> KeysClient:
    return KeysClient(config.load(data_dir=box.folder).keys_socket)


def said(box: ServedBox, *words: str | Path, code: int = 0, **more: object) -> str:
    ran = box.hako("backup", *map(str, words), **more)
    assert ran.returncode == code, ran.stdout + ran.stderr
    return ran.stdout + ran.stderr


@pytest.mark.slow
def test_from_a_working_box_to_another_machine(served: ServedBox, tmp_path: Path) -> None:
    recovery = keys(served).new_recovery()
    keys(served).confirm_recovery()
    with served.client() as client:
        client.post("/users", {"name": "nina", "display_name": "Nina", "password": PASSWORD})
    with browser(served, "nina") as nina:
        _there_and_back(served, nina, recovery, tmp_path)


def _there_and_back(served: ServedBox, nina: httpx2.Client, recovery: str, tmp_path: Path) -> None:
    base = nina.post("/api/v1/bases", json={"name": "house"}).json()["id"]
    file = {"file": ("house.txt", b"The blue door is opened with the brass key.", "text/plain")}
    document = nina.post(f"/api/v1/bases/{base}/documents", files=file).json()["id"]
    assert eventually(lambda: nina.get(f"/api/v1/documents/{document}").json()["state"] == "ready", 60)
    chat = nina.post("/api/v1/chats", json={}).json()["id"]
    stick = tmp_path / "stick"
    stick.mkdir()

    stop, statuses = threading.Event(), []

    def ask() -> None:
        while not stop.is_set():
            statuses.append(nina.post("/api/v1/search", json={"query": "blue door"}).status_code)
            nina.patch(f"/api/v1/chats/{chat}", json={"title": "About the blue door"})

    asking = threading.Thread(target=ask)
    asking.start()
    try:
        made = said(served, "create", stick)
    finally:
        stop.set()
        asking.join()
    assert "is made" in made
    assert set(statuses) == {200}
    assert "1 bases, 1 documents" in said(served, "list", stick)
    assert "are whole" in said(served, "verify", stick)
    assert "was restored as a rehearsal" in said(served, "rehearse", stick)
    assert "HK-BOX-021" in said(served, "restore", stick, "--over", code=1)
    assert "Backup: 0 h ago" in served.hako("doctor", "--look").stdout

    # On another machine: nothing but the stick and the sheet of paper.
    there = ServedBox.__new__(ServedBox)
    there.folder = tmp_path / "w"
    wrong = recovery[::-1]
    refused = there.hako("backup", "restore", str(stick), "--recovery-key", "--secret", wrong)
    assert refused.returncode == 1
    assert "HK-VLT" in refused.stderr
    refused = there.hako("backup", "restore", str(stick), "--secret", "not the passphrase")
    assert "HK-VLT-002" in refused.stderr
    assert not there.folder.exists()
    done = there.hako("backup", "restore", str(stick), "--recovery-key", "--secret", recovery)
    assert done.returncode == 0, done.stderr
    assert "1 bases, 1 documents" in done.stdout
    again = there.hako("backup", "restore", str(stick), "--recovery-key", "--secret", recovery)
    assert "HK-BAK-004" in again.stderr
    rehearsed = there.hako("backup", "rehearse", str(stick), "--recovery-key", input=recovery + "\n")
    assert rehearsed.returncode == 0, rehearsed.stderr

    restored = ServedBox(there.folder)
    restored.start("--no-question")
    try:
        keys(restored).recover(recovery)
        with httpx2.Client(base_url=restored.url, cookies=dict(nina.cookies)) as old:
            assert eventually(lambda: old.get("/api/v1/me").status_code == 401)
        with browser(restored, "nina") as back:
            assert back.get(f"/api/v1/chats/{chat}").json()["title"] == "About the blue door"
            assert back.get(f"/api/v1/documents/{document}").json()["state"] == "ready"
            assert "brass key" in back.get(f"/api/v1/documents/{document}/original").text
            found = back.post(f"/api/v1/bases/{base}/search", json={"query": "blue door"}).json()
            assert "brass key" in found["hits"][0]["text"]
    finally:
        restored.stop()


def test_the_worker_goes_on_after_a_kill_and_the_terminal_sees_the_end(served: ServedBox, tmp_path: Path) -> None:
    stick = tmp_path / "stick"
    stick.mkdir()
    with served.client() as client:
        client.post("/backups/work", {"folder": str(stick), "action": "create"})
        os.kill(served.processes()["worker"], signal.SIGKILL)
        end = time.monotonic() + 60
        while (job := client.get("/backups/work")["job"])["state"] in ("waiting", "running"):
            assert time.monotonic() < end, job
            time.sleep(0.1)
    assert (job["state"], job["error"]) == ("done", None)
    assert "are whole" in said(served, "verify", stick)


def test_what_can_not_be_done_is_one_sentence(served: ServedBox, tmp_path: Path) -> None:
    assert "HK-BAK-001" in said(served, "create", tmp_path / "nowhere", code=1)
    assert "HK-BAK-002" in said(served, "list", tmp_path, code=1)
    assert "HK-BAK-002" in said(served, "restore", tmp_path, "--data-dir", tmp_path / "new", code=1)
    assert not (tmp_path / "new").exists()
    assert served.hako("backup", "create").returncode == 2
    assert "It is stopped." in said(served, "create", "--cancel")
