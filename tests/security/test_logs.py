"""A box driven through every kind of mistake, with a marker in each field: none is in its log or its support kit."""

import os
import re
import signal
import socket
import zipfile
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest

from tests.simulators.errands import browser, upload
from tests.simulators.served import PASSWORD, ServedBox
from tests.simulators.waiting import eventually

MARK = "zanzibar"
"""In everything that a person may say or send below, always with something behind it that names the place."""


def marked(place: str) -> str:
    return f"{MARK}-{place}"


@pytest.fixture(scope="module")
def day(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, dict[str, str]]:
    """The log after an evil day, and the files of a support kit."""
    folder = tmp_path_factory.mktemp("l")
    with ServedBox(folder / "v") as box, browser(box) as nina:
        say_everything(nina, box)
        fail_at_the_door(box)
        with box.client() as client:
            client.download("/health/kit/file", folder / "kit.zip")
        break_things(nina, box)
        box.stop()
        with zipfile.ZipFile(folder / "kit.zip") as kit:
            files = {name.rpartition("/")[2]: kit.read(name).decode() for name in kit.namelist()}
        return box.log() + box.output, files


@pytest.fixture(scope="module")
def log(day: tuple[str, dict[str, str]]) -> str:
    return day[0]


def say_everything(nina: httpx2.Client, box: ServedBox) -> None:
    """Ordinary work and refused requests of somebody who is signed in."""
    base = nina.post("/api/v1/bases", json={"name": marked("base"), "description": marked("description")}).json()["id"]
    nina.post("/api/v1/bases", json={"name": marked("base")})  # taken
    nina.post("/api/v1/bases", json={"name": "x", marked("field"): marked("value")})
    for name, content in (
        ("good.txt", marked("document").encode()),
        (f"{marked('name')}.txt", b"\n \n"),
        (f"{marked('name')}.exe", b"MZ" + marked("program").encode() * 50),
        (f"{marked('name')}.pdf", b"%PDF-1.7\n" + marked("broken").encode()),
        (f"{marked('name')}.docx", b"PK\x03\x04" + marked("broken").encode() * 9),
        (f"{marked('name')}.csv", ('"' + marked("cell") + "\n").encode() * 3),
    ):
        upload(nina, base, name, content)
    settled = lambda: all(  # noqa: E731
        item["state"] in ("ready", "failed") for item in nina.get(f"/api/v1/bases/{base}/documents").json()["items"]
    )
    assert eventually(settled, 60)
    for question in (marked("question"), f"[[die 1]] [[words 9]] {marked('death')}", f"{marked('long')} " * 6000):
        chat = nina.post("/api/v1/chats", json={}).json()["id"]
        nina.post(f"/api/v1/chats/{chat}/messages", json={"text": question})
        answered = lambda chat=chat: nina.get(f"/api/v1/chats/{chat}").json()["messages"][-1]["state"] != "running"  # noqa: E731
        assert eventually(answered)
        nina.patch(f"/api/v1/chats/{chat}", json={"title": marked("title")})
        nina.get(f"/api/v1/chats/{chat}/export")
    nina.get("/api/v1/chats", params={"query": marked("search")})
    nina.get("/api/v1/chats", params={marked("parameter"): marked("search")})
    nina.post("/api/v1/search", json={"query": marked("query")})
    nina.post("/api/v1/ask", json={"question": marked("asked"), "base_ids": [base]})
    nina.post("/api/v1/me/password", json={"current": marked("old-password"), "new": marked("new-password")})
    nina.post("/api/v1/me/keys", json={"name": marked("key")})
    nina.get(f"/api/v1/help/{marked('help')}")
    nina.get(f"/api/v1/documents/{marked('id')}", headers={"User-Agent": marked("agent"), "Referer": marked("referer")})
    programs(nina, base)


def programs(nina: httpx2.Client, base: str) -> None:
    """The dialects, with mistakes."""
    messages = [{"role": "user", "content": marked("prompt")}]
    for path, body in (
        ("/v1/chat/completions", {"model": marked("model"), "messages": messages}),
        (
            "/v1/chat/completions",
            {"model": "talker", "messages": messages, "response_format": {"type": marked("type")}},
        ),
        ("/v1/chat/completions", {"model": "talker", "messages": [{"role": marked("role"), "content": marked("x")}]}),
        ("/v1/chat/completions", {"model": "talker", "messages": [{"role": "user", "content": f"[[die 0]] {MARK}"}]}),
        ("/v1/chat/completions", {"model": f"kb:{base}", "messages": messages}),
        ("/v1/completions", {"model": "talker", "prompt": marked("prompt"), "suffix": marked("suffix")}),
        ("/v1/embeddings", {"model": "embedder", "input": f"{marked('embedded')} " * 5000}),
        ("/v1/messages", {"model": "talker", "messages": messages, "max_tokens": 5, "system": marked("system")}),
        ("/api/chat", {"model": "talker", "messages": messages, "tools": [{marked("tool"): 1}]}),
        ("/api/generate", {"model": "talker", "prompt": marked("prompt")}),
        ("/api/show", {"model": marked("model")}),
    ):
        nina.post(path, json=body)


