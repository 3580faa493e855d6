"""The box as systemd starts it: the commands, accounts and groups of `systemd/`, each process by itself.

Where this machine allows it the processes really have accounts of their own: some that every system has stand for
those that the box would make. Else all of them are our own.
"""

import configparser
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import httpx2

from appliance import config
from appliance.cli.client import BoxClient
from appliance.config import REPOSITORY, Settings
from appliance.inference.engines import scripted

UNITS: Final = REPOSITORY / "systemd"
PASSPHRASE: Final = "correct horse battery"
PASSWORD: Final = "correct-horse-battery-staple"
_STAND_INS: Final = {
    "keys": "daemon",
    "web": "bin",
    "worker": "sys",
    "inference": "games",
    "egress": "man",
    "health": "lp",
}
_GROUPS: Final = {"hako": 64101, "hako-models": 64102}
_WITH_SOCKETS: Final = (
    "import os, sys; os.dup2(int(sys.argv[1]), 3); "
    "os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS='1'); os.execv(sys.argv[2], sys.argv[2:])"
)


def read(unit: str) -> dict[str, str]:
    """The last word of a unit file on each setting, by name."""
    parser = configparser.RawConfigParser(strict=False, delimiters=("=",), comment_prefixes=("#",), interpolation=None)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read(UNITS / unit)
    return {name: value for section in parser.sections() for name, value in parser.items(section)}


def as_account(uid: int, group: int, more: list[int]) -> list[str]:
    """What to put before a command, for root. The account may read everything, since what we run may lie in root's
    own folder; it can neither write nor connect to more than others, and the kernel names it by its own number.
    """
    reads = ["--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search"]
    groups = f"--groups={','.join(map(str, more))}" if more else "--clear-groups"
    return ["setpriv", f"--reuid={uid}", f"--regid={group}", groups, *reads]


def can_be_separate() -> bool:
    """Whether we may become others, and there are enough of them."""
    if os.geteuid() != 0 or shutil.which("setpriv") is None:
        return False
    return {account.pw_name for account in pwd.getpwall()} >= set(_STAND_INS.values())


