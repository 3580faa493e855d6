"""The box's processes as their units start them: one by one, as accounts of their own, on a socket opened for web."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from appliance.vault.client import KeysClient
from tests.simulators.units import PASSPHRASE, Units, as_account


@pytest.fixture(scope="module")
def units() -> Iterator[Units]:
    with Units() as started:
        started.start("keys", "inference", "worker", "web")
        KeysClient(started.settings.keys_socket).create(PASSPHRASE)
        with started.client() as client:
            client.get("/models")  # with the keys it opens what it stores: any test may be the first
        yield started


def test_together_they_answer_a_question_and_take_in_a_document(units: Units) -> None:
    headers = {"Authorization": f"Bearer {units.api_key('alice')}"}
    with httpx2.Client(base_url=units.url, headers=headers, timeout=60) as box:
        asked = {"model": "talker", "messages": [{"role": "user", "content": "[[words 3]] hi"}]}
        answered = box.post("/v1/chat/completions", json=asked)
        assert answered.json()["choices"][0]["message"]["content"] == "word0 word1 word2"
        base = box.post("/api/v1/bases", json={"name": "Rules"}).json()
        content = b"The gate closes at nine. The key is at the desk."
        added = box.post(f"/api/v1/bases/{base['id']}/documents", files={"file": ("rules.txt", content)}).json()
        until = time.monotonic() + 60
        while (seen := box.get(f"/api/v1/documents/{added['id']}").json())["state"] in ("waiting", "working"):
            assert time.monotonic() < until, seen
            time.sleep(0.1)
        assert seen["state"] == "ready", seen


def test_web_listens_where_it_was_told_to_and_nowhere_else(units: Units) -> None:
    assert httpx2.get(f"{units.url}/sign-in").status_code == 200
    log = units.log("web")
    assert "Traceback" not in log
    admin = units.settings.admin_socket
    assert (admin.stat().st_mode & 0o777, admin.stat().st_uid) == (0o600, units.uid("web"))


def test_what_they_share_is_for_their_group_and_for_nobody_else(units: Units) -> None:
    if not units.are_separate:
        pytest.skip("needs root")
    made = [path for path in units.data.rglob("*") if path.stat().st_uid and not path.is_socket()]
    assert {path.name for path in made} >= {"hako.db", "vault.json", "blobs"}
    assert not [path for path in made if path.stat().st_mode & 0o007]
    groups = {units.data.stat().st_gid, (units.data / "models").stat().st_gid}
    assert not [path for path in made if path.stat().st_gid not in groups]


def test_the_keys_go_to_web_and_worker_and_to_nobody_else(units: Units) -> None:
    if not units.are_separate:
        pytest.skip("needs root")
    keys, group = units.settings.keys_socket, units.data.stat().st_gid
    got = {process: derived(keys, units.uid(process), group) for process in ("web", "worker", "inference", "egress")}
    assert got == {"web": "key", "worker": "key", "inference": "nothing", "egress": "nothing"}
    assert "stranger_refused" in units.log("keys")
    assert derived(units.settings.inference_socket, units.uid("egress"), group) == "PermissionError"


def test_a_process_that_comes_again_finds_its_place_and_the_box_goes_on(units: Units) -> None:
    assert units.stop("inference") == 0
    units.start("inference")
    with units.client() as client:
        assert {model["id"] for model in client.get("/models")["items"]} == {"talker", "embedder"}


def test_the_helper_listens_to_web_and_for_releases_to_the_worker_and_to_nobody_else(units: Units) -> None:
    if not units.are_separate:
        pytest.skip("needs root")
    units.start("helper")
    path, group = units.settings.helper_socket, units.data.stat().st_gid
    no_stick = '{"verb":"mount","partition":"sdzz99"}'
    refused = '{"error":"HK-BOX-024","params":{"reason":"medium"}}'
    assert said(path, no_stick, units.uid("web"), group) == refused
    assert {said(path, no_stick, uid, group) for uid in (units.uid("inference"), units.uid("keys"), 0)} == {""}
    not_yours = '{"error":"HK-BOX-024","params":{"reason":"account"}}'
    assert said(path, no_stick, units.uid("worker"), group) == not_yours
    release = json.dumps({"verb": "install", "media": "/elsewhere", "below": [], "digest": "a" * 64})
    assert said(path, release, units.uid("worker"), group) == '{"error":"HK-UPD-009","params":{}}'
    assert units.log("helper").count('"reason": "account"') == 4


def derived(path: Path, uid: int, group: int) -> str:
    """What an account that is in the group gets when it asks for a key."""
    answer = said(path, '{"op":"derive","purpose":"database"}', uid, group)
    return "key" if '"key"' in answer else answer or "nothing"


def said(path: Path, asked: str, uid: int, group: int) -> str:
    """What an account is answered on a socket."""
    script = (
        "import socket, sys\n"
        "try:\n"
        "    with socket.socket(socket.AF_UNIX) as s:\n"
        "        s.connect(sys.argv[1])\n"
        "        s.sendall(sys.argv[2].encode() + b'\\n')\n"
        "        print(s.recv(4096).decode())\n"
        "except PermissionError as error:\n"
        "    print('PermissionError')\n"
        "except ConnectionError:\n"
        "    print()\n"
    )
    command = [*as_account(uid, group, []), sys.executable, "-c", script, str(path), asked]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
