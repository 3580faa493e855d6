"""A box as people start it: `hako serve` with all its processes, on a free port, in a folder of its own."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx2

from appliance import config
from appliance.cli.client import BoxClient
from appliance.inference.engines import scripted
from appliance.machine import resources

HAKO = [sys.executable, "-m", "appliance"]
PASSWORD = "correct-horse-battery-staple"


def free_port() -> int:
    """A port of loopback that nobody uses now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def typed(*arguments: str, **more: Any) -> subprocess.CompletedProcess[str]:
    """A command in a terminal that speaks English; `input` answers what it asks, passwords too."""
    return subprocess.run(
        [*HAKO, *arguments],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "LANG": "en_GB.UTF-8", "LC_ALL": ""},
        start_new_session=True,  # else it would ask for passwords at the terminal of who runs the tests
        **{"timeout": 300, **more},
    )


class RunningBox:
    """A box in a folder that has its settings, started with `hako serve` and stopped with Ctrl-C."""

    READY = "Ctrl-C stops the box."
    """What it says last when it has started."""

    def __init__(self, folder: Path, port: int, *options: str) -> None:
        self.folder, self.port = folder, port
        self._options = options
        self.output = ""
        self._process: subprocess.Popen[str] | None = None
        self._listener = threading.Thread()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        assert self._process
        return self._process.pid

    def start(self, *options: str, within_s: float = 60) -> float:
        """Start and return the seconds until it said where it can be opened."""
        began = time.monotonic()
        self._process = subprocess.Popen(
            [*HAKO, "--data-dir", str(self.folder), "serve", *self._options, *options],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            bufsize=1,
            env={**os.environ, "LANG": "en_GB.UTF-8", "LC_ALL": "", "PYTHONUNBUFFERED": "1"},
        )
        self.output = ""
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()
        self.read_until(self.READY, within_s)
        return time.monotonic() - began

    def read_until(self, words: str, within_s: float) -> None:
        """Wait until it has printed `words`."""
        assert self._process
        end = time.monotonic() + within_s
        while words not in self.output:
            alive = self._process.poll() is None and time.monotonic() < end
            assert alive, f"never said {words!r}:\n{self.output}\n{self.log()[-3000:]}"
            time.sleep(0.02)

    def _listen(self) -> None:
        assert self._process
        assert self._process.stdout
        with self._process.stdout as lines:
            for line in lines:
                self.output += line

    def log(self) -> str:
        path = self.folder / "log" / "hako.log"
        return path.read_text("utf-8", "replace") if path.exists() else ""

    def stop(self, number: int = signal.SIGINT) -> int:
        """Ctrl-C, or another signal; returns the exit status."""
        assert self._process
        self._process.send_signal(number)
        self._process.wait(40)
        self._listener.join(10)
        return self._process.returncode

    def kill(self) -> None:
        """As a power cut: no process gets to say good-bye."""
        for pid in [*resources.tree(self.pid)][::-1]:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        assert self._process
        self._process.wait(20)
        self._listener.join(10)

    def __enter__(self) -> Self:
        self.start("--no-question")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.is_running:
            self.stop()

    def client(self, language: str = "en") -> BoxClient:
        """The operator on the admin socket."""
        return BoxClient(config.load(data_dir=self.folder), language)

    def api_key(self, name: str, role: str = "member", **scope: Any) -> str:
        """A new person's API key, made as its owner makes it on the page."""
        with self.client() as client:
            client.post("/users", {"name": name, "display_name": name, "password": PASSWORD, "role": role})
        with httpx2.Client(base_url=self.url) as browser:
            assert browser.post("/sign-in", data={"name": name, "password": PASSWORD}).status_code == 303
            made: dict[str, Any] = browser.post("/api/v1/me/keys", json={"name": "test", "scope": scope}).json()
        return str(made["key"])

    def hako(self, *arguments: str, **more: Any) -> subprocess.CompletedProcess[str]:
        """A command of this box."""
        return typed("--data-dir", str(self.folder), *arguments, **more)

    def processes(self) -> dict[str, int]:
        """Process ids of the four by their names."""
        found: dict[str, int] = {}
        for pid in resources.tree(self.pid):
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # it ended meanwhile
                words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
                if b"appliance.processes" in words:
                    found.setdefault(words[words.index(b"appliance.processes") + 1].decode(), pid)
        return found

    @contextlib.contextmanager
    def worker_held(self) -> Iterator[None]:
        """The worker stands still, so that what it would do next has not been done yet."""
        worker = self.processes()["worker"]
        os.kill(worker, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(worker, signal.SIGCONT)

    def wait_for_documents(self, base_id: str, within_s: float = 120) -> list[dict[str, Any]]:
        """Until every document of a base is ready or has failed."""
        end = time.monotonic() + within_s
        with self.client() as client:
            while True:
                items: list[dict[str, Any]] = client.get(f"/bases/{base_id}/documents")["items"]
                if not [item for item in items if item["state"] in ("waiting", "working")]:
                    return items
                assert time.monotonic() < end, items
                time.sleep(0.1)


class ServedBox(RunningBox):
    """A box in development: its vault opens by itself. With `models` real ones, else scripted ones."""

    def __init__(
        self, folder: Path, *, models: Path | None = None, samples: bool = False, extra: str = "", web: str = ""
    ) -> None:
        super().__init__(folder, free_port(), "--development")
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        names = 'chat_model = "talker"\nembedding_model = "embedder"\nthreads = 1' if models is None else ""
        if models is None:
            models = folder / "scripted"
            if not models.exists():
                scripted.install(models, "talker", "chat")
                scripted.install(models, "embedder", "embedding")
        (folder / "hako.toml").write_text(
            f'development = true\nsamples = {json.dumps(samples)}\nmodels_dir = "{models}"\n'
            f"{extra}\n[web]\nport = {self.port}\n{web}\n[inference]\n{names}\n",
            "utf-8",
        )
