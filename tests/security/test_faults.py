"""Faults around a whole box: an end in the middle of everything, a full disk, a model that breaks."""

import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import httpx2
import pytest

from appliance import config
from appliance.inference.client import InferenceClient
from appliance.machine import resources
from tests.simulators.errands import LONG, QUESTION, answer, ask, browser, house, state, upload
from tests.simulators.served import PASSWORD, ServedBox
from tests.simulators.waiting import eventually

# -- Ctrl-C in the middle of everything


def test_ctrl_c_ends_the_box_in_order_with_answers_and_a_document_under_way(tmp_path: Path) -> None:
    box = ServedBox(tmp_path / "v")
    with box, browser(box) as nina:
        base = nina.post("/api/v1/bases", json={"name": "mine"}).json()["id"]
        document = upload(nina, base, "long.txt", LONG.encode()).json()["id"]
        assert eventually(lambda: state(nina, document) == "working")
        chat = nina.post("/api/v1/chats", json={}).json()["id"]
        run = ask(nina, chat, "[[words 4000]] [[delay 20]] on and on").json()["run_id"]
        seen: dict[str, bytes] = {}

        def follow(name: str, method: str, path: str, **more: Any) -> None:
            with (
                httpx2.Client(base_url=box.url, timeout=60, cookies=nina.cookies) as reader,
                reader.stream(method, path, **more) as response,
            ):
                for piece in response.iter_bytes():
                    seen[name] = seen.get(name, b"") + piece

        messages = [{"role": "user", "content": "[[words 4000]] [[delay 20]]"}]
        body = {"model": "talker", "stream": True, "messages": messages}
        readers = [
            threading.Thread(target=follow, args=("run", "GET", f"/api/v1/runs/{run}/events")),
            threading.Thread(target=follow, args=("api", "POST", "/v1/chat/completions"), kwargs={"json": body}),
        ]
        for reader in readers:
            reader.start()
        assert eventually(lambda: len(seen) == len(readers) and busy(box) == 2)
        pids = resources.tree(box.pid)
        assert box.stop() == 0
        for reader in readers:
            reader.join(20)
        assert b"event: done" in seen["run"]  # whoever follows sees how it ended
        assert b"word0" in seen["api"]
        assert "process_killed" not in box.log()
        assert eventually(lambda: not any(Path(f"/proc/{pid}").exists() for pid in pids))
    with box:
        with httpx2.Client(base_url=box.url, timeout=60) as nina:
            nina.post("/sign-in", data={"name": "nina", "password": PASSWORD})
            stopped = answer(nina, chat)
            assert (stopped["state"], stopped["text"].startswith("word0 word1")) == ("stopped", True)
            assert eventually(lambda: state(nina, document) == "ready", 60)
        assert '"attempt": 2' not in box.log()  # the interrupted start did not count


def busy(box: ServedBox) -> int:
    """Answers that the chat model is writing now."""
    status = InferenceClient(config.load(data_dir=box.folder).inference_socket).status()
    return int(status.get("talker", {"busy": 0})["busy"])


# -- a full disk


def can_mount() -> bool:
    if os.geteuid() != 0 or not shutil.which("unshare"):
        return False
    return subprocess.run(["unshare", "-m", "true"], check=False, capture_output=True).returncode == 0


@pytest.mark.skipif(not can_mount(), reason="only root can make a small disk")
def test_a_full_disk_costs_what_could_not_be_stored_and_nothing_else(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    script = f"mount -t tmpfs -o size=48m tmpfs {disk} && exec {sys.executable} -m tests.security.full_disk {disk}"
    ran = subprocess.run(
        ["unshare", "-m", "bash", "-c", script], capture_output=True, text=True, timeout=110, check=False
    )
    assert ran.returncode == 0, ran.stderr[-6000:]
    assert ran.stdout.splitlines()[-1] == "all is well"


# -- a model that breaks


def test_a_model_that_is_damaged_while_the_box_runs_is_named_and_the_rest_serves(tmp_path: Path) -> None:
    with ServedBox(tmp_path / "v") as box, browser(box) as nina:
        base = house(box)
        chat = nina.post("/api/v1/chats", json={}).json()["id"]
        assert ask(nina, chat, "[[words 2]] hi").status_code == 201
        assert eventually(lambda: answer(nina, chat)["state"] == "done")
        file = box.folder / "scripted" / "talker" / "script"
        whole = file.read_bytes()
        file.write_bytes(whole[:2])
        with box.client() as client:
            client.post("/models/talker/unload", {})
        ask(nina, chat, "[[words 2]] hi")
        assert eventually(lambda: answer(nina, chat)["state"] == "failed")
        error = answer(nina, chat)["error"]
        assert error["code"] == "HK-MOD-002"
        assert "Scripted chat" in error["title"]
        body = {"model": "talker", "messages": [{"role": "user", "content": "x"}]}
        refused = nina.post("/v1/chat/completions", json=body)
        assert (refused.status_code, refused.json()["error"]["hako_code"]) == (500, "HK-MOD-002")
        found = nina.post(f"/api/v1/bases/{base}/search", json={"query": QUESTION}).json()
        assert "blue door" in found["hits"][0]["text"]
        file.write_bytes(whole)
        ask(nina, chat, "[[words 2]] hi")
        assert eventually(lambda: answer(nina, chat)["state"] == "done")
