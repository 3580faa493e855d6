"""Clients that leave at any byte, that read nothing, or that say far too much: the box goes on for everybody else."""

import json
import re
import shutil
import socket
import struct
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest

from appliance import config
from appliance.config import REPOSITORY
from appliance.errors import ModelInUseError
from appliance.inference.client import InferenceClient
from appliance.inference.engines import scripted
from tests.simulators.served import ServedBox
from tests.simulators.waiting import eventually

SHORT = "[[words 3]] hi"
ENDLESS = "[[words 100000]] [[delay 5]] on and on"
PATHS = ["/v1/chat/completions", "/v1/completions", "/v1/responses", "/v1/messages", "/api/chat", "/api/generate"]
_SLOW = [pytest.param(path, marks=pytest.mark.slow) for path in (*PATHS[1:3], PATHS[5])]
EACH = pytest.mark.parametrize("path", [PATHS[0], PATHS[3], PATHS[4], *_SLOW])
"""One of each maker's in every run, all of them in the slow one."""
IDLE = 200
"""Clients that ask for an endless answer and read none of it."""
PEOPLE = 8
LONG = 10 << 20
"""Bytes of a prompt that no model here has room for."""
TALKER = "smollm2-135m-instruct"
BUILT = REPOSITORY / ".build" / "models"


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedBox]:
    with ServedBox(tmp_path_factory.mktemp("r") / "v") as box:
        yield box


@pytest.fixture(scope="module")
def key(served: ServedBox) -> str:
    return served.api_key("rude")


def body(path: str, prompt: str, *, model: str = "talker", stream: bool = True) -> dict[str, Any]:
    """What asks for the longest answer at an address."""
    said: dict[str, Any] = {"messages": [{"role": "user", "content": prompt}]}
    if path in ("/v1/completions", "/api/generate"):
        said = {"prompt": prompt}
    elif path in ("/v1/responses", "/v1/embeddings", "/api/embed"):
        said = {"input": prompt}
    return {"model": model, "stream": stream, "max_tokens": 100_000, **said}


def request(key: str, path: str, prompt: str) -> bytes:
    """As it is on the wire."""
    said = json.dumps(body(path, prompt)).encode()
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {key}\r\nConnection: close\r\n"
    return (head + f"Content-Type: application/json\r\nContent-Length: {len(said)}\r\n\r\n").encode() + said


def connect(served: ServedBox) -> socket.socket:
    return socket.create_connection(("127.0.0.1", served.port), timeout=30)


def read(connection: socket.socket, most: int) -> bytes:
    """Up to `most` bytes of the answer."""
    seen = b""
    while len(seen) < most and (more := connection.recv(most - len(seen))):
        seen += more
    return seen