def fail_at_the_door(box: ServedBox) -> None:
    """Strangers: wrong passwords, broken requests, other hosts."""
    with httpx2.Client(base_url=box.url, timeout=20) as stranger:
        for _ in range(7):
            stranger.post("/sign-in", data={"name": "nina", "password": marked("password")})
        stranger.post("/unlock", data={"passphrase": marked("passphrase")})
        stranger.post("/api/v1/unlock", json={"recovery_key": marked("recovery")})
        stranger.get("/setup", params={"token": marked("token")})
        stranger.get("/api/v1/me", headers={"Authorization": f"Bearer {marked('secret')}"})
        stranger.get("/api/v1/me", headers={"X-Api-Key": marked("secret"), "Authorization": f"Basic {MARK}"})
        stranger.get("/", headers={"Cookie": f"hako={marked('cookie')}"})
        stranger.get("/", headers={"Host": f"{marked('host')}.example"})
        stranger.get(f"/{marked('path')}")
        stranger.post("/sign-in", data={"name": "nina"}, headers={"Origin": f"http://{marked('origin')}.example"})
    head = "GET / HTTP/1.1\r\nHost: localhost\r\n"
    for raw in (
        f"GET /?q={marked('line')} NONSENSE\r\n\r\n",
        f"{MARK} / HTTP/1.1\r\n\r\n",
        f"{head}Authorization : Bearer {marked('header')}\r\n\r\n",
        f"{head}X-{MARK}\r\n\r\n",
        f"{head}X: {marked('folded')}\r\n {marked('more')}\r\n\r\n",
        f"{head}Content-Length: {MARK}\r\n\r\n",
        f"{head}Transfer-Encoding: {MARK}\r\n\r\n",
        f"{head}Cookie: hako={marked('long') * 2000}\r\n\r\n",
        f"GET /{marked('x') * 700} HTTP/1.1\r\nHost: localhost\r\n\r\n",
        f"POST /sign-in HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n{MARK}\r\n",
    ):
        with socket.create_connection(("127.0.0.1", box.port), timeout=20) as connection:
            connection.sendall(raw.encode())
            connection.shutdown(socket.SHUT_WR)
            while connection.recv(4096):
                pass


def break_things(nina: httpx2.Client, box: ServedBox) -> None:
    """Faults in the middle of what people say."""
    chat = nina.post("/api/v1/chats", json={}).json()["id"]
    nina.post(f"/api/v1/chats/{chat}/messages", json={"text": f"[[words 3000]] [[delay 20]] {marked('cut')}"})
    nina.delete(f"/api/v1/chats/{chat}")
    body = {"model": "talker", "stream": True}
    body |= {"messages": [{"role": "user", "content": f"[[words 3000]] [[delay 20]] {MARK}"}]}
    with nina.stream("POST", "/v1/chat/completions", json=body) as answer:
        next(answer.iter_bytes())  # and away
    base = nina.get("/api/v1/bases").json()["items"][0]["id"]
    with pytest.raises(httpx2.TransportError), httpx2.Client(base_url=box.url, cookies=nina.cookies) as torn:
        torn.post(f"/api/v1/bases/{base}/documents", content=torn_apart(), headers={"Content-Type": MULTIPART})
    os.kill(box.processes()["inference"], signal.SIGKILL)
    nina.post("/api/v1/ask", json={"question": marked("nobody-there")})
    nina.post("/v1/embeddings", json={"model": "embedder", "input": marked("nobody-there")})
    os.kill(box.processes()["web"], signal.SIGKILL)
    box.read_until("web had stopped and was restarted", 30)
    assert eventually(lambda: is_back(box), 60)


MULTIPART = "multipart/form-data; boundary=B"


def torn_apart() -> Iterator[bytes]:
    yield f'--B\r\nContent-Disposition: form-data; name="file"; filename="{marked("torn")}.txt"\r\n\r\n'.encode()
    yield marked("torn").encode() * 10
    raise httpx2.WriteError("the cable")


def is_back(box: ServedBox) -> bool:
    try:
        with httpx2.Client(base_url=box.url, timeout=5) as stranger:
            form: dict[str, Any] = {"name": "nina", "password": PASSWORD}
            return stranger.post("/sign-in", data=form).status_code in (303, 429)
    except httpx2.TransportError:
        return False


def test_the_day_left_its_traces(log: str) -> None:
    for event in ("request", "request_failed", "job_closed", "child_died", "gunicorn", "process_died"):
        assert f'"event": "{event}"' in log or f'"event":"{event}"' in log, event


def test_nothing_that_anybody_said_or_sent_is_in_the_log(log: str) -> None:
    assert [line for line in log.splitlines() if MARK in line.lower()] == []


def test_no_password_and_no_trace_of_python_is_in_the_log(log: str) -> None:
    assert PASSWORD not in log
    assert "Traceback" not in log
    assert "hako_" not in log


def test_a_support_kit_of_that_day_tells_what_happened_and_nothing_that_anybody_said(
    day: tuple[str, dict[str, str]],
) -> None:
    files = day[1]
    assert '"event":"request_failed"' in files["log.jsonl"]
    assert len(files) == 12
    whole = "\n".join(files.values())
    assert MARK not in whole.lower()
    assert PASSWORD not in whole
    assert not re.search(r"\bnina\b|127\.0\.0\.1:\d|Mozilla", whole)