class Units:
    """A data folder as tmpfiles makes it, and processes that are started one by one."""

    def __init__(self) -> None:
        self.are_separate = can_be_separate()
        self.root = Path(tempfile.mkdtemp(prefix="hako-"))
        self.root.chmod(0o755)
        self.data = self.root / "data"
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self.listening = socket.socket()
        self.listening.bind(("127.0.0.1", 0))
        self.listening.listen()
        self.port = self.listening.getsockname()[1]
        self.helping = socket.socket(socket.AF_UNIX)
        self._make()

    @property
    def settings(self) -> Settings:
        return config.load(data_dir=self.data)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def uid(self, process: str) -> int:
        return pwd.getpwnam(_STAND_INS[process]).pw_uid if self.are_separate else os.geteuid()

    def start(self, *processes: str, within_s: float = 60) -> None:
        """At once; returns when each has said that it is ready, and that it is well."""
        with ThreadPoolExecutor() as starting:
            list(starting.map(lambda process: self._start(process, within_s), processes))

    def _start(self, process: str, within_s: float) -> None:
        unit = read(f"hako-{process}.service")
        runtime = self._runtime(process, unit)
        words = [sys.executable, *unit["ExecStart"].split()[1:]]
        words[words.index("/var/lib/hako")] = str(self.data)
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as told:
            address = self.root / f"notify-{process}"
            address.unlink(missing_ok=True)
            told.bind(str(address))
            address.chmod(0o666)
            environment = {
                **{name: os.environ[name] for name in ("PATH",) if name in os.environ},
                "NOTIFY_SOCKET": str(address),
                "WATCHDOG_USEC": str(int(unit.get("WatchdogSec", "0")) * 1_000_000),
                "RUNTIME_DIRECTORY": str(runtime),
            }
            given = {"web": self.listening, "helper": self.helping}.get(process)
            if given is not None:
                words = [sys.executable, "-c", _WITH_SOCKETS, str(given.fileno()), *words]
            self._running[process] = self._spawned(process, unit, words, environment)
            self._await(process, told, b"READY=1", within_s)
            if "WatchdogSec" in unit:
                self._await(process, told, b"WATCHDOG=1", within_s)

    def stop(self, process: str) -> int:
        """As systemd does; its exit status."""
        running = self._running.pop(process)
        running.send_signal(signal.SIGTERM)
        try:
            return running.wait(30)
        finally:
            running.kill()

    def log(self, process: str) -> str:
        return (self.root / f"{process}.log").read_text("utf-8", "replace")

    def client(self) -> BoxClient:
        """Root, or the box's own account, on the admin socket."""
        return BoxClient(self.settings, "en")

    def api_key(self, name: str) -> str:
        """A new person's, over the port that was opened for web."""
        with self.client() as client:
            client.post("/users", {"name": name, "display_name": name, "password": PASSWORD})
        with httpx2.Client(base_url=self.url) as browser:
            assert browser.post("/sign-in", data={"name": name, "password": PASSWORD}).status_code == 303
            return str(browser.post("/api/v1/me/keys", json={"name": "test"}).json()["key"])

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with ThreadPoolExecutor() as stopping:
            list(stopping.map(self.stop, list(self._running)))
        self.listening.close()
        self.helping.close()
        shutil.rmtree(self.root)

    def _make(self) -> None:
        """What hako.tmpfiles.conf makes."""
        self._folder("data", "2770", "", "hako")
        self._folder("data/models", "2770", "", "hako-models")
        self._folder("data/shared", "2770", "", "hako-models")
        (self.root / "run").mkdir(mode=0o755)
        scripted.install(self.data / "models", "talker", "chat")
        scripted.install(self.data / "models", "embedder", "embedding")
        named = "\n".join(f'{name} = "{account}"' for name, account in _STAND_INS.items()) if self.are_separate else ""
        (self.data / "hako.toml").write_text(
            f'sockets_dir = "{self.root}/run"\n[accounts]\n{named}\n[web]\nport = {self.port}\n'
            '[inference]\nchat_model = "talker"\nembedding_model = "embedder"\nthreads = 1\n'
        )
        if self.are_separate:
            # Inference finds its way to the models; in its unit it sees nothing else of this folder.
            self.data.chmod(0o2771)
            for path in [*(self.data / "models").rglob("*"), self.data / "hako.toml"]:
                os.chown(path, 0, _GROUPS["hako-models"] if path.name != "hako.toml" else 0)
                path.chmod(0o2770 if path.is_dir() else 0o644)

    def _folder(self, name: str, mode: str, process: str, group: str) -> Path:
        path = self.root / name
        path.mkdir(exist_ok=True)
        if self.are_separate:
            os.chown(path, self.uid(process) if process else 0, _GROUPS[group])
            path.chmod(int(mode, 8))
        return path

    def _runtime(self, process: str, unit: dict[str, str]) -> Path:
        if process != "helper":
            return self._folder(f"run/{process}", unit["RuntimeDirectoryMode"], process, unit["Group"])
        folder = self.root / "run" / process  # of its socket's unit
        folder.mkdir(mode=0o755)
        self.helping.bind(str(folder / "helper.sock"))
        (folder / "helper.sock").chmod(0o666)  # wider than its unit's: what counts is the account
        self.helping.listen()
        return folder

    def _spawned(
        self, process: str, unit: dict[str, str], words: list[str], environment: dict[str, str]
    ) -> "subprocess.Popen[bytes]":
        if self.are_separate and process != "helper":
            extra = [_GROUPS[name] for name in unit.get("SupplementaryGroups", "").split()]
            words = [*as_account(self.uid(process), _GROUPS[unit["Group"]], extra), *words]
        with (self.root / f"{process}.log").open("ab") as log:
            return subprocess.Popen(
                words,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=environment,
                cwd="/",
                umask=int(unit["UMask"], 8),
                pass_fds=[self.listening.fileno(), self.helping.fileno()],
                start_new_session=True,
            )

    def _await(self, process: str, told: socket.socket, words: bytes, within_s: float) -> None:
        until = time.monotonic() + within_s
        told.settimeout(0.2)
        while time.monotonic() < until:
            try:
                if told.recv(64) == words:
                    return
            except TimeoutError:
                assert self._running[process].poll() is None, self.log(process)[-3000:]
        raise AssertionError(f"{process} never said {words!r}: {self.log(process)[-3000:]}")