def hang_up(connection: socket.socket) -> None:
    """At once, and without a good-bye: what was sent meanwhile is refused."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def busy(served: ServedBox) -> int:
    status = InferenceClient(config.load(data_dir=served.folder).inference_socket).status()
    return int(status.get("talker", {"busy": 0})["busy"])


def answers(served: ServedBox, key: str) -> bool:
    """Whether somebody who behaves is answered."""
    headers = {"Authorization": f"Bearer {key}"}
    said = body(PATHS[0], SHORT, stream=False)
    answer = httpx2.post(f"{served.url}/v1/chat/completions", json=said, headers=headers, timeout=60)
    return answer.status_code == 200 and "word2" in answer.text


def mistakes(served: ServedBox) -> list[str]:
    """Lines of the log that tell of something nobody foresaw."""
    return [line for line in served.log().splitlines() if re.search(r'"level": ?"(error|critical)"|Traceback', line)]


@EACH
def test_a_client_may_hang_up_after_any_byte_of_its_request(served: ServedBox, key: str, path: str) -> None:
    before, processes = mistakes(served), served.processes()
    whole = request(key, path, SHORT)
    for sent in range(len(whole) + 1):
        connection = connect(served)
        connection.sendall(whole[:sent])
        hang_up(connection)
    assert answers(served, key)
    assert eventually(lambda: busy(served) == 0)
    assert (served.processes(), mistakes(served)) == (processes, before)


@EACH
def test_a_client_may_hang_up_after_any_byte_of_its_answer(served: ServedBox, key: str, path: str) -> None:
    before, processes = mistakes(served), served.processes()
    whole = request(key, path, SHORT)
    with connect(served) as connection:
        connection.sendall(whole)
        length = len(read(connection, 1 << 20))
    assert length > 200
    for most in range(1, length + 1, 1 if path == PATHS[0] else 1 + length // 150):
        connection = connect(served)
        connection.sendall(whole)
        assert read(connection, most).startswith(b"HTTP/1.1 200"[:most])
        hang_up(connection)
    assert answers(served, key)
    assert eventually(lambda: busy(served) == 0)
    assert (served.processes(), mistakes(served)) == (processes, before)


def test_two_hundred_clients_that_read_nothing_keep_nobody_else_out(served: ServedBox, key: str) -> None:
    keys = [served.api_key(f"idler{number}") for number in range(PEOPLE)]
    connections = []
    try:
        for number in range(IDLE):
            connections.append(connect(served))
            connections[-1].sendall(request(keys[number % PEOPLE], PATHS[number % len(PATHS)], ENDLESS))
        assert eventually(lambda: busy(served) > 0)
        # A page and what needs no place at a model are there as ever.
        for address in ("/sign-in", "/api/v1/state"):
            assert httpx2.get(served.url + address, timeout=20).status_code == 200
        headers = {"Authorization": f"Bearer {key}"}
        assert httpx2.get(f"{served.url}/v1/models", headers=headers, timeout=20).status_code == 200
        asked = httpx2.post(
            f"{served.url}/v1/chat/completions", json=body(PATHS[0], SHORT, stream=False), headers=headers, timeout=60
        )
        assert asked.status_code in (200, 429, 503)
        if asked.status_code != 200:
            assert int(asked.headers["Retry-After"]) > 0
    finally:
        for connection in connections:
            hang_up(connection)
    assert eventually(lambda: busy(served) == 0, within_s=60)
    assert eventually(lambda: answers(served, key), within_s=60)


@pytest.mark.parametrize("path", PATHS)
def test_a_model_is_not_taken_from_an_answer(served: ServedBox, key: str, path: str) -> None:
    name = f"leaving{PATHS.index(path)}"
    scripted.install(config.load(data_dir=served.folder).models, name, "chat")
    said = body(path, "[[words 60]] [[delay 20]] on and on", model=name)
    headers = {"Authorization": f"Bearer {key}"}
    with (
        served.client() as operator,
        httpx2.stream("POST", served.url + path, json=said, headers=headers, timeout=60) as answer,
    ):
        lines = answer.iter_lines()
        while "word3" not in next(lines):
            pass
        with pytest.raises(ModelInUseError):
            operator.delete(f"/models/{name}")
        assert any("word59" in line for line in lines)
    assert eventually(lambda: is_removed(served, name))
    assert httpx2.post(served.url + path, json=said, headers=headers, timeout=60).status_code == 404


@pytest.mark.parametrize("path", PATHS)
def test_an_answer_whose_model_vanishes_from_the_disk_is_written_to_its_end(
    served: ServedBox, key: str, path: str
) -> None:
    name = f"vanishing{PATHS.index(path)}"
    folder = scripted.install(config.load(data_dir=served.folder).models, name, "chat")
    said = body(path, "[[words 60]] [[delay 20]] on and on", model=name)
    headers = {"Authorization": f"Bearer {key}"}
    with httpx2.stream("POST", served.url + path, json=said, headers=headers, timeout=60) as answer:
        lines = answer.iter_lines()
        while "word3" not in next(lines):
            pass
        shutil.rmtree(folder)
        assert any("word59" in line for line in lines)
    assert httpx2.post(served.url + path, json=said, headers=headers, timeout=60).status_code == 404


def is_removed(served: ServedBox, model: str) -> bool:
    """Its last answer may have its place for a moment longer than its client."""
    with served.client() as operator:
        try:
            operator.delete(f"/models/{model}")
        except ModelInUseError:
            return False
    return True


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedBox]:
    """With the starter models."""
    if not BUILT.is_dir():
        pytest.skip("the starter models are not built: make models")
    with ServedBox(tmp_path_factory.mktemp("r") / "v", models=BUILT) as box:
        yield box


@pytest.fixture(scope="module")
def real_key(real: ServedBox) -> str:
    return real.api_key("talkative")


@pytest.mark.models
@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/completions", "/v1/embeddings", "/api/embed"])
def test_ten_million_letters_are_refused_in_a_sentence(real: ServedBox, real_key: str, path: str) -> None:
    model = "multilingual-e5-small" if "embed" in path else TALKER
    headers = {"Authorization": f"Bearer {real_key}"}
    said = body(path, "many words " * (LONG // 11), model=model, stream=False)
    answer = httpx2.post(real.url + path, json=said, headers=headers, timeout=120)
    assert 400 <= answer.status_code < 500, answer.text[:300]
    assert answer.json()["error"]
    assert len(answer.text) < 2000
    said = body(PATHS[0], "Hello.", model=TALKER, stream=False) | {"max_tokens": 4}
    assert httpx2.post(f"{real.url}/v1/chat/completions", json=said, headers=headers, timeout=120).status_code == 200
