"""The inference process as it really runs: leases, queues, children that die or grow, damaged models, no network."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from appliance.config import REPOSITORY
from appliance.errors import (
    BadInputError,
    CancelledError,
    HakoError,
    InferenceUnreachableError,
    LoadCancelledError,
    ModelDamagedError,
    ModelFailedError,
    ModelNotFoundError,
    ModelQuarantinedError,
)
from appliance.inference import protocol
from appliance.inference.client import InferenceClient, Lease
from appliance.inference.engines import scripted
from appliance.inference.transport import ChildConnection
from appliance.processes.supervise import Supervisor
from tests.simulators.waiting import eventually

START_S = 60.0
BUILT = REPOSITORY / ".build" / "models"
COMMAND = [sys.executable, "-m", "appliance.processes", "inference", "--data-dir"]
SETTINGS = """
[inference]
chat_model = "talker"
embedding_model = "embedder"
threads = 1
parallel = 2
child_memory_mb = 512
"""


def prepare(folder: Path) -> None:
    (folder / "run").mkdir(mode=0o700)
    (folder / "hako.toml").write_text(SETTINGS, "utf-8")
    scripted.install(folder / "models", "talker", "chat")
    scripted.install(folder / "models", "embedder", "embedding")


@pytest.fixture
def folder() -> Iterator[Path]:
    """A data folder whose name is short enough for unix sockets."""
    with tempfile.TemporaryDirectory(prefix="hako-") as name:
        prepare(Path(name))
        yield Path(name)


@pytest.fixture(scope="module")
def shared() -> Iterator[Path]:
    """A data folder with a running inference process; tests bring models of their own."""
    with tempfile.TemporaryDirectory(prefix="hako-") as name:
        prepare(Path(name))
        supervisor = Supervisor(Path(name), Path(name) / "inference.log")
        supervisor.start("inference", START_S)
        yield Path(name)
        supervisor.stop()


@pytest.fixture
def client(shared: Path) -> InferenceClient:
    return client_of(shared)


@pytest.fixture
def model(shared: Path) -> Iterator[Callable[..., str]]:
    """`model(script)`: a chat model for this test only; returns its name."""
    made: list[str] = []

    def install(script: bytes = b"answer") -> str:
        made.append(f"m-{os.urandom(6).hex()}")
        scripted.install(shared / "models", made[-1], "chat", script)
        return made[-1]

    yield install
    for name in made:
        client_of(shared).unload(name)


def client_of(folder: Path) -> InferenceClient:
    return InferenceClient(folder / "run" / "inference.sock")


def read(lease: Lease, text: str, **more: Any) -> str:
    """The whole answer to `text` at a model that is leased already."""
    with ChildConnection(lease.socket, lease.api_key, lease.model) as connection:
        body = {"messages": [{"role": "user", "content": text}], "stream": True, **more}
        connection.send("/v1/chat/completions", body)
        connection.begin()
        stream = b"".join(connection.chunks()).decode()
    events = [line.removeprefix("data: ") for line in stream.split("\n\n") if line.startswith("data: {")]
    deltas = [choice["delta"] for event in events for choice in json.loads(event)["choices"]]
    return "".join(delta.get("content") or "" for delta in deltas)


def ask(client: InferenceClient, model: str, text: str, **more: Any) -> str:
    with client.lease(model, timeout=60) as lease:
        return read(lease, text, **more)


def is_reachable(client: InferenceClient) -> bool:
    try:
        client.status()
    except InferenceUnreachableError:
        return False
    return True


def is_gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
    except OSError:
        return True


# -- leases and the queue


def test_the_default_models_are_loaded_without_being_asked_for(client: InferenceClient) -> None:
    def loaded() -> bool:
        return {name for name, state in client.status().items() if state["state"] == "loaded"} >= {"talker", "embedder"}

    assert eventually(loaded, 60)


def test_a_lease_leads_to_an_answer(client: InferenceClient) -> None:
    assert ask(client, "talker", "hello there") == "hello there"
    with client.lease("embedder") as lease, ChildConnection(lease.socket, lease.api_key, "embedder") as connection:
        assert len(connection.json("/v1/embeddings", {"input": ["a", "b"]})["data"]) == 2


def test_whoever_waits_is_told_the_place_and_served_in_order(
    client: InferenceClient, model: Callable[..., str]
) -> None:
    name = model()
    held = [client.lease(name) for _ in range(2)]
    told: dict[int, list[tuple[str, int]]] = {0: [], 1: []}
    served: list[int] = []

    def wait(number: int) -> None:
        with client.lease(name, timeout=60, waits=lambda stage, place, _: told[number].append((stage, place))):
            served.append(number)

    threads = []
    for number in told:
        threads.append(threading.Thread(target=wait, args=(number,)))
        threads[-1].start()
        assert eventually(partial(lambda number: told[number][-1:] == [("queued", number + 1)], number))
    assert client.status()[name] | {"pid": 0, "memory_bytes": 0, "mapped_bytes": 0, "since": 0} == {
        "id": name, "state": "loaded", "pid": 0, "memory_bytes": 0, "mapped_bytes": 0, "provider": "cpu",
        "context": 4096, "busy": 2, "waiting": 2, "error": None, "parallel": 2, "pinned": False, "since": 0,
        "idle_s": 0.0, "answered": 0, "idle_limit_s": None, "wait_s": None, "write_per_s": 0.0, "loading": None,
        "outdated": False, "fell_back": False,
    }  # fmt: skip
    held[0].close()
    for thread in threads:
        thread.join(30)
    held[1].close()
    assert served == [0, 1]
    assert told[1][:2] == [("queued", 2), ("queued", 1)]


def test_what_is_written_is_the_models_own_rate_while_it_is_written(
    client: InferenceClient, model: Callable[..., str]
) -> None:
    name, other = model(), model()
    with client.lease(name) as lease, client.lease(other):
        for _ in range(30):
            lease.wrote(2)
            time.sleep(0.1)
        assert 10 < client.status()[name]["write_per_s"] <= 25  # 60 in 3 s, or a little more on a busy machine
        assert client.status()[other]["write_per_s"] == 0
    with client.lease(name, timeout=60) as lease:
        read(lease, "hello")  # a telling lease is as good as any when it is given back
    assert eventually(lambda: client.status()[name]["write_per_s"] == 0, 20)
    with client.lease("embedder"):
        assert client.status()["embedder"]["write_per_s"] is None  # it writes nothing


def test_a_load_tells_how_far_it_has_come_and_can_be_ended(client: InferenceClient, model: Callable[..., str]) -> None:
    name = model(b"slow" + b"." * 200_000)

    def loading() -> dict[str, Any]:
        return client.status().get(name, {}).get("loading") or {}

    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(client.load, name)
        assert eventually(lambda: loading().get("stage") == "reading", 30)
        assert eventually(lambda: 0.5 < loading().get("fraction", 0) < 0.8, 30)  # half of it was to check the digest
        earlier = loading()
        assert eventually(lambda: loading()["fraction"] > earlier["fraction"], 30)
        assert loading()["elapsed_s"] > 0
        client.unload(name)
        with pytest.raises(LoadCancelledError):
            first.result()
    assert client.status()[name]["state"] == "idle"
    with ThreadPoolExecutor(1) as pool:
        again = pool.submit(ask, client, name, "hello")
        assert eventually(lambda: loading().get("fraction", 0) > 0.3, 30)
        assert again.result() == "hello"
    assert client.status()[name]["loading"] is None


def test_twenty_people_are_all_served_and_one_with_many_requests_holds_up_nobody(
    client: InferenceClient, model: Callable[..., str]
) -> None:
    name = model()
    held = [client.lease(name) for _ in range(2)]
    served: list[str] = []

    def wait(who: str) -> None:
        with client.lease(name, who=who, timeout=60) as lease:
            served.append(who)
            read(lease, "hello")

    people = ["alice"] * 10 + [f"person {number}" for number in range(20)]
    threads = [threading.Thread(target=wait, args=(who,)) for who in people]
    for number, thread in enumerate(threads, 1):
        thread.start()
        assert eventually(partial(lambda number: client.status()[name]["waiting"] == number, number))
    for lease in held:
        lease.close()
    for thread in threads:
        thread.join(60)
    assert sorted(served) == sorted(people)
    second = [place for place, who in enumerate(served) if who == "alice"][1]
    assert second > 15  # after everybody's first; threads that were let go together may note it in another order
    assert eventually(
        lambda: client.status()[name]["answered"] == 32
    )  # the last one gives its place back a moment later


def test_a_holder_that_is_killed_gives_its_place_back(
    client: InferenceClient, model: Callable[..., str], shared: Path
) -> None:
    name = model()
    script = (
        "import sys, pathlib; from appliance.inference.client import InferenceClient\n"
        f"leases = [InferenceClient(pathlib.Path({str(shared / 'run' / 'inference.sock')!r})).lease({name!r})"
        " for _ in range(2)]\nprint('held', flush=True); sys.stdin.read()"
    )
    holder = subprocess.Popen(
        [sys.executable, "-c", script], cwd=REPOSITORY, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    with holder:
        assert holder.stdout
        assert holder.stdout.readline() == b"held\n"
        assert client.status()[name]["busy"] == 2
        holder.kill()
        assert ask(client, name, "free again") == "free again"


def test_who_stops_waiting_leaves_the_queue(client: InferenceClient, model: Callable[..., str]) -> None:
    name = model()
    held = [client.lease(name) for _ in range(2)]
    with pytest.raises(CancelledError):
        client.lease(name, stopped=lambda: True)
    assert eventually(lambda: client.status()[name]["waiting"] == 0)
    for lease in held:
        lease.close()


def test_unloading_frees_the_memory_and_the_next_question_loads_again(
    client: InferenceClient, model: Callable[..., str]
) -> None:
    name = model()
    client.load(name)
    pid = client.status()[name]["pid"]
    client.unload(name)
    assert client.status()[name]["state"] == "idle"
    assert eventually(lambda: is_gone(pid))
    assert ask(client, name, "hello") == "hello"


def test_the_socket_is_private_and_nonsense_on_it_is_refused(client: InferenceClient, shared: Path) -> None:
    path = shared / "run" / "inference.sock"
    assert path.stat().st_mode & 0o777 == 0o600
    with client._ask({"op": "frobnicate"}) as connection:
        answer = protocol.Lines(connection).receive()
    assert answer == {"event": "error", "code": BadInputError.code, "params": {"field": "op"}}
    assert ask(client, "talker", "on") == "on"


# -- children that die or grow


def test_a_child_that_dies_in_the_middle_costs_one_answer(client: InferenceClient, model: Callable[..., str]) -> None:
    name = model()
    with pytest.raises(ModelFailedError):
        ask(client, name, "[[words 50]] [[delay 5]] [[die 5]]")
    assert ask(client, name, "hello again") == "hello again"


def test_a_child_killed_from_outside_costs_its_answers_and_no_other(
    client: InferenceClient, model: Callable[..., str]
) -> None:
    name, other = model(), model()
    client.load(other)
    with client.lease(name) as lease, ChildConnection(lease.socket, lease.api_key, name) as connection:
        body = {"messages": [{"content": "[[words 2000]] [[delay 20]]"}], "stream": True}
        connection.send("/v1/chat/completions", body)
        connection.begin()
        chunks = connection.chunks()
        next(chunks)
        os.kill(client.status()[name]["pid"], signal.SIGKILL)
        with pytest.raises(ModelFailedError):
            list(chunks)
    assert ask(client, name, "back") == "back"
    assert ask(client, other, "never away") == "never away"


def test_a_model_that_always_dies_is_quarantined_and_the_others_go_on(
    client: InferenceClient, model: Callable[..., str]
) -> None:
    name = model(b"die")
    failures: list[type[HakoError]] = []
    while ModelQuarantinedError not in failures:
        with pytest.raises((ModelFailedError, ModelQuarantinedError)) as caught:
            ask(client, name, "hello")
        failures.append(caught.type)
    assert len(failures) == 3
    assert client.status()[name]["state"] == "quarantined"
    began = time.monotonic()
    with pytest.raises(ModelQuarantinedError):
        client.lease(name)
    assert time.monotonic() - began < 10  # refused without another try
    assert ask(client, "talker", "fine") == "fine"


def test_loading_by_hand_lifts_a_quarantine(client: InferenceClient, model: Callable[..., str], shared: Path) -> None:
    name = model()
    for _ in range(3):
        with pytest.raises(ModelFailedError):
            ask(client, name, "[[words 9]] [[delay 1]] [[die 2]]")
    assert eventually(lambda: client.status()[name]["state"] == "quarantined")
    client.load(name)
    assert ask(client, name, "well again") == "well again"


def test_a_model_that_is_removed_while_it_answers_ends_its_answer_and_is_gone(
    client: InferenceClient, model: Callable[..., str], shared: Path
) -> None:
    name = model()
    with client.lease(name) as lease, ChildConnection(lease.socket, lease.api_key, name) as connection:
        connection.send("/v1/chat/completions", {"messages": [{"content": "[[words 20]] [[delay 5]]"}], "stream": True})
        connection.begin()
        chunks = connection.chunks()
        first = next(chunks)
        shutil.rmtree(shared / "models" / name)
        assert b"word19" in first + b"".join(chunks)
    with pytest.raises(ModelNotFoundError):
        client.lease(name)
    client.unload(name)
    assert client.status()[name]["state"] == "idle"


def test_a_child_over_its_memory_limit_is_killed(client: InferenceClient, model: Callable[..., str]) -> None:
    name = model()
    with pytest.raises(ModelFailedError):
        ask(client, name, "[[eat 560]] [[words 4000]] [[delay 20]]")
    assert ask(client, name, "lighter") == "lighter"


def test_a_child_that_hangs_is_ended_all_the_same(client: InferenceClient, model: Callable[..., str]) -> None:
    name = model()
    client.lease(name).close()
    child = client.status()[name]["pid"]
    os.kill(child, signal.SIGSTOP)
    client.unload(name)
    assert not Path(f"/proc/{child}").exists()
    client.lease(name).close()


def test_a_model_that_refuses_its_files_is_damaged(client: InferenceClient, model: Callable[..., str]) -> None:
    with pytest.raises(ModelDamagedError):
        ask(client, model(b"refuse"), "hello")


# -- files that are not what they should be


def test_a_file_with_another_digest_is_not_started_until_it_is_repaired(
    client: InferenceClient, model: Callable[..., str], shared: Path
) -> None:
    name = model()
    script = shared / "models" / name / "script"
    for content in (b"ANSWER", b"answe", b"answers"):
        script.write_bytes(content)
        with pytest.raises(ModelDamagedError) as caught:
            ask(client, name, "hello")
        assert caught.value.params == {"name": "Scripted chat"}
    assert client.status()[name]["state"] == "failed"
    script.write_bytes(b"answer")
    assert ask(client, name, "whole") == "whole"


def test_a_cut_manifest_and_an_unknown_model_are_told_apart(
    client: InferenceClient, model: Callable[..., str], shared: Path
) -> None:
    name = model()
    manifest = shared / "models" / name / "model.json"
    content = manifest.read_bytes()
    manifest.write_bytes(content[: len(content) // 2])
    with pytest.raises(ModelDamagedError):
        ask(client, name, "hello")
    for unknown in ("none", "../models/talker", ""):
        with pytest.raises(ModelNotFoundError):
            client.lease(unknown)
    manifest.write_bytes(content)
    assert ask(client, name, "whole") == "whole"


# -- start and end


def test_told_to_stop_it_ends_its_children_and_takes_its_sockets_along(folder: Path) -> None:
    supervisor = Supervisor(folder, folder / "inference.log")
    supervisor.start("inference", START_S)
    client = client_of(folder)
    client.load("talker")
    client.load("embedder")
    children = [state["pid"] for state in client.status().values()]
    with client.lease("talker") as lease:
        supervisor.stop()
        assert all(is_gone(pid) for pid in children)
        with pytest.raises(ModelFailedError):
            read(lease, "hello")
    assert list((folder / "run").glob("*.sock")) == []


def test_killed_it_leaves_no_child_behind_and_starts_again(folder: Path) -> None:
    supervisor = Supervisor(folder, folder / "inference.log")
    supervisor.start("inference", START_S)
    client = client_of(folder)
    client.load("talker")
    child = client.status()["talker"]["pid"]
    os.kill(supervisor.pids()["inference"], signal.SIGKILL)
    assert eventually(lambda: is_gone(child))
    with pytest.raises(InferenceUnreachableError):
        client.status()
    supervisor.stop()
    supervisor.start("inference", START_S)
    assert ask(client, "talker", "again") == "again"
    supervisor.stop()


def test_a_second_one_is_refused_and_the_first_goes_on(client: InferenceClient, shared: Path) -> None:
    second = subprocess.run([*COMMAND, str(shared)], capture_output=True, text=True, timeout=60, check=False)
    assert second.returncode == 1
    assert "HK-BOX-009" in second.stderr
    assert ask(client, "talker", "first") == "first"


def test_without_any_model_it_starts_and_says_what_is_missing(folder: Path) -> None:
    for name in ("talker", "embedder"):
        (folder / "models" / name / "model.json").unlink()
    supervisor = Supervisor(folder, folder / "inference.log")
    supervisor.start("inference", START_S)
    with pytest.raises(ModelNotFoundError):
        client_of(folder).lease("talker")
    supervisor.stop()
    assert "HK-MOD-001" in (folder / "inference.log").read_text("utf-8")


def test_no_prompt_and_no_key_reaches_the_log(client: InferenceClient, shared: Path, model: Callable[..., str]) -> None:
    name = model()
    with client.lease(name) as lease:
        key = lease.api_key
        read(lease, "the secret of Alice")
    with pytest.raises(ModelFailedError):
        ask(client, name, "[[say the secret of Bob]] [[die 2]]")
    log = shared / "inference.log"
    assert eventually(lambda: f'"model": "{name}", "how": "signal 9"' in log.read_text("utf-8"))
    logged = log.read_text("utf-8")
    assert not [word for word in (key, "secret of Alice", "secret of Bob") if word in logged]


# -- without a network


def isolated(folder: Path) -> Iterator[InferenceClient]:
    """The process in a network namespace with nothing in it, not even loopback."""
    refused = subprocess.run(["unshare", "-rn", "true"], capture_output=True, text=True, check=False)
    if refused.returncode:
        pytest.skip(f"this machine allows no network namespace: {refused.stderr.strip()}")
    with (folder / "inference.log").open("wb") as log:
        process = subprocess.Popen(["unshare", "-rn", *COMMAND, str(folder)], cwd=REPOSITORY, stderr=log)
    client = client_of(folder)
    try:
        assert eventually(lambda: is_reachable(client), START_S)
        table = Path(f"/proc/{process.pid}/net/route").read_text()
        assert len(table.splitlines()) <= 1, table
        yield client
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(20)


def test_it_needs_no_network(folder: Path) -> None:
    for client in isolated(folder):
        assert ask(client, "talker", "alone") == "alone"


@pytest.mark.models
def test_real_models_need_no_network(folder: Path) -> None:
    if not BUILT.is_dir():
        pytest.skip("the starter models are not built: make models")
    (folder / "hako.toml").write_text(f'models_dir = "{BUILT}"\n[inference]\ncontext_tokens = 512\n', "utf-8")
    for client in isolated(folder):
        question = "What is the capital of Japan?"
        assert "Tokyo" in ask(client, "smollm2-135m-instruct", question, max_tokens=16, temperature=0)
        lease = client.lease("multilingual-e5-small", timeout=60)
        with lease, ChildConnection(lease.socket, lease.api_key, "e5") as connection:
            assert len(connection.json("/v1/embeddings", {"input": "query: 首都"})["data"][0]["embedding"]) == 384
